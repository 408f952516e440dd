"""Rerank: the ranking kernel, the one place that orders documents.

The library call, the search and the rerank server all end here, so these rules hold everywhere:

- Documents come in their first order: the search engine's, or the one that a caller gave.
- A stage scores documents with one model, block by block. What it scored goes in front, best first;
  equal logits keep the order they came in.
- Past the deadline, documents that were scored stand first, in their order. The others keep the
  order they came in, behind, and the ranking is flagged `degraded`.
- `score` is a number from 0 to 1 that never rises from a rank to the next: the model's calibrated
  probability after everything else that counts (prior, blend). A document that no model scored
  keeps its first score, capped by the score above it.
- `parts` holds what each signal said by itself, the model's own probability included.

Pure: it reads no files and keeps no state; a deadline is a reading of `time.perf_counter`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.records import Ranked
from qtr_rerank.rerank.blend import blended

# Titles scored between two looks at the clock. It bounds memory, and what a deadline is overrun by.
BLOCK = 256
# `Ranked.stage` of a document that no model scored.
RETRIEVE = "retrieve"
# Ranks 1 and 10 differ little, 10 and 100 much; the constant of rank fusion has the same effect.
_PRIOR_OFFSET = 10

Arrays = dict[str, NDArray[Any]]
Places = NDArray[np.int64]
# Title features (places, ...) of the documents at these places of the first order.
TitleFeatures = Callable[[Places], Arrays]


class StageScorer(Protocol):
    """The part of a model that the kernel uses; a `Scorer` has it."""

    name: str

    def encode_queries(self, queries: Sequence[str]) -> Arrays:
        """Query features by name, each (queries, ...)."""
        ...

    def score(self, query: Arrays, titles: Arrays) -> NDArray[np.float32]:
        """Logits (titles,) of one query's features against those of titles."""
        ...

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities of relevance, monotone in the logits."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One model of a cascade: it scores the first `depth` documents of the order so far.

    `prior` is how much the first order counts: logits taken off per e-fold of (first rank + 10).
    """

    scorer: StageScorer
    features: TitleFeatures
    depth: int | None = None
    prior: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """The documents of one query in an order. Arrays over documents are in the first order.

    `order` (ranked,) lists documents by their place (from 0) in the first order, best first.
    `scores` (documents,) lie in 0..1 and never rise along `order`. `logits` (documents,) are what
    the deciding model's documents were sorted on, its prior taken off; NaN where no model scored.
    `stages` names the models, and `decided` (documents,) indexes it: 0 is "retrieve".
    `unreadable` (documents,) marks what has neither text nor stored features: always last.
    `parts` maps a signal's name to its values (documents,), NaN where it has none.
    """

    order: Places
    scores: NDArray[np.float64]
    logits: NDArray[np.float64]
    stages: tuple[str, ...]
    decided: NDArray[np.int8]
    unreadable: NDArray[np.bool_]
    parts: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    times_ms: Mapping[str, float] = field(default_factory=dict)
    degraded: bool = False

    def at_least(self, min_score: float) -> Ranking:
        """Without the scored documents below `min_score`; what was not scored stays."""
        kept = (self.scores[self.order] >= min_score) | np.isnan(self.logits[self.order])
        return replace(self, order=self.order[kept])

    def hits(
        self,
        ids: Callable[[Places], Sequence[str]],
        limit: int | None = None,
        *,
        documents: Sequence[Any] | None = None,
        first_scores: NDArray[np.float64] | None = None,
    ) -> list[Ranked]:
        """The best `limit` as records. `ids` maps places of the first order to ids."""
        places = self.order[:limit]
        first = np.zeros(len(places)) if first_scores is None else first_scores[places]
        columns = zip(
            places.tolist(),
            ids(places),
            self.scores[places].tolist(),
            np.nan_to_num(self.logits[places]).tolist(),
            first.tolist(),
            self.decided[places].tolist(),
            self._explained(places),
            strict=True,
        )
        return [
            Ranked(
                id=id,
                index=place,
                rank=rank,
                score=score,
                logit=logit,
                first_rank=place + 1,
                first_score=first_score,
                stage=self.stages[decided],
                document=None if documents is None else documents[place],
                explain=explain,
            )
            for rank, (place, id, score, logit, first_score, decided, explain) in enumerate(
                columns, start=1
            )
        ]

    def _explained(self, places: Places) -> list[dict[str, float]]:
        names = [*self.parts, "first_rank"]
        columns = [values[places] for values in self.parts.values()]
        rows = zip(*(column.tolist() for column in columns), (places + 1).tolist(), strict=True)
        if not any(np.isnan(column).any() for column in columns):
            return [dict(zip(names, row, strict=True)) for row in rows]
        # NaN is not equal to itself: signals that a document lacks are left out.
        return [
            {name: value for name, value in zip(names, row, strict=True) if value == value}
            for row in rows
        ]


def first_order(
    count: int,
    scores: NDArray[np.float64] | None = None,
    parts: Mapping[str, NDArray[np.float64]] | None = None,
    unreadable: NDArray[np.bool_] | None = None,
) -> Ranking:
    """`count` documents as they came, before any model; `unreadable` ones (documents,) behind.

    `scores` (documents,) are the first engine's, in 0..1 and never rising; 0 where there are none.
    """
    order = np.arange(count)
    values = np.zeros(count) if scores is None else scores
    if unreadable is None:
        unreadable = np.zeros(count, dtype=np.bool_)
    elif unreadable.any():
        order = np.concatenate([order[~unreadable], order[unreadable]])
        values = _never_rising(values, order)
    return Ranking(
        order=order,
        scores=values,
        logits=np.full(count, np.nan),
        stages=(RETRIEVE,),
        decided=np.zeros(count, dtype=np.int8),
        unreadable=unreadable,
        parts=parts or {},
    )


def rank(
    query: str, first: Ranking, stages: Sequence[Stage], deadline: float | None = None
) -> Ranking:
    """Score and order in each stage in turn. All documents of `first` stay: a permutation of it.

    Raises ScoringError where a model fails.
    """
    ranking = first
    for stage in stages if len(first.order) else ():
        started = time.perf_counter()
        readable = ranking.order[~ranking.unreadable[ranking.order]]
        places = readable[: stage.depth]
        logits = np.full(len(first.scores), np.nan, dtype=np.float32)
        logits[places] = score_titles(stage.scorer, query, places, stage.features, deadline)
        ranking = reordered(ranking, stage.scorer, logits, wanted=places, prior=stage.prior)
        spent = (time.perf_counter() - started) * 1000.0
        ranking = replace(ranking, times_ms={**ranking.times_ms, stage.scorer.name: spent})
        if ranking.degraded:
            break
    return ranking


def score_titles(
    scorer: StageScorer,
    query: str,
    places: Places,
    features: TitleFeatures,
    deadline: float | None = None,
) -> NDArray[np.float32]:
    """Logits (places,), scored a block at a time in that order; NaN past the deadline.

    An empty query scores every title 0.
    """
    logits = np.full(len(places), np.nan, dtype=np.float32)
    if _passed(deadline):
        return logits
    if not query.strip():
        logits[:] = 0.0
        return logits
    if not len(places):
        return logits
    query_features = scorer.encode_queries([query])
    for start in range(0, len(places), BLOCK):
        if _passed(deadline):
            break
        block = slice(start, start + BLOCK)
        logits[block] = scorer.score(query_features, features(places[block]))
    return logits


def reordered(
    ranking: Ranking,
    scorer: StageScorer,
    logits: NDArray[np.float32],
    *,
    wanted: Places | None = None,
    prior: float = 0.0,
    blend: Mapping[str, float] | None = None,
    signals: Mapping[str, Sequence[float | None]] | None = None,
) -> Ranking:
    """`ranking` with the documents that have a logit (documents,) in front, best first.

    `prior` lets the first order count, `blend` and `signals` (documents,) other numbers: see
    `blend.blended`. Documents without a logit (NaN) keep their order, behind. The ranking is
    degraded where one of the `wanted` documents (all readable ones if None) has none.
    """
    scored = ~np.isnan(logits[ranking.order])
    front, back = ranking.order[scored], ranking.order[~scored]
    if wanted is None:
        wanted = np.flatnonzero(~ranking.unreadable)
    own = logits[front].astype(np.float64)
    penalty = prior * prior_penalty(front)
    adjusted = own - penalty
    values = scorer.probabilities(adjusted)
    if blend:
        mixed = np.zeros(len(logits))
        mixed[front] = values
        values = blended(mixed, signals or {}, blend)[front]
        # Equal mixtures go by their logits: probabilities saturate at 1.0 and would tie.
        best = np.lexsort((-adjusted, -values))
    else:
        best = np.argsort(-adjusted, kind="stable")
    order = np.concatenate([front[best], back])
    scores = ranking.scores.copy()
    scores[front] = values
    decided = ranking.decided.copy()
    decided[front] = len(ranking.stages)
    new_logits = ranking.logits.copy()
    new_logits[front] = adjusted
    parts = dict(ranking.parts)
    parts[scorer.name] = _column(len(logits), front, scorer.probabilities(own))
    if prior:
        parts["prior"] = _column(len(logits), front, -penalty)
    for name in blend or {}:
        given = (signals or {})[name]
        parts[name] = np.array([np.nan if one is None else one for one in given], dtype=np.float64)
    return replace(
        ranking,
        order=order,
        scores=_never_rising(scores, order),
        logits=new_logits,
        stages=(*ranking.stages, scorer.name),
        decided=decided,
        parts=parts,
        degraded=ranking.degraded or bool(np.isnan(logits[wanted]).any()),
    )


def prior_penalty(places: Places) -> NDArray[np.float64]:
    """Logits (places,) that a prior of 1 takes off documents at these places of the first order.

    None for the first; ln((rank + 10) / 11) in general, so it grows with each e-fold.
    """
    penalty: NDArray[np.float64] = np.log((places + 1 + _PRIOR_OFFSET) / (1 + _PRIOR_OFFSET))
    return penalty


def _passed(deadline: float | None) -> bool:
    return deadline is not None and time.perf_counter() >= deadline


def _never_rising(scores: NDArray[np.float64], order: Places) -> NDArray[np.float64]:
    """Scores (documents,) capped along `order` by the ones above."""
    capped = scores.copy()
    capped[order] = np.minimum.accumulate(scores[order])
    return capped


def _column(count: int, places: Places, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of some documents as a column of all (count,), NaN elsewhere."""
    column = np.full(count, np.nan)
    column[places] = values
    return column
