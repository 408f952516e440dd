"""Significance of the difference between two runs: a paired randomisation test."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qtr_rerank.errors import SettingsError
from qtr_rerank.evaluate.measure_settings import PERMUTATIONS

_BLOCK = 256  # sign vectors drawn at a time: bounds memory at _BLOCK x queries


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
