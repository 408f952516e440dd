"""Page: errors as HTML pages, or as JSON under /api and /health. Never a stack trace."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, jsonify, render_template, request, url_for
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as BaseResponse

from demo.page_request import Problem, parse_request, shortened
from qtr_rerank.errors import EngineUnavailableError, QtrError, UnknownIdError

logger = logging.getLogger(__name__)


def add_error_pages(app: Flask) -> None:
    """Turn every error into a page (or JSON) that says what is wrong and what to do next."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(QtrError, _qtr_error)
    app.register_error_handler(Exception, _unexpected_error)


def _http_error(error: HTTPException) -> BaseResponse | tuple[BaseResponse | str, int]:
    code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if code < HTTPStatus.BAD_REQUEST:  # werkzeug raises redirects, too
        return error.get_response()
    if isinstance(error, NotFound):
        return _error_response(
            HTTPStatus.NOT_FOUND,
            "We cannot find this page",
            "The address may be mistyped, or the product has left the catalog. "
            "Search for it above, or start again from the home page.",
            f"{shortened(request.path)} is not a page of this shop",
        )
    return _error_response(
        HTTPStatus(code),
        "That did not work",
        "The shop cannot handle this request. Start again from the home page.",
        f"{code} {error.name}",
    )


def _qtr_error(error: QtrError) -> tuple[BaseResponse | str, int]:
    if isinstance(error, UnknownIdError):
        return _error_response(
            HTTPStatus.NOT_FOUND,
            "We do not have this product",
            "It may have left the catalog. Search for something like it above.",
            str(error),
        )
    if isinstance(error, EngineUnavailableError):
        logger.warning("engine unavailable: %s", error)
        return _error_response(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Search is not available right now",
            "The search engine behind this shop does not respond. "
            "Your query is kept: try again in a moment.",
            str(error),
            detail=True,
        )
    logger.error("%s: %s", type(error).__name__, error)
    return _error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something is wrong with this shop’s index",
        "The reason below is for the owner of the shop.",
        str(error),
        detail=True,
    )


def _unexpected_error(error: Exception) -> tuple[BaseResponse | str, int]:
    logger.exception("unexpected error at %s", request.path, exc_info=error)
    return _error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong on our side",
        "The error is in the server's log. Try again, or start from the home page.",
        "internal error; see the server's log",
    )


def _error_response(
    code: HTTPStatus, heading: str, advice: str, message: str, detail: bool = False
) -> tuple[BaseResponse | str, int]:
    """JSON with `message` for programs; a page for people, with `message` only if `detail`."""
    if request.path.startswith("/api/") or request.path == "/health":
        return json_error(code, message)
    retry = code == HTTPStatus.SERVICE_UNAVAILABLE
    page = render_template(
        "error.html",
        code=int(code),
        heading=heading,
        advice=advice,
        detail=message if detail else "",
        # The search box keeps the query.
        query=parse_request(request.args.to_dict(flat=False)).query,
        retry_href=request.full_path.rstrip("?") if retry else url_for("shop.search"),
        retry_label="Try again" if retry else "To the home page",
    )
    return page, code


def json_error(
    code: HTTPStatus, message: str, problems: tuple[Problem, ...] = ()
) -> tuple[BaseResponse, int]:
    """The JSON body of an error, with the status code to send."""
    body: dict[str, Any] = {"error": {"status": int(code), "message": message}}
    if problems:
        body["error"]["problems"] = [
            {"parameter": problem.parameter, "value": problem.value, "expected": problem.expected}
            for problem in problems
        ]
    return jsonify(body), code
