"""Plug in: the rerank server as a Flask application. `create_app` makes it, `qtr serve` runs it."""

from __future__ import annotations

import logging
import math
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from flask import Flask, Response, current_app, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from qtr_rerank.serve.faults import RequestFaultError, unprocessable
from qtr_rerank.serve.keys import require_key
from qtr_rerank.serve.logs import LOGGER
from qtr_rerank.serve.metrics import Metrics
from qtr_rerank.serve.openapi import document
from qtr_rerank.serve.service import Ask, RerankService
from qtr_rerank.serve.shapes import COHERE_V2, ROUTES, Shape

_JSON = "application/json"
# Characters of a method that go into the log: it may be any word.
_METHOD = 16
# What of a client's own request id is safe to write into a log and a header.
_REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)


def create_app(service: RerankService) -> Flask:
    """The application around loaded models."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = service.settings.body_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    metrics = Metrics(lambda: service.gate.inside)
    app.extensions["qtr"] = (service, metrics)
    for route, shape in ROUTES.items():
        app.add_url_rule(
            route, f"rerank-{shape.name}", _reranks(service, metrics, shape), methods=["POST"]
        )
    app.add_url_rule("/health", "health", lambda: jsonify(status="ok"))
    app.add_url_rule(
        "/ready", "ready", lambda: jsonify(status="ready", models=list(service.models))
    )
    app.add_url_rule(
        "/metrics",
        "metrics",
        lambda: Response(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8"),
    )
    described = document(bool(service.settings.api_keys))
    app.add_url_rule("/openapi.json", "openapi", lambda: jsonify(described))
    app.add_url_rule("/", "page", lambda: _page(service))
    app.before_request(_begin)
    app.after_request(_finish)
    app.register_error_handler(RequestFaultError, _told)
    app.register_error_handler(HTTPException, _http_fault)
    app.register_error_handler(Exception, _unforeseen)
    return app


def _reranks(service: RerankService, metrics: Metrics, shape: Shape) -> Callable[[], Response]:
    def rerank() -> Response:
        require_key(request.headers.get("Authorization"), service.settings.api_keys)
        begun = time.perf_counter()
        ask, asked = shape.read(request.get_data(cache=False))
        ask = _with_wishes(ask)
        parsed = time.perf_counter()
        g.fields["documents"] = len(ask.documents)
        # Others are a client's own words, of any length.
        if (ask.model or service.default) in service.models:
            g.fields["model"] = ask.model or service.default
        if service.settings.log_queries:
            g.fields["query"] = ask.query
        answer = service.answer(ask, g.arrived)
        written = time.perf_counter()
        body = shape.write(answer, asked, g.request_id)
        ended = time.perf_counter()
        times = {
            "parse": (parsed - begun) * 1000.0,
            **answer.times_ms,
            "write": (ended - written) * 1000.0,
        }
        metrics.stage_times(times)
        metrics.documents.labels(answer.model).observe(len(ask.documents))
        metrics.together.observe(answer.together)
        g.fields |= {"times_ms": {name: round(spent, 3) for name, spent in times.items()}}
        response = Response(body, content_type=_JSON)
        if answer.degraded:
            metrics.degraded.labels(answer.model).inc()
            g.fields["degraded"] = True
            response.headers["X-QTR-Degraded"] = "true"
        if answer.unknown_ids:
            metrics.unknown_ids.labels(answer.model).inc(len(answer.unknown_ids))
            g.fields["unknown_ids"] = len(answer.unknown_ids)
        return response

    return rerank


def _with_wishes(ask: Ask) -> Ask:
    """What a client asks for in headers, since the APIs have no fields for it."""
    asked, strict = request.headers.get("X-QTR-Timeout-Ms"), request.headers.get("X-QTR-Strict")
    timeout = None
    if asked is not None:
        try:
            timeout = float(asked)
        except ValueError:
            timeout = math.nan
        if not 0.0 < timeout < math.inf:
            raise unprocessable(f"X-QTR-Timeout-Ms is {asked!r}; expected milliseconds above 0")
    if strict not in (None, "true", "false"):
        raise unprocessable(f"X-QTR-Strict is {strict!r}; expected true or false")
    return replace(ask, timeout_ms=timeout, strict=strict == "true")


def _page(service: RerankService) -> str:
    models = [
        {
            "name": name,
            "artifact": reranker.name,
            "kind": reranker.scorer.kind,
            "fingerprint": reranker.scorer.fingerprint[:12],
            "titles": len(reranker.store) if reranker.store is not None else None,
        }
        for name, reranker in service.models.items()
    ]
    return render_template("try.html", models=models, secured=bool(service.settings.api_keys))


def _begin() -> None:
    g.arrived = time.perf_counter()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    g.fields = {}


def _finish(response: Response) -> Response:
    _, metrics = current_app.extensions["qtr"]
    seconds = time.perf_counter() - g.arrived
    # A path that is no route would be a label of the client's choosing.
    route = request.url_rule.rule if request.url_rule else "none"
    metrics.requests.labels(route, str(response.status_code)).inc()
    metrics.seconds.labels(route).observe(seconds)
    response.headers["X-Request-Id"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    quiet = route in {"/health", "/ready", "/metrics"}
    LOGGER.log(
        logging.DEBUG if quiet else logging.INFO,
        "answered",
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


def _told(fault: RequestFaultError) -> Response:
    """A fault in the shape of the API that was called."""
    service, _ = current_app.extensions["qtr"]
    if service.settings.log_queries:
        # A message may quote what was sent.
        g.fields["fault"] = str(fault)
    shape = ROUTES.get(request.path, COHERE_V2)
    response: Response = jsonify(shape.fault(fault.status, str(fault)))
    response.status_code = fault.status
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    if fault.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_fault(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or 500)
    if isinstance(error, RequestEntityTooLarge):
        limit = current_app.config["MAX_CONTENT_LENGTH"]
        message = (
            f"the body is larger than {limit:,} bytes; send fewer documents at once, or start the "
            "server with a larger --max-body"
        )
    elif status == HTTPStatus.NOT_FOUND:
        message = f"{request.path} is no route of this server; there are {', '.join(ROUTES)}"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = dict(error.get_headers()).get("Allow", "another method")
        message = f"{request.method} is not answered on {request.path}; use {allowed}"
    else:
        message = error.description or status.phrase
    response = _told(RequestFaultError(status, message))
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _unforeseen(error: Exception) -> Response:
    LOGGER.error("unforeseen", exc_info=error, extra={"fields": {"request_id": g.request_id}})
    return _told(
        RequestFaultError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"the server failed; its log says why, under {g.request_id}",
        )
    )
