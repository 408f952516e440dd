"""Judge: how far two judges agree beyond chance: quadratically weighted kappa."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from qtr_rerank.judge.guidelines import RATINGS
from qtr_rerank.judge.judgment_file import Graded


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two judges over the pairs that both graded.

    `kappa` is None where it is undefined: no common pair, or one and the same grade everywhere.
    """

    judges: tuple[str, str]
    pairs: int
    same: int
    kappa: float | None


def agreements(judges: Mapping[str, Sequence[Graded]]) -> list[Agreement]:
    """The agreement of each two judges."""
    ratings = {
        name: {graded.pair: graded.rating for graded in rows} for name, rows in judges.items()
    }
    found = []
    for one, other in combinations(ratings, 2):
        common = sorted(
            ratings[one].keys() & ratings[other].keys(),
            key=lambda pair: (pair.query, pair.document),
        )
        first = [ratings[one][pair] for pair in common]
        second = [ratings[other][pair] for pair in common]
        same = sum(a == b for a, b in zip(first, second, strict=True))
        found.append(Agreement((one, other), len(common), same, weighted_kappa(first, second)))
    return found


def weighted_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen, "Weighted kappa", Psychological Bulletin 70,
    1968): 1 for equal grades, 0 for what chance gives; a difference of two grades counts four times
    a difference of one. None where chance alone gives no difference.

    `first` and `second` are grades of the same pairs, in the same order.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} grades; expected those of the same pairs")
    steps = len(RATINGS)
    counted = np.zeros((steps, steps))
    for one, other in zip(first, second, strict=True):
        counted[one, other] += 1
    distance = np.subtract.outer(np.arange(steps), np.arange(steps)) ** 2
    by_chance = float((np.outer(counted.sum(axis=1), counted.sum(axis=0)) * distance).sum())
    if not by_chance:
        return None
    return 1.0 - len(first) * float((counted * distance).sum()) / by_chance
