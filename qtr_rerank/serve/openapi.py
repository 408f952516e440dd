"""Plug in: the server's OpenAPI document, made from the models that read and write its JSON."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

import qtr_rerank
from qtr_rerank.serve.formats import FORMATS, Format
from qtr_rerank.serve.wire_models import Health, Ready, RequestHeaders

_ERRORS = {
    "400": "The body is not JSON.",
    "401": "The API key is missing or not valid.",
    "404": "No such model.",
    "413": "The body is too large.",
    "422": "The body is JSON, but does not match the schema.",
    "429": "The admission queue is full; Retry-After says when to try again.",
    "504": "Time ran out, and X-QTR-Strict requires a complete order.",
}
_REF = "#/components/schemas/{model}"


def openapi_document(secured: bool) -> dict[str, Any]:
    """The document; `secured` says that requests need an API key."""
    modes: dict[JsonSchemaMode, list[Any]] = {"validation": [], "serialization": [Health, Ready]}
    for wire in FORMATS.values():
        modes["validation"].append(wire.request_type)
        modes["serialization"] += [wire.response_type, wire.error_type]
    schemas, definitions = TypeAdapter.json_schemas(
        [
            (repr(one), mode, TypeAdapter(one))
            for mode, types in modes.items()
            for one in dict.fromkeys(types)
        ],
        ref_template=_REF,
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qtr_rerank",
            "version": qtr_rerank.__version__,
            "description": "Product search reranking, in the formats of Cohere, Jina and TEI.",
        },
        "paths": {
            **{
                route: {"post": _operation(wire, schemas, secured)}
                for route, wire in FORMATS.items()
            },
            "/health": {"get": _get("health", "The process responds.", Health, schemas)},
            "/ready": {"get": _get("ready", "The models are loaded.", Ready, schemas)},
            "/metrics": {
                "get": {
                    "operationId": "metrics",
                    "responses": {
                        "200": {
                            "description": "Prometheus' text format.",
                            "content": {"text/plain": {"schema": {}}},
                        }
                    },
                }
            },
        },
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(wire: Format, schemas: Any, secured: bool) -> dict[str, Any]:
    headers = RequestHeaders.model_json_schema()["properties"]
    errors = _json(schemas[repr(wire.error_type), "serialization"])
    return {
        "summary": wire.title,
        "operationId": wire.name,
        "parameters": [
            {"name": name, "in": "header", "description": schema["description"], "schema": schema}
            for name, schema in headers.items()
        ],
        "requestBody": {
            "required": True,
            "content": _json(schemas[repr(wire.request_type), "validation"]),
        },
        "responses": {
            "200": {
                "description": "Best first.",
                "content": _json(schemas[repr(wire.response_type), "serialization"]),
            },
            **{code: {"description": text, "content": errors} for code, text in _ERRORS.items()},
        },
        **({"security": [{"key": []}]} if secured else {}),
    }


def _get(name: str, description: str, model: type, schemas: Any) -> dict[str, Any]:
    content = _json(schemas[repr(model), "serialization"])
    return {
        "operationId": name,
        "responses": {"200": {"description": description, "content": content}},
    }


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
