"""What chance does: a paired randomisation test of two runs, confidence intervals of means."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from qtr_rerank.errors import SettingsError
from qtr_rerank.evaluate.measure_settings import PERMUTATIONS, RESAMPLES

Interval = tuple[float, float]
Name = TypeVar("Name", bound=Hashable)

_BLOCK = 256  # permutations or resamples drawn at a time: bounds memory at _BLOCK x queries
_PERCENTILES = (2.5, 97.5)


def paired_randomisation(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> float:
    """The two-sided p of the paired randomisation (permutation) test on the means' difference.

    Under the null hypothesis, the two values of each query may be swapped. p is the share of
    random swaps whose |mean difference| reaches the observed one, counting the observed order:
    (1 + hits) / (1 + permutations), so never 0. This is Fisher's test as Smucker, Allan and
    Carterette recommend it for retrieval ("A comparison of statistical significance tests for
    information retrieval evaluation", CIKM 2007).

    `first` and `second` have shape (queries,), with the queries in the same order.
    """
    if permutations < 1:
        raise SettingsError(f"permutations is {permutations}; the test needs at least 1")
    difference = np.asarray(second, np.float64) - np.asarray(first, np.float64)  # (queries,)
    observed = abs(float(difference.sum()))
    # The same swaps summed in another order differ in the last bits, and must count as hits.
    reached = observed - 1e-12 * max(1.0, float(np.abs(difference).sum()))
    rng = np.random.default_rng(seed)
    hits = 0
    for start in range(0, permutations, _BLOCK):
        rows = min(_BLOCK, permutations - start)
        signs = rng.integers(0, 2, size=(rows, len(difference)), dtype=np.int8) * 2 - 1
        hits += int((np.abs(signs @ difference) >= reached).sum())
    return (1 + hits) / (1 + permutations)


def bootstrap_intervals(
    columns: Mapping[Name, Sequence[float]], resamples: int = RESAMPLES, seed: int = 0
) -> dict[Name, Interval]:
    """The 95 % confidence interval of each column's mean, by the percentile bootstrap over queries.

    Queries are drawn with replacement, as many as there are; the interval is from the 2.5th to the
    97.5th percentile of the means of `resamples` such draws (Efron and Tibshirani, "An introduction
    to the bootstrap", 1993, section 13.3). It says how far other queries of the same kind could
    move the mean, not what unjudged documents hide. All columns have one length, (queries,), at
    least 1, and are drawn alike; draws take the time, so give all columns at once. Raises
    SettingsError where there are no resamples.
    """
    if resamples < 1:
        raise SettingsError(f"resamples is {resamples}; an interval needs at least 1")
    if not columns:
        return {}
    values = np.array(list(columns.values()), np.float64)  # (columns, queries)
    queries = values.shape[1]
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, len(values)))
    for start in range(0, resamples, _BLOCK):
        rows = min(_BLOCK, resamples - start)
        # How often each query is drawn.
        counts = rng.multinomial(queries, np.full(queries, 1.0 / queries), size=rows)
        means[start : start + rows] = counts @ values.T / queries
    low, high = np.percentile(means, _PERCENTILES, axis=0).tolist()
    return dict(zip(columns, zip(low, high, strict=True), strict=True))
