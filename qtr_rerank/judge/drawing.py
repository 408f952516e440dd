"""Judge: pairs drawn by chance, and what they say about all pairs: an estimate with its error.

The bounds of `comparison` need nearly every pair that could matter. A sample needs far fewer to say
which run is better, provided that chance draws it. Pairs are drawn one after another, without
replacement, each with a chance proportional to what it can move (its size). Des Raj's estimator
("Some estimators in sampling with varying probabilities without replacement", JASA 51, 1956) then
gives the sum over all pairs without bias, and its standard error.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import inf, log, sqrt

from qtr_rerank.judge.comparison import Comparison
from qtr_rerank.judge.pool import Pair

ORDERS = ("drawn", "useful")
# An estimate from fewer pairs has no reliable error.
LEAST = 20
# A comparison is likely settled this many standard errors from 0: a normal value is farther out
# once in a hundred times. On Icecat none of 120 comparisons that were stopped there was wrong
# (experiments/judging.py).
ERRORS = 2.58
# Where more than this share of the pairs up to the last judged one is missing, chance did not
# choose what was judged.
_MOST_MISSING = 0.1


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated mean difference of nDCG once everything is judged, and its standard error."""

    difference: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether 0 is far outside of the error."""
        return abs(self.difference) > ERRORS * self.error


class Drawing:
    """The order in which a seed draws the pairs of a pool.

    Made of a comparison that knows the qrels alone, so that every session draws the same.
    """

    def __init__(self, comparison: Comparison, seed: int) -> None:
        sizes = comparison.sizes()
        self._sizes = {pair: size for pair, size in sizes.items() if size > 0}

        def key(pair: Pair) -> float:
            # Efraimidis and Spirakis, "Weighted random sampling with a reservoir", IPL 97, 2006.
            size = self._sizes.get(pair, 0.0)
            return log(chance(pair, seed)) / size if size else -inf

        self.order = sorted(comparison.pool.open, key=key, reverse=True)
        self.place = {pair: place for place, pair in enumerate(self.order)}

    def estimate(self, comparison: Comparison, first: int, second: int) -> Estimate | None:
        """The difference of run `second` to run `first` by what `comparison` knows now.

        Pairs that were passed over (skipped) count as worthless. None for too few pairs, and where
        another order than this one chose what is judged.
        """
        judged = [
            place
            for place, pair in enumerate(self.order)
            if pair in self._sizes and pair.document in comparison.grades[pair.query]
        ]
        if len(judged) < LEAST or judged[-1] + 1 - len(judged) > _MOST_MISSING * len(judged):
            return None
        drawn = [self.order[place] for place in judged]
        waiting = self.order[judged[-1] + 1 :]
        total = sum(self._sizes.get(pair, 0.0) for pair in (*drawn, *waiting))
        # The drawn pairs' part of the difference is known; each draw estimates the rest.
        known = drawn_share = 0.0
        sums = []
        for pair in drawn:
            value = comparison.contribution(pair, first, second)
            share = self._sizes[pair] / total
            sums.append(known + value / share * (1.0 - drawn_share))
            known += value
            drawn_share += share
        mean = sum(sums) / len(sums)
        variance = sum((one - mean) ** 2 for one in sums) / (len(sums) - 1) / len(sums)
        worthless = comparison.worthless(first, second)
        return Estimate(worthless - known + mean, sqrt(variance))


def state_of(comparison: Comparison, drawing: Drawing) -> str:
    """ "settled" if no grade can turn the order of any two runs, "likely settled" if the estimates
    of all others are clear, else "open". A single run is never settled.
    """
    if comparison.settled:
        return "settled"
    waiting = [runs for runs in comparison.compared if not comparison.is_settled(*runs)]
    estimates = [drawing.estimate(comparison, *runs) for runs in waiting]
    clear = bool(waiting) and all(one is not None and one.is_clear for one in estimates)
    return "likely settled" if clear else "open"


def chance(pair: Pair, seed: int) -> float:
    """A number between 0 and 1, without either: the same for a pair in every session of a seed."""
    key = f"{seed}|{pair.query}|{pair.document}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())
    return (number + 0.5) / 2**64
