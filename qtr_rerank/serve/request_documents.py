"""Plug in: turns the documents of a request into model inputs: texts or stored title features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import DataError
from qtr_rerank.rerank.documents import text_of
from qtr_rerank.rerank.kernel import StageScorer
from qtr_rerank.runtime.title_store import TitleStore
from qtr_rerank.serve.request_errors import quoted, unprocessable
from qtr_rerank.serve.server_settings import ServerSettings
from qtr_rerank.template import ProductText


class ServedScorer(StageScorer, Protocol):
    """A scorer for the kernel, with the attributes that the server's page shows."""

    kind: str
    fingerprint: str


class ServedModel(Protocol):
    """The part of a model that the service uses; a `Reranker` has it."""

    @property
    def name(self) -> str: ...

    @property
    def scorer(self) -> ServedScorer: ...

    @property
    def reads(self) -> ProductText: ...

    @property
    def store(self) -> TitleStore | None: ...

    def logits(
        self,
        query: str,
        titles: Sequence[str | None],
        positions: NDArray[np.int64] | None = None,
        *,
        deadline: float | None = None,
    ) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A request in any API's format.

    `timeout_ms` and `strict` come from the client's headers; `strict` asks for an error instead of
    a partly scored order.
    """

    query: str
    documents: Sequence[str | Mapping[str, Any]]
    model: str | None = None
    top_n: int | None = None
    rank_fields: Sequence[str] | None = None
    documents_are_ids: bool = False
    prior: float = 0.0
    timeout_ms: float | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class DocumentInputs:
    """For each document a text, or the position (documents,) of its stored features; -1 for none.

    `unknown_places` have neither: the index does not hold `unknown_ids`.
    """

    texts: list[str | None]
    positions: NDArray[np.int64] | None
    unknown_places: tuple[int, ...] = ()
    unknown_ids: tuple[str, ...] = ()


def read_documents(
    request: RerankRequest, model: ServedModel, settings: ServerSettings
) -> DocumentInputs:
    """The inputs of `model`. Raises RequestError (422) naming a document that cannot be read."""
    if request.documents_are_ids and model.store is None:
        raise unprocessable(_no_stored_titles(settings, model.name))
    texts: list[str | None] = []
    if model.store is None:
        # The usual request, at a fifth of the loop's time.
        texts += [document for document in request.documents if isinstance(document, str)]
        if len(texts) == len(request.documents):
            return DocumentInputs(texts, None)
        texts.clear()
    ids: dict[int, str] = {}
    for place, document in enumerate(request.documents):
        identifier = _id(request, document, settings) if model.store is not None else None
        if isinstance(document, str):
            text = None if identifier is not None else document
        else:
            text = _text(document, place, request, model, identifier is not None)
        texts.append(text)
        # The title is stored, not the rank_fields.
        if identifier is not None and (text is None or not request.rank_fields):
            ids[place] = identifier
    _require_rank_fields(request, ids)
    if not ids or model.store is None:
        return DocumentInputs(texts, None)
    positions = np.full(len(texts), -1, dtype=np.int64)
    positions[list(ids)] = model.store.find(list(ids.values()))
    unknown = tuple(place for place in ids if positions[place] < 0 and texts[place] is None)
    return DocumentInputs(texts, positions, unknown, tuple(ids[place] for place in unknown))


def _id(
    request: RerankRequest, document: str | Mapping[str, Any], settings: ServerSettings
) -> str | None:
    if isinstance(document, str):
        if request.documents_are_ids:
            return document
        prefix = settings.id_prefix
        return document.removeprefix(prefix) if document.startswith(prefix) else None
    for name in settings.id_fields:
        value = document.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
    return None


def _text(
    document: Mapping[str, Any],
    place: int,
    request: RerankRequest,
    model: ServedModel,
    has_id: bool,
) -> str | None:
    """The text of an object; None where it only has an id."""
    if request.rank_fields:
        parts = [_field(document, name, place) for name in request.rank_fields]
        if has_id and not any(parts):
            return None
        return " ".join(part for part in parts if part)
    if has_id and "text" not in document and "title" not in document:
        return None
    try:
        return text_of(document, place, model.reads)
    except DataError:
        raise unprocessable(
            f"document {place} is {quoted(str(document))!r}; expected a text, or an object with "
            f"'text', with texts in what the model reads ({', '.join(model.reads.fields)}), or "
            "with the fields that rank_fields names"
        ) from None


def _field(document: Mapping[str, Any], name: str, place: int) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise unprocessable(
        f"document {place} has {quoted(name)!r} {quoted(repr(value))} as one of the rank_fields; "
        "expected a text or a number"
    )


def _require_rank_fields(request: RerankRequest, ids: Mapping[int, str]) -> None:
    """Fields that no object has are misspelt, unless stored features replace them."""
    names = request.rank_fields
    if not names or ids:
        return
    objects = [document for document in request.documents if not isinstance(document, str)]
    if objects and not any(name in one for one in objects for name in names):
        raise unprocessable(
            f"no document has one of the rank_fields {quoted(', '.join(names))}; the first has "
            f"{quoted(', '.join(objects[0])) or 'no fields'}"
        )


def _no_stored_titles(settings: ServerSettings, model: str) -> str:
    if settings.index is None:
        return "documents_are_ids needs an index; start the server with --index DIR, or send texts"
    return f"the index holds no titles of {model!r}; name another model, or send texts"
