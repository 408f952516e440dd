"""Rerank: stages of growing cost over a shrinking top, as configured.

Each stage takes the order so far, scores the best `depth` of it and sorts those; the rest stays
below, in the order it had. So every place is decided by the last stage that read it:

    match on 100 | bert2dnn on all the others | whatever was not read, as retrieved

Logits of two models cannot be compared, and are not: the result's order is the cascade's, and
logits fall from place to place only within one stage (`Ranked.stage`), not across the border
between two. `Ranked.score` is the deciding model's probability alone; with a prior, a product that
retrieval put far behind may score above the one that stands over it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import SettingsError
from qtr_rerank.records import Candidate, Ranked

# Titles scored between two looks at the clock: memory stays bounded, and so does what a deadline is
# overrun by.
BLOCK = 256
RETRIEVE = "retrieve"

Features = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StageSettings:
    """One stage: `model` orders the best `depth` of the order so far, None for all of it.

    `prior` is how much the first stage's order still counts: so many logits are taken off for
    each e-fold of (first rank + 10), from none at rank 1.
    """

    model: str
    depth: int | None = None
    prior: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.prior < math.inf:
            raise SettingsError(
                f"the stage of {self.model!r} has prior {self.prior}; expected 0 or more"
            )
        if self.depth is not None and self.depth < 1:
            raise SettingsError(
                f"the stage of {self.model!r} has depth {self.depth}; "
                "expected at least 1, or None for all"
            )


# The students know titles, retrieval also brands, categories and descriptions: its order counts.
# Measured (results/README.md): neither a second stage nor another prior was better on both shops
# than `match` alone, which is quick enough to read all candidates.
DEFAULT_CASCADE = (StageSettings("match", prior=2.0),)
# Ranks as far apart as 1 and 10 differ little, 10 and 100 much: RRF's constant does the same.
_PRIOR_OFFSET = 10


class StageScorer(Protocol):
    """What a stage needs of a model; a `Scorer` is one."""

    name: str

    def encode_queries(self, queries: Sequence[str]) -> Features:
        """Query features by name, each (queries, ...)."""
        ...

    def score(self, query: Features, titles: Features) -> NDArray[np.float32]:
        """Logits (titles,) of one query's features against those of titles."""
        ...

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities of relevance."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage made ready: `features` are those of all titles of the index, by position."""

    scorer: StageScorer
    features: Features
    depth: int | None = None
    prior: float = 0.0


@dataclass(frozen=True, slots=True)
class CascadeResult:
    """The best candidates in their new order. `times_ms` has an entry for each stage that began.

    `degraded`: the deadline passed, and the order is that of the last stage that finished.
    """

    ranked: tuple[Ranked, ...]
    times_ms: Mapping[str, float]
    degraded: bool


def run_cascade(
    query: str,
    candidates: Sequence[Candidate],
    positions: NDArray[np.int64],
    stages: Sequence[Stage],
    limit: int | None = None,
    deadline: float | None = None,
) -> CascadeResult:
    """Rerank `candidates`, which stand at `positions` of the index: a permutation of them.

    All are ranked; the best `limit` come back, None for all. `deadline` is a reading of
    `time.perf_counter`; a stage that it finds unfinished leaves no trace. Equal logits keep the
    former order.
    """
    count = len(candidates)
    order = np.arange(count)
    scores = np.array([candidate.score for candidate in candidates], dtype=np.float64)
    logits = scores.copy()
    penalty = prior_penalty(count)
    decided = [RETRIEVE] * count
    times: dict[str, float] = {}
    degraded = False
    for stage in stages if count else ():
        started = time.perf_counter()
        top = order[: stage.depth]
        found = _stage_logits(stage, query, positions[top], deadline)
        times[stage.scorer.name] = (time.perf_counter() - started) * 1000.0
        if found is None:
            degraded = True
            break
        # The score stays what the model says, a probability; the place also weighs the prior.
        scores[top] = stage.scorer.probabilities(found)
        # Sort on logits: probabilities saturate at 1.0 and would tie.
        logits[top] = found - stage.prior * penalty[top]
        sorting = np.argsort(-logits[top], kind="stable")
        for place in top.tolist():
            decided[place] = stage.scorer.name
        order[: len(top)] = top[sorting]
    ranked = tuple(
        Ranked(
            id=candidates[place].id,
            index=place,
            rank=rank,
            score=float(scores[place]),
            logit=float(logits[place]),
            first_rank=candidates[place].rank,
            first_score=candidates[place].score,
            stage=decided[place],
        )
        for rank, place in enumerate(order[:limit].tolist(), start=1)
    )
    return CascadeResult(ranked, times, degraded)


def prior_penalty(count: int) -> NDArray[np.float64]:
    """What a prior of 1 takes off the logits (count,) of candidates in their first order."""
    penalty: NDArray[np.float64] = np.log(
        (np.arange(count) + 1 + _PRIOR_OFFSET) / (1 + _PRIOR_OFFSET)
    )
    return penalty


def _stage_logits(
    stage: Stage, query: str, positions: NDArray[np.int64], deadline: float | None
) -> NDArray[np.float32] | None:
    """Logits (positions,), or None where the deadline passed before the last of them."""
    if passed(deadline):
        return None
    query_features = stage.scorer.encode_queries([query])
    logits = np.empty(len(positions), dtype=np.float32)
    for start in range(0, len(positions), BLOCK):
        if passed(deadline):
            return None
        block = positions[start : start + BLOCK]
        titles = {name: rows[block] for name, rows in stage.features.items()}
        logits[start : start + BLOCK] = stage.scorer.score(query_features, titles)
    return logits


def passed(deadline: float | None) -> bool:
    """Whether a reading of `time.perf_counter` lies behind us; never where there is no deadline."""
    return deadline is not None and time.perf_counter() >= deadline
