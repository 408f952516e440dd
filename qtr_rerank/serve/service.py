"""Plug in: one rerank request, from its documents to their order. Knows no HTTP.

A document is a text or an object. With an index it may also be an id: the stored title features of
that product are then scored instead of a text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.rerank.kernel import Ranking, first_order, reordered
from qtr_rerank.rerank.reranker import Reranker
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.serve.admission import AdmissionQueue
from qtr_rerank.serve.request_documents import RerankRequest, ServedModel, read_documents
from qtr_rerank.serve.request_errors import RequestError, quoted
from qtr_rerank.serve.server_settings import ServerSettings

__all__ = ["RerankRequest", "RerankResponse", "RerankService", "ServedModel"]

# Scores are rounded to so many decimals: OpenSearch's ml-commons keeps no more.
_SCORE_UNITS = 10**8


@dataclass(frozen=True, slots=True)
class RerankResponse:
    """Indices of the documents, best first, with the probability and the logit of each.

    `scores` have eight decimals at most and fall wherever the logits differ. `texts` are what was
    read of each document of the request, None for an id. `degraded`: time ran out, and documents
    that were not scored stand last, in the order of the request; `unknown_ids` stand behind them.
    """

    model: str
    indices: Sequence[int]
    scores: Sequence[float]
    logits: Sequence[float]
    texts: Sequence[str | None]
    degraded: bool
    unknown_ids: tuple[str, ...]
    times_ms: Mapping[str, float] = field(default_factory=dict)


class RerankService:
    """Models by the names that requests use, behind an admission queue. Thread-safe."""

    def __init__(self, models: Mapping[str, ServedModel], settings: ServerSettings) -> None:
        """The first of `models` is the default."""
        self.models = dict(models)
        self.settings = settings
        self.queue = AdmissionQueue(settings.concurrency, settings.queue)

    @classmethod
    def load(cls, settings: ServerSettings) -> RerankService:
        """Load the models of the settings.

        Raises ArtifactError, and CatalogIndexError where the index was made with other models of
        the same names.
        """
        indexed = IndexManifest.load(settings.index).models if settings.index else {}
        models: dict[str, ServedModel] = {}
        for name, artifact in settings.models:
            reranker = Reranker.load(artifact, threads=settings.threads, cache=settings.cache)
            if settings.index and reranker.name in indexed:
                reranker = reranker.with_index(settings.index)
            models[name] = reranker
        return cls(models, settings)

    @property
    def default(self) -> str:
        """The name of the model for requests that name none."""
        return next(iter(self.models))

    def warm(self) -> None:
        """Score once with each model: a graph's first run is its slowest."""
        for model in self.models.values():
            model.logits("warm", ["warm up"])

    def rerank(self, request: RerankRequest, arrived: float) -> RerankResponse:
        """Rerank; `arrived` is the request's arrival, on `time.perf_counter`.

        Raises RequestError.
        """
        limit = self.settings.timeout_ms
        deadline = arrived + min(limit, request.timeout_ms or limit) / 1000.0
        name, model = self._model(request.model)
        self._require_few(request)
        begun = time.perf_counter()
        inputs = read_documents(request, model, self.settings)
        read = time.perf_counter()
        with self.queue.admitted(deadline) as admitted:
            admitted_at = time.perf_counter()
            if admitted:
                logits = model.logits(
                    request.query, inputs.texts, inputs.positions, deadline=deadline
                )
            else:
                logits = np.full(len(inputs.texts), np.nan, dtype=np.float32)
        scored = time.perf_counter()
        unknown = np.zeros(len(logits), dtype=np.bool_)
        unknown[list(inputs.unknown_places)] = True
        first = first_order(len(logits), unreadable=unknown)
        ranking = reordered(first, model.scorer, logits, prior=request.prior)
        if ranking.degraded and request.strict:
            raise _incomplete(ranking, (deadline - arrived) * 1000.0)
        order = ranking.order
        final_logits = ranking.logits[order]
        shown = slice(request.top_n)
        return RerankResponse(
            model=name,
            indices=order[shown].tolist(),
            scores=falling_scores(ranking.scores[order], final_logits)[shown].tolist(),
            logits=_without_nan(final_logits)[shown].tolist(),
            texts=inputs.texts,
            degraded=ranking.degraded,
            unknown_ids=inputs.unknown_ids,
            times_ms={
                "read": (read - begun) * 1000.0,
                "wait": (admitted_at - read) * 1000.0,
                "score": (scored - admitted_at) * 1000.0,
            },
        )

    def _require_few(self, request: RerankRequest) -> None:
        if len(request.documents) > self.settings.max_documents:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the request has {len(request.documents):,} documents; at most "
                f"{self.settings.max_documents:,} are allowed; send fewer, or start the server "
                "with a larger --max-documents",
            )

    def _model(self, name: str | None) -> tuple[str, ServedModel]:
        name = name or self.default
        if name not in self.models:
            raise RequestError(
                HTTPStatus.NOT_FOUND,
                f"the model {quoted(name)!r} is not served; there are {', '.join(self.models)}",
            )
        return name, self.models[name]


def _incomplete(ranking: Ranking, milliseconds: float) -> RequestError:
    scored = int((~np.isnan(ranking.logits)).sum())
    return RequestError(
        HTTPStatus.GATEWAY_TIMEOUT,
        f"{scored} of {int((~ranking.unreadable).sum())} documents were scored in "
        f"{milliseconds:.0f} ms; allow more time, send fewer documents, or accept a partly scored "
        "order",
    )


def falling_scores(
    probabilities: NDArray[np.float64], logits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities (documents,), best first, in eight decimals, one unit apart at least wherever
    the logits differ.

    Probabilities saturate at 1 and round to the same decimals. A client that sorts by score would
    change the order of such documents.
    """
    # A missing logit is no better than another missing one.
    values = np.nan_to_num(logits, nan=-np.inf)
    steps = np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])
    # Falling by a unit a step is the same as: units + steps never rises.
    raised = np.rint(probabilities * _SCORE_UNITS) + steps[: len(values)]
    raised = np.maximum.accumulate(raised[::-1])[::-1]
    units = np.minimum(raised, _SCORE_UNITS) - steps[: len(values)]
    scores: NDArray[np.float64] = np.maximum(units, 0) / _SCORE_UNITS
    return scores


def _without_nan(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits with the lowest of them for documents that were not scored; JSON has no NaN."""
    unscored = np.isnan(logits)
    lowest = 0.0 if unscored.all() else logits[~unscored].min()
    return np.where(unscored, lowest, logits)
