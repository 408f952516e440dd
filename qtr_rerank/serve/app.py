"""Plug in: the rerank server as a Flask application. `create_app` makes it, `qtr serve` runs it."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from flask import Flask, Response, current_app, g, jsonify, render_template, request
from pydantic import BaseModel
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from qtr_rerank.serve.formats import COHERE_V2, FORMATS, Format
from qtr_rerank.serve.keys import require_key
from qtr_rerank.serve.logs import LOGGER
from qtr_rerank.serve.metrics import Metrics
from qtr_rerank.serve.openapi import openapi_document
from qtr_rerank.serve.request_errors import RequestError, quoted
from qtr_rerank.serve.service import RerankService
from qtr_rerank.serve.wire_models import Health, Ready, parse_headers

_JSON = "application/json"
# A method may be any word: so many of its characters are logged.
_METHOD = 16
# Too large a body is read and dropped up to so many times the limit.
_DISCARDED = 4
# A client's request id that is safe in a log line and a header.
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_UNLOGGED_ROUTES = {"/health", "/ready", "/metrics"}


def create_app(service: RerankService) -> Flask:
    """The application around loaded models."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = service.settings.max_body_bytes
    # "//rerank" is not a route; a redirect would repeat the whole URL.
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    metrics = Metrics()
    app.extensions["qtr"] = (service, metrics)
    for route, wire in FORMATS.items():
        app.add_url_rule(route, wire.name, _rerank_view(service, metrics, wire), methods=["POST"])
    ready = Ready(models=tuple(service.models))
    app.add_url_rule("/health", "health", lambda: _json(Health()))
    app.add_url_rule("/ready", "ready", lambda: _json(ready))
    app.add_url_rule(
        "/metrics",
        "metrics",
        lambda: Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8"),
    )
    document = openapi_document(bool(service.settings.api_keys))
    app.add_url_rule("/openapi.json", "openapi", lambda: jsonify(document))
    app.add_url_rule("/", "page", lambda: _page(service))
    app.before_request(_begin)
    app.after_request(_finish)
    app.register_error_handler(RequestError, _request_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected_error)
    return app


def _json(model: BaseModel, status: int = HTTPStatus.OK) -> Response:
    return Response(model.model_dump_json(), status, content_type=_JSON)


def _rerank_view(service: RerankService, metrics: Metrics, wire: Format) -> Callable[[], Response]:
    settings = service.settings

    def view() -> Response:
        require_key(request.headers.get("Authorization"), settings.api_keys)
        fields = g.fields
        begun = time.perf_counter()
        reranking, wire_request = wire.read(g.body)
        headers = parse_headers(request.headers.get)
        reranking = replace(
            reranking, timeout_ms=headers.timeout_ms, strict=headers.strict == "true"
        )
        parsed = time.perf_counter()
        fields["documents"] = len(reranking.documents)
        model = reranking.model or service.default
        # Another name is the client's own text, of any length.
        if model in service.models:
            fields["model"] = model
        if settings.log_queries:
            fields["query"] = reranking.query
        with metrics.in_flight.track_inprogress():
            response = service.rerank(reranking, g.arrived)
        reranked = time.perf_counter()
        body = wire.write(response, wire_request, g.request_id)
        times_ms = {
            "parse": (parsed - begun) * 1000.0,
            **response.times_ms,
            "write": (time.perf_counter() - reranked) * 1000.0,
        }
        fields["times_ms"] = {name: round(spent, 3) for name, spent in times_ms.items()}
        metrics.reranked(
            response.model,
            len(reranking.documents),
            times_ms,
            response.degraded,
            len(response.unknown_ids),
        )
        result = Response(body, content_type=_JSON)
        if response.degraded:
            fields["degraded"] = True
            result.headers["X-QTR-Degraded"] = "true"
        if response.unknown_ids:
            fields["unknown_ids"] = len(response.unknown_ids)
        return result

    return view


def _page(service: RerankService) -> str:
    models = [
        {
            "name": name,
            "artifact": model.name,
            "kind": model.scorer.kind,
            "fingerprint": model.scorer.fingerprint[:12],
            "titles": len(model.store) if model.store is not None else None,
        }
        for name, model in service.models.items()
    ]
    return render_template("try.html", models=models, secured=bool(service.settings.api_keys))


def _begin() -> None:
    g.arrived = time.perf_counter()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    g.fields = {}
    # On every route: gunicorn closes a connection whose body was not read.
    g.body = request.get_data(cache=False)
    g.arrived = time.perf_counter()


def _finish(response: Response) -> Response:
    _, metrics = current_app.extensions["qtr"]
    seconds = time.perf_counter() - g.arrived
    # Another path would be a label of the client's choosing.
    route = request.url_rule.rule if request.url_rule else "none"
    metrics.response(route, response.status_code, seconds)
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    LOGGER.log(
        logging.DEBUG if route in _UNLOGGED_ROUTES else logging.INFO,
        "response",
        extra={
            "fields": {
                "request_id": g.request_id,
                "method": request.method[:_METHOD],
                "route": route,
                "status": response.status_code,
                "ms": round(seconds * 1000.0, 3),
                **g.fields,
            }
        },
    )
    return response


def _request_error(error: RequestError) -> Response:
    """An error in the format of the API that was called."""
    service, _ = current_app.extensions["qtr"]
    if service.settings.log_queries:
        # A message may quote the request.
        g.fields["error"] = str(error)
    wire = FORMATS.get(request.path, COHERE_V2)
    response = _json(wire.error(error.status, str(error)), error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_error(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    allowed = dict(error.get_headers()).get("Allow")
    if isinstance(error, RequestEntityTooLarge):
        limit = current_app.config["MAX_CONTENT_LENGTH"]
        _discard_body(_DISCARDED * limit)
        message = (
            f"the body is larger than {limit:,} bytes; send fewer documents at once, or start the "
            "server with a larger --max-body"
        )
    elif status == HTTPStatus.NOT_FOUND:
        message = (
            f"{quoted(request.path)} is not a route of this server; there are {', '.join(FORMATS)}"
        )
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        message = (
            f"{quoted(request.path)} does not allow {quoted(request.method)}; "
            f"use {allowed or 'another method'}"
        )
    else:
        message = quoted(error.description or status.phrase)
    response = _request_error(RequestError(status, message))
    if allowed:
        response.headers["Allow"] = allowed
    return response


def _discard_body(most: int) -> None:
    """Read what is left of the body: a client that still sends it would not see the response."""
    while most > 0 and (piece := request.environ["wsgi.input"].read(1 << 16)):
        most -= len(piece)


def _unexpected_error(error: Exception) -> Response:
    LOGGER.error("unexpected error", exc_info=error, extra={"fields": {"request_id": g.request_id}})
    return _request_error(
        RequestError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"the server failed; its log has the reason under {g.request_id}",
        )
    )
