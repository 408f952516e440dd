"""Plug in: each API's request as an Ask, our Answer and our faults in its own shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from qtr_rerank.serve.service import Answer, Ask
from qtr_rerank.serve.wire import RerankRequest, TeiRequest, parse

# As TEI writes them (its OpenAPI document has them in small letters). It has none for a key.
_TEI_TYPES = {
    HTTPStatus.BAD_REQUEST: "Validation",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.NOT_FOUND: "Validation",
    HTTPStatus.METHOD_NOT_ALLOWED: "Validation",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Validation",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Validation",
    HTTPStatus.TOO_MANY_REQUESTS: "Overloaded",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One API: `read` a body, `write` the answer to it, and tell a fault (its status, message)."""

    name: str
    read: Callable[[bytes], tuple[Ask, Any]]
    write: Callable[[Answer, Any, str], str]
    fault: Callable[[HTTPStatus, str], dict[str, Any]]


def _read_cohere(body: bytes) -> tuple[Ask, RerankRequest]:
    request = parse(body, RerankRequest)
    ask = Ask(
        query=request.query,
        documents=request.documents,
        model=request.model,
        top_n=request.top_n,
        rank_fields=request.rank_fields,
        documents_are_ids=request.documents_are_ids,
        prior=request.prior,
    )
    return ask, request


def _write_cohere(version: str) -> Callable[[Answer, RerankRequest, str], str]:
    def write(answer: Answer, request: RerankRequest, request_id: str) -> str:
        results = []
        for place, score in zip(answer.places, answer.scores, strict=True):
            document = ""
            if request.return_documents:
                given = request.documents[place]
                text = answer.texts[place]
                shown = text if text is not None else given if isinstance(given, str) else ""
                document = f',"document":{{"text":{json.dumps(shown)}}}'
            results.append(f'{{"index":{place},"relevance_score":{score}{document}}}')
        meta: dict[str, Any] = {
            "api_version": {"version": version},
            "billed_units": {"search_units": 1},
        }
        if answer.degraded:
            meta |= {"degraded": True, "warnings": ["time ran out before all were scored"]}
        if answer.unknown_ids:
            meta["unknown_ids"] = answer.unknown_ids
        rest: dict[str, Any] = {"id": request_id, "model": answer.model, "meta": meta}
        if version == "1":  # Jina's, on the same route
            rest["usage"] = {"total_tokens": 0, "prompt_tokens": 0}
        # Numbers are written by hand: json would give 0.00001 an exponent.
        return f'{{"results":[{",".join(results)}],{json.dumps(rest)[1:]}'

    return write


def _cohere_fault(_: HTTPStatus, message: str) -> dict[str, Any]:
    # `detail` is where Jina's clients look.
    return {"message": message, "detail": message}


def _read_tei(body: bytes) -> tuple[Ask, TeiRequest]:
    request = parse(body, TeiRequest)
    return Ask(query=request.query, documents=request.texts), request


def _write_tei(answer: Answer, request: TeiRequest, _: str) -> str:
    scores = [f"{logit:.8f}" for logit in answer.logits] if request.raw_scores else answer.scores
    return (
        "["
        + ",".join(
            f'{{"index":{place},"score":{score}'
            + (f',"text":{json.dumps(request.texts[place])}}}' if request.return_text else "}")
            for place, score in zip(answer.places, scores, strict=True)
        )
        + "]"
    )


def _tei_fault(status: HTTPStatus, message: str) -> dict[str, Any]:
    return {"error": message, "error_type": _TEI_TYPES.get(status, "Backend")}


COHERE_V1 = Shape("cohere-v1", _read_cohere, _write_cohere("1"), _cohere_fault)
COHERE_V2 = Shape("cohere-v2", _read_cohere, _write_cohere("2"), _cohere_fault)
TEI = Shape("tei", _read_tei, _write_tei, _tei_fault)
ROUTES = {"/v1/rerank": COHERE_V1, "/v2/rerank": COHERE_V2, "/rerank": TEI}
