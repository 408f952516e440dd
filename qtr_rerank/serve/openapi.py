"""Plug in: the server's OpenAPI document, made of the same classes that read its requests."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

import qtr_rerank
from qtr_rerank.serve.wire import (
    CohereFault,
    RerankRequest,
    RerankResponse,
    TeiFault,
    TeiRequest,
    TeiResult,
)

_FAULTS = {
    "400": "The body is not JSON.",
    "401": "The API key is missing or not valid.",
    "404": "No such model.",
    "413": "The body is too large.",
    "422": "The body is JSON, and not what is expected.",
    "429": "Too many requests wait already; Retry-After says when to come again.",
    "504": "Time ran out, and the client asked for all or nothing.",
}
_HEADERS = [
    ("X-QTR-Timeout-Ms", {"type": "number", "exclusiveMinimum": 0}, "Less time than the server's."),
    ("X-QTR-Strict", {"type": "string", "enum": ["true", "false"]}, "A 504 in place of a part."),
]


def document(secured: bool) -> dict[str, Any]:
    """The document; `secured` says that API keys are asked for."""
    kinds = (RerankRequest, TeiRequest, TeiResult, CohereFault, TeiFault)
    _, found = models_json_schema(
        [*((kind, "validation") for kind in kinds), (RerankResponse, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    security: dict[str, Any] = {"security": [{"key": []}]} if secured else {}
    cohere = _operation("RerankRequest", _ref("RerankResponse"), "CohereFault")
    tei = _operation("TeiRequest", {"type": "array", "items": _ref("TeiResult")}, "TeiFault")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qtr_rerank",
            "version": qtr_rerank.__version__,
            "description": "Product search reranking, in the shapes of Cohere, Jina and TEI.",
        },
        "paths": {
            "/v1/rerank": {
                "post": cohere | security | _summary("Rerank: Cohere v1 and Jina", "v1")
            },
            "/v2/rerank": {"post": cohere | security | _summary("Rerank: Cohere v2", "v2")},
            "/rerank": {"post": tei | security | _summary("Rerank: TEI", "tei")},
            "/health": {"get": _plain("The process answers.", "health")},
            "/ready": {"get": _plain("The models are loaded and warm.", "ready")},
            "/metrics": {"get": _plain("Prometheus' text format.", "metrics", "text/plain")},
        },
        "components": {
            "schemas": found["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(request: str, answer: dict[str, Any], fault: str) -> dict[str, Any]:
    faults = {
        status: {"description": said, "content": _json(_ref(fault))}
        for status, said in _FAULTS.items()
    }
    return {
        "parameters": [
            {"name": name, "in": "header", "required": False, "schema": schema, "description": said}
            for name, schema, said in _HEADERS
        ],
        "requestBody": {"required": True, "content": _json(_ref(request))},
        "responses": {"200": {"description": "Best first.", "content": _json(answer)}} | faults,
    }


def _summary(said: str, name: str) -> dict[str, Any]:
    return {"summary": said, "operationId": name}


def _plain(said: str, name: str, media: str = "application/json") -> dict[str, Any]:
    return {
        "operationId": name,
        "responses": {"200": {"description": said, "content": {media: {"schema": {}}}}},
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
