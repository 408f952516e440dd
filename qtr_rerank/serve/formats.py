"""Plug in: one wire format for each API, between the bytes of HTTP and the service's own types."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter

from qtr_rerank.serve.request_errors import quoted
from qtr_rerank.serve.service import RerankRequest, RerankResponse
from qtr_rerank.serve.wire_models import (
    CohereErrorBody,
    CohereRequest,
    CohereResponse,
    TeiErrorBody,
    TeiRequest,
    TeiResult,
    parse_body,
)

# As TEI's server writes them; its OpenAPI document has them in small letters. TEI has no type for
# a missing key.
_TEI_ERROR_TYPES = {
    HTTPStatus.BAD_REQUEST: "Validation",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.NOT_FOUND: "Validation",
    HTTPStatus.METHOD_NOT_ALLOWED: "Validation",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Validation",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Validation",
    HTTPStatus.TOO_MANY_REQUESTS: "Overloaded",
}
_TEI_RESULTS = TypeAdapter(list[TeiResult])
_EXPONENT = re.compile(rb'(score":)(-?[0-9.]+e-?[0-9]+)')


class Format(ABC):
    """One API's wire format. `response_type` is what the OpenAPI document describes."""

    name: str
    title: str
    request_type: type[BaseModel]
    response_type: Any
    error_type: type[BaseModel]

    @abstractmethod
    def read(self, body: bytes) -> tuple[RerankRequest, Any]:
        """The request, and the wire model that `write` needs. Raises RequestError."""

    @abstractmethod
    def write(self, response: RerankResponse, wire_request: Any, request_id: str) -> bytes:
        """The response's body."""

    @abstractmethod
    def error(self, status: HTTPStatus, message: str) -> BaseModel:
        """The body of an error response."""


class CohereFormat(Format):
    """Cohere's format; version 1 is also Jina's."""

    request_type = CohereRequest
    response_type = CohereResponse
    error_type = CohereErrorBody

    def __init__(self, version: str) -> None:
        self.name = f"cohere-v{version}"
        self.title = "Rerank: Cohere v1 and Jina" if version == "1" else f"Rerank: Cohere {version}"
        self._version = version

    def read(self, body: bytes) -> tuple[RerankRequest, CohereRequest]:
        wire = parse_body(body, CohereRequest)
        request = RerankRequest(
            query=wire.query,
            documents=wire.documents,
            model=wire.model,
            top_n=wire.top_n,
            rank_fields=wire.rank_fields,
            documents_are_ids=wire.documents_are_ids,
            prior=wire.prior,
        )
        return request, wire

    def write(
        self, response: RerankResponse, wire_request: CohereRequest, request_id: str
    ) -> bytes:
        results: list[dict[str, Any]] = [
            {"index": index, "relevance_score": score}
            for index, score in zip(response.indices, response.scores, strict=True)
        ]
        if wire_request.return_documents:
            for result in results:
                given = wire_request.documents[result["index"]]
                text = response.texts[result["index"]]
                # An id has no text: it is returned as it was sent.
                shown = text if text is not None else given if isinstance(given, str) else ""
                result["document"] = {"text": shown}
        meta: dict[str, Any] = {"api_version": {"version": self._version}}
        if response.degraded:
            meta |= {
                "degraded": True,
                "warnings": ("time ran out before all documents were scored",),
            }
        if response.unknown_ids:
            meta["unknown_ids"] = tuple(map(quoted, response.unknown_ids))
        wire = CohereResponse.model_validate(
            {
                "results": results,
                "id": request_id,
                "model": response.model,
                "meta": meta,
                "usage": {} if self._version == "1" else None,
            }
        )
        return without_exponents(wire.model_dump_json(exclude_none=True).encode())

    def error(self, status: HTTPStatus, message: str) -> CohereErrorBody:
        # `detail` is where Jina's clients look.
        return CohereErrorBody(message=message, detail=message)


class TeiFormat(Format):
    """The format of text-embeddings-inference."""

    name = "tei"
    title = "Rerank: TEI"
    request_type = TeiRequest
    response_type = list[TeiResult]
    error_type = TeiErrorBody

    def read(self, body: bytes) -> tuple[RerankRequest, TeiRequest]:
        wire = parse_body(body, TeiRequest)
        return RerankRequest(query=wire.query, documents=wire.texts), wire

    def write(self, response: RerankResponse, wire_request: TeiRequest, request_id: str) -> bytes:
        scores = response.logits if wire_request.raw_scores else response.scores
        results = _TEI_RESULTS.validate_python(
            [
                {
                    "index": index,
                    "score": score,
                    "text": wire_request.texts[index] if wire_request.return_text else None,
                }
                for index, score in zip(response.indices, scores, strict=True)
            ]
        )
        return without_exponents(_TEI_RESULTS.dump_json(results, exclude_none=True))

    def error(self, status: HTTPStatus, message: str) -> TeiErrorBody:
        return TeiErrorBody(error=message, error_type=_TEI_ERROR_TYPES.get(status, "Backend"))


def without_exponents(body: bytes) -> bytes:
    """The JSON with scores as 0.00000123 instead of 1.23e-6.

    OpenSearch's ml-commons casts each score to Double and fails on a number without a decimal
    point, such as 1e-6. Text cannot match: inside a JSON string, a quote follows a backslash.
    """
    if b"e-" not in body and b"e+" not in body:
        return body
    return _EXPONENT.sub(lambda match: match[1] + f"{float(match[2]):.8f}".encode(), body)


COHERE_V2 = CohereFormat("2")
FORMATS: dict[str, Format] = {
    "/v1/rerank": CohereFormat("1"),
    "/v2/rerank": COHERE_V2,
    "/rerank": TeiFormat(),
}
