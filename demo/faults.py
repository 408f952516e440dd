"""Page: what a fault looks like. HTML under pages, JSON under /api and /health, never a trace."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, jsonify, render_template, request, url_for
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as BaseResponse

from demo.request import Problem, parse_request
from qtr_rerank.errors import EngineUnavailableError, QtrError, UnknownIdError

logger = logging.getLogger(__name__)


def add_error_pages(app: Flask) -> None:
    """Every fault becomes a page (or JSON) that says what is wrong and what to do next."""
    app.register_error_handler(HTTPException, _http_fault)
    app.register_error_handler(QtrError, _qtr_fault)
    app.register_error_handler(Exception, _unforeseen)


def _http_fault(error: HTTPException) -> BaseResponse | tuple[BaseResponse | str, int]:
    code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if code < HTTPStatus.BAD_REQUEST:  # a redirect is raised as well
        return error.get_response()
    if isinstance(error, NotFound):
        return _fault(
            HTTPStatus.NOT_FOUND,
            "This page is not on our shelves",
            "The address may be mistyped, or the product has left the catalog. "
            "Search for it above, or start again from the front door.",
            f"{request.path} is no page of this shop",
        )
    return _fault(
        HTTPStatus(code),
        "That did not work",
        "The request was not one that this page can answer. Start again from the front door.",
        f"{code} {error.name}",
    )


def _qtr_fault(error: QtrError) -> tuple[BaseResponse | str, int]:
    if isinstance(error, UnknownIdError):
        return _fault(
            HTTPStatus.NOT_FOUND,
            "We do not have this product",
            "It may have left the catalog. Search for something like it above.",
            str(error),
        )
    if isinstance(error, EngineUnavailableError):
        logger.warning("engine unavailable: %s", error)
        return _fault(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The search is taking a break",
            "The search engine behind this shop does not answer. "
            "Your query is kept: try again in a moment.",
            str(error),
            detail=True,
        )
    logger.error("%s: %s", type(error).__name__, error)
    return _fault(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something is wrong with this shop’s index",
        "Its owner finds the reason below.",
        str(error),
        detail=True,
    )


def _unforeseen(error: Exception) -> tuple[BaseResponse | str, int]:
    logger.exception("unforeseen fault at %s", request.path, exc_info=error)
    return _fault(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong on our side",
        "It has been written to the log. Try again, or start from the front door.",
        "internal error; see the server's log",
    )


def _fault(
    code: HTTPStatus, heading: str, advice: str, message: str, detail: bool = False
) -> tuple[BaseResponse | str, int]:
    if request.path.startswith("/api/") or request.path == "/health":
        return json_fault(code, message)
    again = code == HTTPStatus.SERVICE_UNAVAILABLE
    page = render_template(
        "fault.html",
        code=int(code),
        heading=heading,
        advice=advice,
        detail=message if detail else "",
        # `query` stays in the box, whatever became of the search.
        query=parse_request(request.args.to_dict(flat=False)).query,
        retry_href=request.full_path.rstrip("?") if again else url_for("shop.search"),
        retry_label="Try again" if again else "To the front door",
    )
    return page, code


def json_fault(
    code: HTTPStatus, message: str, problems: tuple[Problem, ...] = ()
) -> tuple[BaseResponse, int]:
    body: dict[str, Any] = {"error": {"status": int(code), "message": message}}
    if problems:
        body["error"]["problems"] = [
            {"parameter": problem.parameter, "value": problem.value, "expected": problem.expected}
            for problem in problems
        ]
    return jsonify(body), code
