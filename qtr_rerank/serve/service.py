"""Plug in: one rerank request, from its documents to their order. Knows no HTTP.

A document is a text or an object. In id mode (an index was given) it may also be an id, whose
stored title features are used in place of a text.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import DataError
from qtr_rerank.rerank.documents import text_of
from qtr_rerank.rerank.kernel import first_order, reordered
from qtr_rerank.rerank.reranker import Request, Reranker
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.serve.faults import RequestFaultError, unprocessable
from qtr_rerank.serve.gate import Gate, Job
from qtr_rerank.serve.settings import ServeSettings

# Scores go out with so many decimals: fixed, since OpenSearch's ml-commons casts them to Double.
DECIMALS = 8
_UNITS = 10**DECIMALS
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, whatever API it came by. `timeout_ms` and `strict` are the client's own wishes:
    `strict` would rather have a fault than an order that was not finished.
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
class Answer:
    """Places of the documents, best first, with each one's probability (in units of 1e-8, falling
    wherever the order says so) and logit.

    `texts` are what was read of each document of the request, None for an id. `degraded`: time ran
    out, and what was not scored stands last, in the order of the request, as do `unknown_ids`.
    `together`: how many requests were scored in one with this, itself counted; 0 where none was.
    """

    model: str
    places: tuple[int, ...]
    units: tuple[int, ...]
    logits: tuple[float, ...]
    texts: Sequence[str | None]
    degraded: bool
    unknown_ids: tuple[str, ...]
    together: int = 0
    times_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def scores(self) -> list[str]:
        """The probabilities as they are written, with a decimal point and no exponent."""
        return [f"{unit // _UNITS}.{unit % _UNITS:0{DECIMALS}d}" for unit in self.units]


class RerankService:
    """The loaded models, and the gate before them. Safe to share between threads."""

    def __init__(self, settings: ServeSettings) -> None:
        """Load the models. Raises ArtifactError, and CatalogIndexError where the index was made
        with others of their names.
        """
        self.settings = settings
        self.gate = Gate(self._score, settings.concurrency, settings.queue, settings.batch)
        indexed = IndexManifest.load(settings.index).models if settings.index else {}
        self.models: dict[str, Reranker] = {}
        for name, artifact in settings.models:
            reranker = Reranker.load(artifact, threads=settings.threads, cache=settings.cache)
            if settings.index and reranker.name in indexed:
                reranker = reranker.with_index(settings.index)
            self.models[name] = reranker

    @property
    def default(self) -> str:
        """The name of the model that answers where none is asked for."""
        return self.settings.models[0][0]

    def warm(self) -> None:
        """Score once with each model: the first call of a graph is its slowest."""
        for reranker in self.models.values():
            reranker.logits("warm", ["warm up"])

    def answer(self, ask: Ask, arrived: float) -> Answer:
        """Rerank; `arrived` is when the request came, on `time.perf_counter`.

        Raises RequestFaultError.
        """
        limit = self.settings.timeout_ms
        deadline = arrived + min(limit, ask.timeout_ms or limit) / 1000.0
        name, reranker = self._model(ask.model)
        if len(ask.documents) > self.settings.documents:
            raise RequestFaultError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the request has {len(ask.documents):,} documents, and at most "
                f"{self.settings.documents:,} are taken; send fewer at once, or start the server "
                "with a larger --max-documents",
            )
        begun = time.perf_counter()
        reading = _read(ask, reranker, self.settings)
        read = time.perf_counter()
        job = Job(name, Request(ask.query, reading.texts, reading.positions), deadline)
        self.gate.run(job)
        scored = time.perf_counter()
        logits = job.logits
        if logits is None:
            logits = np.full(len(reading.texts), np.nan, dtype=np.float32)
        unknown = np.zeros(len(logits), dtype=np.bool_)
        unknown[list(reading.unknown_places)] = True
        ranking = reordered(
            first_order(len(logits), unreadable=unknown),
            reranker.scorer,
            logits,
            prior=ask.prior,
        )
        if ranking.degraded and ask.strict:
            raise RequestFaultError(
                HTTPStatus.GATEWAY_TIMEOUT,
                f"{int((~np.isnan(logits)).sum())} of {int((~unknown).sum())} documents were "
                f"scored in {(deadline - arrived) * 1000:.0f} ms; allow more time, send fewer "
                "documents, or take the order as far as it goes",
            )
        order = ranking.order[: ask.top_n]
        final_logits = ranking.logits[ranking.order]
        units = _units(ranking.scores[ranking.order], final_logits)[: len(order)]
        known = final_logits[~np.isnan(final_logits)]
        lowest = float(known.min()) if len(known) else 0.0
        return Answer(
            model=name,
            places=tuple(order.tolist()),
            units=units,
            logits=tuple(np.nan_to_num(final_logits[: len(order)], nan=lowest).tolist()),
            texts=reading.texts,
            degraded=ranking.degraded,
            unknown_ids=reading.unknown_ids,
            together=job.together,
            times_ms={
                "read": (read - begun) * 1000.0,
                "wait": ((job.begun or scored) - read) * 1000.0,
                "score": (scored - (job.begun or scored)) * 1000.0,
            },
        )

    def _score(
        self, model: str, requests: Sequence[Request], deadline: float
    ) -> Sequence[NDArray[np.float32]]:
        reranker = self.models[model]
        if len(requests) > 1:
            return reranker.logits_together(requests)
        (only,) = requests
        return [reranker.logits(only.query, only.titles, only.positions, deadline=deadline)]

    def _model(self, name: str | None) -> tuple[str, Reranker]:
        name = name or self.default
        if name not in self.models:
            raise RequestFaultError(
                HTTPStatus.NOT_FOUND,
                f"the model {name[:_SHOWN]!r} is not served; there are {', '.join(self.models)}",
            )
        return name, self.models[name]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What there is to read of each document: a text, or the position of its stored features."""

    texts: list[str | None]
    positions: NDArray[np.int64]
    unknown_places: tuple[int, ...]
    unknown_ids: tuple[str, ...]


def _read(ask: Ask, reranker: Reranker, settings: ServeSettings) -> _Reading:
    texts: list[str | None] = []
    ids: dict[int, str] = {}
    if ask.documents_are_ids and reranker.store is None:
        raise unprocessable(_no_ids(settings, reranker.name))
    for place, document in enumerate(ask.documents):
        identifier = _id(ask, document, settings) if reranker.store is not None else None
        if isinstance(document, str):
            text = None if identifier is not None else document
        else:
            text = _text(document, place, ask, reranker, identifier is not None)
        texts.append(text)
        # Stored is the title: not what rank_fields asks for.
        if identifier is not None and (text is None or not ask.rank_fields):
            ids[place] = identifier
    _require_rank_fields(ask, ids)
    positions = np.full(len(texts), -1, dtype=np.int64)
    if ids and reranker.store is not None:
        positions[list(ids)] = reranker.store.find(list(ids.values()))
    unknown = tuple(p for p in ids if positions[p] < 0 and texts[p] is None)
    return _Reading(texts, positions, unknown, tuple(ids[place] for place in unknown))


def _id(ask: Ask, document: str | Mapping[str, Any], settings: ServeSettings) -> str | None:
    if isinstance(document, str):
        if ask.documents_are_ids:
            return document
        prefix = settings.id_prefix
        return document.removeprefix(prefix) if document.startswith(prefix) else None
    for name in settings.id_fields:
        value = document.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
    return None


def _text(
    document: Mapping[str, Any], place: int, ask: Ask, reranker: Reranker, has_id: bool
) -> str | None:
    """What is read of an object; None where it is an id alone."""
    if ask.rank_fields:
        parts = [_field(document, name, place) for name in ask.rank_fields]
        if has_id and not any(parts):
            return None
        return " ".join(part for part in parts if part)
    if has_id and "text" not in document and "title" not in document:
        return None
    try:
        return text_of(document, place, reranker.reads)
    except DataError:
        raise unprocessable(
            f"document {place} is {str(document)[:80]!r}; expected a text, or an object with "
            f"'text', with texts in what the model reads ({', '.join(reranker.reads.fields)}), or "
            "with those fields that rank_fields names"
        ) from None


def _require_rank_fields(ask: Ask, ids: Mapping[int, str]) -> None:
    """Fields that no object has were written wrongly, unless stored features stand for them."""
    objects = [document for document in ask.documents if not isinstance(document, str)]
    asked = ask.rank_fields or ()
    if not objects or not asked or ids or any(name in one for one in objects for name in asked):
        return
    raise unprocessable(
        f"no document has one of the rank_fields {', '.join(asked)[:_SHOWN]}; the first has "
        f"{', '.join(objects[0])[:_SHOWN] or 'none at all'}"
    )


def _field(document: Mapping[str, Any], name: str, place: int) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise unprocessable(
        f"document {place} has {name!r} {repr(value)[:80]}, which rank_fields asks for; "
        "expected a text or a number"
    )


def _no_ids(settings: ServeSettings, model: str) -> str:
    if settings.index is None:
        return "documents_are_ids needs an index; start the server with --index DIR, or send texts"
    return f"the index holds no titles of {model!r}; ask for another model, or send texts"


def _units(scores: NDArray[np.float64], logits: NDArray[np.float64]) -> tuple[int, ...]:
    """Probabilities, best first, in units of 1e-8.

    Where the logits differ so do these, if only by one: a client that sorts by them finds the order
    that they came in.
    """
    units = np.rint(scores * _UNITS).astype(np.int64).tolist()
    # What has no logit is no better than its neighbour without one.
    values = np.nan_to_num(logits, nan=-np.inf).tolist()
    for place in range(len(units) - 2, -1, -1):
        units[place] = max(units[place], units[place + 1] + (values[place] != values[place + 1]))
    for place in range(len(units)):
        below = units[place - 1] - (values[place] != values[place - 1]) if place else _UNITS
        units[place] = max(0, min(units[place], below, _UNITS))
    return tuple(units)
