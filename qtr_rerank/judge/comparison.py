"""Judge: how far apart the runs are for certain, and which pair could change that most.

Each two runs are compared by the mean difference of their nDCG@depth. Unjudged pairs leave a range
(`evaluate.bounds`); the comparison is settled when the range leaves out 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from qtr_rerank.evaluate.bounds import difference_bounds
from qtr_rerank.judge.guidelines import BEST
from qtr_rerank.judge.pool import Pair, Pool, Ratings

# Before anything is judged, an unjudged product is taken to gain this share of the best grade: as
# much as ten judged pairs count. (On Icecat's first pages it is 0.28.)
_USUAL_GAIN, _USUAL_COUNT = 0.3, 10
# A range narrower than this is rounding: the runs differ in nothing that is unjudged.
_EQUAL = 1e-9
# Stands for a run without results, which a single run is compared with.
_NOBODY = -1


class Comparison:
    """The grades known so far, and what they leave open about the runs. Grades can be withdrawn."""

    def __init__(self, pool: Pool, ratings: Ratings) -> None:
        self.pool = pool
        self.grades = {query: dict(ratings.get(query, {})) for query in pool.queries}
        self._judged: dict[Pair, float] = {}
        self._numbers = {query: number for number, query in enumerate(pool.queries)}
        self._documents = {query: pool.documents(query) for query in pool.queries}
        places = 1.0 / np.log2(np.arange(2.0, pool.depth + 2.0))
        self._ideal_discounts = places
        self._discounts: list[dict[str, dict[str, float]]] = [
            {
                query: dict(zip(ranking, places.tolist(), strict=False))
                for query, ranking in run.items()
            }
            for run in pool.shown
        ]
        # By query: nDCG's difference if what is unjudged is worthless, its least, its greatest.
        self._ranges: dict[tuple[int, int], npt.NDArray[np.float64]] = {
            runs: np.zeros((len(pool.queries), 3))
            for runs in combinations(range(len(pool.shown)), 2)
        }
        for query in pool.queries:
            self._measure(query)

    def judge(self, pair: Pair, rating: float) -> None:
        """Take `rating` for `pair`, in place of an earlier one.

        A product that no run shows counts for the ideal order of its query; a query that no run has
        does not count.
        """
        if pair.query not in self.grades:
            return
        self.grades[pair.query][pair.document] = rating
        self._judged[pair] = rating
        self._measure(pair.query)

    def withdraw(self, pair: Pair) -> None:
        """Forget the rating that `judge` took for `pair`."""
        if pair not in self._judged:
            return
        del self.grades[pair.query][pair.document]
        del self._judged[pair]
        self._measure(pair.query)

    def difference(self, first: int, second: int) -> tuple[float, float]:
        """The least and greatest mean nDCG of run `second` minus that of run `first`."""
        _, least, greatest = self._ranges[first, second].mean(axis=0).tolist()
        return least, greatest

    def is_settled(self, first: int, second: int) -> bool:
        """Whether no grades of the unjudged pairs can turn the order of the two runs."""
        least, greatest = self.difference(first, second)
        return least > 0 or greatest < 0 or greatest - least < _EQUAL

    @property
    def compared(self) -> list[tuple[int, int]]:
        """Each two runs, by number."""
        return list(self._ranges)

    @property
    def settled(self) -> bool:
        """Whether each two runs are settled; False for a single run, which is never compared."""
        return bool(self._ranges) and all(self.is_settled(*runs) for runs in self._ranges)

    def usefulness(self) -> dict[Pair, float]:
        """How much each unjudged pair can do to settle the comparisons that are open.

        A grade moves the difference of two runs by the difference of the discounts that they give
        the product, divided by the ideal DCG. A comparison is settled by the bound on the side of
        the run behind. That bound takes a product that this run ranks higher for the best grade:
        judging it gains what it falls short of that. It takes a product that the leader ranks
        higher for worthless: judging it gains its grade. Most unjudged products are worth little,
        so the first kind is more useful.

        Where all is settled, and for a single run, it is the size of the pair.
        """
        compared = [runs for runs in self._ranges if not self.is_settled(*runs)]
        if not compared:
            return self.sizes()
        return self._moved([(*runs, *self._shares(*runs)) for runs in compared])

    def sizes(self) -> dict[Pair, float]:
        """How much the best grade of each unjudged pair would move all the comparisons; for a
        single run, its nDCG.
        """
        return self._moved([(*runs, 1.0, 1.0) for runs in self._ranges] or [(_NOBODY, 0, 1.0, 1.0)])

    def worthless(self, first: int, second: int) -> float:
        """The mean nDCG of run `second` minus that of `first` if what is unjudged is worthless."""
        return float(self._ranges[first, second][:, 0].mean())

    def contribution(self, pair: Pair, first: int, second: int) -> float:
        """What a judged pair adds to the mean nDCG of run `second` minus that of `first`."""
        grades = self.grades[pair.query]
        ideal = self._ideal([max(0.0, grade) for grade in grades.values()])
        weight = self._discount(second, pair) - self._discount(first, pair)
        gain = max(0.0, float(grades[pair.document]))
        return weight * gain / ideal / len(self.pool.queries) if gain else 0.0

    def _moved(self, compared: Sequence[tuple[int, int, float, float]]) -> dict[Pair, float]:
        """How much the best grade of each unjudged pair moves comparisons of two runs.

        Each comparison has two factors: for a product that the second run ranks higher, and for one
        that it ranks lower.
        """
        moved = {}
        for query in self.pool.queries:
            unjudged = self._documents[query] - self.grades[query].keys()
            scale = self._scale(query) if unjudged else 0.0
            for pair in (Pair(query, document) for document in unjudged):
                worth = 0.0
                for first, second, above, below in compared:
                    weight = self._discount(second, pair) - self._discount(first, pair)
                    worth += weight * above if weight > 0 else -weight * below
                moved[pair] = worth * scale
        return moved

    def _discount(self, run: int, pair: Pair) -> float:
        """The discount of the pair's rank in a run; 0 if the run does not show it."""
        if run == _NOBODY:
            return 0.0
        return self._discounts[run].get(pair.query, {}).get(pair.document, 0.0)

    def _shares(self, first: int, second: int) -> tuple[float, float]:
        """What judging is expected to gain, as a share of the best grade: of a product that
        `second` ranks higher than `first`, and of one that it ranks lower.
        """
        gained = sum(max(0.0, rating) for rating in self._judged.values()) / BEST
        gain = (gained + _USUAL_GAIN * _USUAL_COUNT) / (len(self._judged) + _USUAL_COUNT)
        worthless, least, greatest = self._ranges[first, second].mean(axis=0).tolist()
        expected = worthless + gain * (least + greatest - 2 * worthless)
        return (gain, 1 - gain) if expected > 0 else (1 - gain, gain)

    def _scale(self, query: str) -> float:
        """The best grade of the query, divided by the ideal DCG with one more product of it."""
        grades = [max(0.0, grade) for grade in self.grades[query].values()]
        best = max(grades, default=0.0) or float(BEST)
        return best / self._ideal([*grades, best])

    def _ideal(self, grades: list[float]) -> float:
        best = sorted(grades, reverse=True)[: self.pool.depth]
        return float(np.dot(best, self._ideal_discounts[: len(best)]))

    def _measure(self, query: str) -> None:
        """Measure one query again, after its grades have changed."""
        grades = self.grades[query]
        ideal = self._ideal([max(0.0, grade) for grade in grades.values()])
        gains = [
            sum(max(0.0, grades.get(one, 0.0)) * discount for one, discount in run.items())
            for run in (run.get(query, {}) for run in self._discounts)
        ]
        for (first, second), ranges in self._ranges.items():
            least, greatest = difference_bounds(
                self.pool.shown[first].get(query, ()),
                self.pool.shown[second].get(query, ()),
                grades,
                self.pool.depth,
                self._documents[query],
            )
            worthless = (gains[second] - gains[first]) / ideal if ideal else 0.0
            ranges[self._numbers[query]] = worthless, least, greatest
