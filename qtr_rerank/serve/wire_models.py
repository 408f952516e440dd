"""Plug in: requests and responses of the rerank APIs, as pydantic models.

APIs: Cohere's rerank v1 and v2, Jina's, and that of Hugging Face's text-embeddings-inference (TEI).
These models validate requests, serialise responses and make the OpenAPI document. Request fields
that are not named here are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from qtr_rerank.serve.request_errors import malformed, quoted, unprocessable

Body = TypeVar("Body", bound=BaseModel)
Index = Annotated[int, Field(ge=0, description="Position of the document in the request, from 0.")]
Score = Annotated[float, Field(ge=0, le=1, description="Calibrated probability of relevance.")]
# Half of a character outside the basic plane, as \\uD83D: clients that cut texts leave such halves.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class CohereRequest(_Request):
    """Request of Cohere's v1 and v2 and of Jina's API; each API has some of the fields."""

    query: str
    documents: Annotated[
        list[str | dict[str, Any]],
        Field(
            description="Texts, or objects with `text`, with `title` (and `brand`, `category`), "
            "with the `rank_fields`, or with an `id` of the server's index."
        ),
    ]
    model: str | None = Field(None, description="A model by name; without one, the first.")
    top_n: Annotated[
        int | None, Field(ge=0, description="Number of results; without it, all documents.")
    ] = None
    return_documents: bool | None = Field(False, description="Return the texts.")
    rank_fields: Annotated[
        list[str] | None, Field(description="Fields of objects that are read, in this order.")
    ] = None
    documents_are_ids: bool = Field(
        False, description="Every text is an id of the server's index. Only this server knows it."
    )
    prior: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Weight of the given order, where that is an order by relevance: logits "
            "per e-fold of (position + 10). Only this server knows it.",
        ),
    ] = 0.0


class TeiRequest(_Request):
    """Request of TEI's /rerank."""

    query: str
    texts: Annotated[list[str], Field(min_length=1)]
    raw_scores: bool | None = Field(False, description="Logits instead of probabilities.")
    return_text: bool | None = Field(False, description="Return the texts.")


class RequestHeaders(BaseModel):
    """This server's own headers: the APIs have no fields for them."""

    timeout_ms: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            alias="X-QTR-Timeout-Ms",
            description="Milliseconds for this request, if fewer than the server allows.",
        ),
    ] = None
    strict: Annotated[
        Literal["true", "false"],
        Field(
            alias="X-QTR-Strict",
            description="`true`: respond with 504 instead of a partly scored order.",
        ),
    ] = "false"


class DocumentText(BaseModel):
    """A document that is returned."""

    text: str


class RerankResult(BaseModel):
    """Position and score of one document."""

    index: Index
    relevance_score: Score
    document: DocumentText | None = None


class ApiVersion(BaseModel):
    """The version of Cohere's API."""

    version: str


class BilledUnits(BaseModel):
    """Cohere's unit of account: a search."""

    search_units: int = 1


class Meta(BaseModel):
    """Metadata of a response."""

    api_version: ApiVersion
    billed_units: BilledUnits = Field(default_factory=BilledUnits)
    degraded: bool | None = Field(
        None, description="Time ran out; documents that were not scored keep their order, last."
    )
    unknown_ids: tuple[str, ...] | None = Field(
        None, description="Ids that the index lacks; their documents come last."
    )
    warnings: tuple[str, ...] | None = None


class Usage(BaseModel):
    """Jina's unit of account. This server bills nothing and counts no tokens."""

    total_tokens: int = 0
    prompt_tokens: int = 0


class CohereResponse(BaseModel):
    """Response to CohereRequest: results, best first."""

    results: list[RerankResult]
    id: str
    model: str
    meta: Meta
    usage: Usage | None = None


class TeiResult(BaseModel):
    """Position and score of one text, in TEI's format."""

    index: Index
    score: float
    text: str | None = None


class CohereErrorBody(BaseModel):
    """Error in Cohere's and (`detail`) Jina's format."""

    message: str
    detail: str


class TeiErrorBody(BaseModel):
    """Error in TEI's format."""

    error: str
    error_type: str


class Health(BaseModel):
    """The process responds."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The models are loaded."""

    status: Literal["ready"] = "ready"
    models: tuple[str, ...]


def parse_body(body: bytes, model: type[Body]) -> Body:
    """The body as a request.

    Raises RequestError: 400 where it is not JSON, 422 where it is other JSON than `model`.
    """
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        fields = _without_half_characters(body, error)
    return _validated(fields, model)


def parse_headers(header: Callable[[str], str | None]) -> RequestHeaders:
    """This server's own headers; `header` maps a name to its value. Raises RequestError (422)."""
    names = [str(field.alias) for field in RequestHeaders.model_fields.values()]
    values = {name: header(name) for name in names}
    given = {name: value for name, value in values.items() if value is not None}
    return _validated(given, RequestHeaders)


def _validated(fields: Any, model: type[Body]) -> Body:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise unprocessable(_first_error(error)) from None


def _without_half_characters(body: bytes, error: ValueError) -> Any:
    """The body read again with U+FFFD for halves of characters, where it has some.

    Clients that cut texts at a number of UTF-16 units send such halves.
    """
    if _SURROGATE.search(body):
        whole = re.sub(
            rb"(\\\\)|(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
            rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
            lambda match: match[0] if match[1] or match[2] else rb"\uFFFD",
            body,
        )
        try:
            return from_json(whole, allow_inf_nan=False)
        except ValueError as remaining:
            error = remaining
    raise malformed(f"the body is not JSON: {error}; send a JSON object") from None


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    # Pydantic appends the type's name to the location of a union; drop it.
    location = [part for part in first["loc"] if part not in {"str", "dict[str,any]"}]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    if first["type"] == "missing":
        return f"{name.lstrip('.')} is missing; it is required"
    value = quoted(json.dumps(first["input"], ensure_ascii=False, default=str))
    expected = first["msg"].removeprefix("Input should be ")
    if first["type"] == "too_short":
        expected = "at least one"
    elif not location:
        expected = "a JSON object"
    elif len(location) < len(first["loc"]):
        expected = "a text or an object"
    return f"{name.lstrip('.') or 'the body'} is {value}; expected {expected}"
