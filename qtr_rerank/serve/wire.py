"""Plug in: the requests and answers of the rerank APIs, as they are written on the wire.

Formats: Cohere's rerank v1 and v2, Jina's, and that of Hugging Face's text-embeddings-inference
(TEI). Fields that are not named here are ignored.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from qtr_rerank.serve.faults import malformed, unprocessable

Request = TypeVar("Request", bound="_Body")
Place = Annotated[int, Field(ge=0, description="Place of the document in the request, from 0.")]
Score = Annotated[float, Field(ge=0, le=1, description="Calibrated probability of relevance.")]
# Half of a character beyond the basic plane, written as \\uD83D: what is left where a text was cut.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SHOWN = 80


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class RerankRequest(_Body):
    """What Cohere's v1 and v2 and Jina's API are asked; each knows a part of it."""

    query: str
    documents: Annotated[
        list[str | dict[str, Any]],
        Field(
            description="Texts, or objects with `text`, with `title` (and `brand`, `category`), "
            "with the `rank_fields`, or with an `id` of the server's index."
        ),
    ]
    model: str | None = Field(None, description="A model by name; without one, the first.")
    top_n: Annotated[int | None, Field(ge=0, description="So many results; without it, all.")] = (
        None
    )
    return_documents: bool | None = Field(False, description="Give the texts back.")
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
            description="How much the order of the documents counts, where it is one by "
            "relevance: logits per e-fold of (place + 10). Only this server knows it.",
        ),
    ] = 0.0


class TeiRequest(_Body):
    """What TEI's /rerank is asked."""

    query: str
    texts: Annotated[list[str], Field(min_length=1)]
    raw_scores: bool | None = Field(False, description="Logits in place of probabilities.")
    return_text: bool | None = Field(False, description="Give the texts back.")


class DocumentText(BaseModel):
    """A document that is given back."""

    text: str


class RerankResult(BaseModel):
    """One document's place and score."""

    index: Place
    relevance_score: Score
    document: DocumentText | None = None


class ApiVersion(BaseModel):
    """Which of Cohere's versions answers."""

    version: str


class BilledUnits(BaseModel):
    """Cohere's unit of account: a search."""

    search_units: int


class Meta(BaseModel):
    """What a client should know of the answer besides the results."""

    api_version: ApiVersion
    billed_units: BilledUnits
    degraded: bool | None = Field(None, description="Time ran out; the rest keeps its order.")
    unknown_ids: list[str] | None = Field(None, description="Ids that the index lacks, put last.")
    warnings: list[str] | None = None


class Usage(BaseModel):
    """Jina's unit of account. Nothing is billed here, so nothing is counted."""

    total_tokens: int
    prompt_tokens: int


class RerankResponse(BaseModel):
    """The answer to RerankRequest: best first."""

    id: str
    model: str
    results: list[RerankResult]
    meta: Meta
    usage: Usage | None = None


class TeiResult(BaseModel):
    """One text's place and score, of TEI."""

    index: Place
    score: float
    text: str | None = None


class CohereFault(BaseModel):
    """A fault, as Cohere and (by `detail`) Jina tell it."""

    message: str
    detail: str


class TeiFault(BaseModel):
    """A fault, as TEI tells it."""

    error: str
    error_type: str


def parse(body: bytes, kind: type[Request]) -> Request:
    """The body as a request.

    Raises RequestFaultError: 400 for what is no JSON, 422 for JSON that is no such request.
    """
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        fields = _mended(body, error)
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise unprocessable(_first_error(error)) from None


def _mended(body: bytes, error: ValueError) -> Any:
    """The body read again where only halves of characters were in the way; they become U+FFFD.

    A client that cuts texts at a number of UTF-16 units sends such halves.
    """
    if _SURROGATE.search(body):
        whole = re.sub(
            rb"(\\\\)|(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
            rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}",
            lambda found: found[0] if found[1] or found[2] else rb"\uFFFD",
            body,
        )
        try:
            return from_json(whole, allow_inf_nan=False)
        except ValueError as remaining:
            error = remaining
    raise malformed(f"the body is not JSON: {error}; send a JSON object") from None


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    # Where a value may have several types, the place ends with the name of one.
    place = [part for part in first["loc"] if part not in {"str", "dict[str,any]"}]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    if first["type"] == "missing":
        return f"{name.lstrip('.')} is missing; it is required"
    value = json.dumps(first["input"], ensure_ascii=False, default=str)
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
    expected = _expected(first["msg"])
    if first["type"] == "too_short":
        expected = "one at least"
    elif not place:
        expected = "a JSON object"
    elif len(place) < len(first["loc"]):
        expected = "a text or an object"
    return f"{name.lstrip('.') or 'the body'} is {shown}; expected {expected}"


def _expected(message: str) -> str:
    """pydantic's "Input should be a valid string" as what we expect: "a valid string"."""
    return message.removeprefix("Input should be ")
