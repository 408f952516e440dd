"""Measures of scored pairs: AUC, RMSE and judged-list nDCG, on arrays of a million pairs.

Search runs are measured by ir-measures instead, see `run_measures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from qtr_rerank.errors import DataError, SettingsError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GAIN_OF: Mapping[str, Callable[[Floats], Floats]] = {
    "linear": lambda labels: labels,
    "exponential": lambda labels: np.exp2(labels) - 1.0,
}


def auc(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """The area under the ROC curve: the probability that a positive scores above a negative.

    AUC = (R - p (p + 1) / 2) / (p n), with R the sum of the positives' midranks, p and n the
    numbers of positives and negatives; ties count one half. This is the Mann-Whitney statistic
    (Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve", Radiology 143, 1982). A random order has 0.5.

    `scores` and `positive` (booleans) have shape (pairs,). Raises DataError where either class is
    empty.
    """
    values, is_positive = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    _check_shapes(scores=values, positive=is_positive)
    positives = int(is_positive.sum())
    negatives = len(values) - positives
    if not positives or not negatives:
        raise DataError(
            f"AUC compares positives with negatives, but there are {positives} positives and "
            f"{negatives} negatives; choose another threshold"
        )
    rank_sum = float(_midranks(values)[is_positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def rmse(predictions: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The root of the mean squared difference, in the labels' unit."""
    predicted, actual = np.asarray(predictions, np.float64), np.asarray(labels, np.float64)
    _check_shapes(predictions=predicted, labels=actual)
    return float(np.sqrt(np.mean((predicted - actual) ** 2)))


def cross_fitted_line(
    scores: npt.ArrayLike, labels: npt.ArrayLike, queries: npt.ArrayLike
) -> Floats:
    """Each score mapped to the labels' scale by a line fitted on the other half of the queries.

    The least-squares line of the queries with even codes maps the scores of the odd ones, and vice
    versa, so that no label helps to predict itself. `queries` holds each pair's query as a code
    0, 1, ... Raises DataError where there are fewer than two queries.
    """
    values, actual = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    codes = np.asarray(queries, np.int64)
    _check_shapes(scores=values, labels=actual, queries=codes)
    fold = codes % 2 == 1
    if fold.all() or not fold.any():
        raise DataError("a cross-fitted line needs pairs of at least two queries; give more")
    mapped = np.empty_like(values)
    for held_out in (fold, ~fold):
        fitted, target = values[~held_out], actual[~held_out]
        centred = fitted - fitted.mean()
        spread = float(centred @ centred)
        # Constant scores define no slope: the line is then the labels' mean.
        slope = float(centred @ target) / spread if spread > 0 else 0.0
        mapped[held_out] = target.mean() + slope * (values[held_out] - fitted.mean())
    return mapped


def judged_list_ndcg(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    queries: npt.ArrayLike,
    cutoff: int = 10,
    gains: str = "linear",
) -> Floats:
    """nDCG@cutoff of each query's judged documents alone, ranked by score.

    nDCG = DCG / ideal DCG, DCG = sum over the first `cutoff` ranks of gain / log2(rank + 1)
    (Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 20, 2002),
    in the form of trec_eval's ndcg_cut: the gain is the label itself. `gains="exponential"` takes
    2^label - 1 instead (Burges et al., ICML 2005).

    Tied scores count as the mean over all their orders (McSherry and Najork, ECIR 2008), so the
    result does not depend on the order of the pairs, and constant scores give the expected nDCG of
    a random order.

    `scores` and `labels` (0 or more) have shape (pairs,), `queries` each pair's query as a code
    0, 1, ... Returns shape (queries,), by code. A query without a label above 0 has no nDCG: its
    value is NaN, which `numpy.nanmean` skips.
    """
    values, actual = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    codes = np.asarray(queries, np.int64)
    _check_shapes(scores=values, labels=actual, queries=codes)
    if gains not in _GAIN_OF:
        raise SettingsError(f"gains {gains!r} are unknown; choose from {', '.join(_GAIN_OF)}")
    if cutoff < 1:
        raise SettingsError(f"the cutoff is {cutoff}; nDCG needs at least 1")
    if actual.min() < 0:
        raise DataError(
            f"a label is {actual.min():g}, but nDCG needs labels of 0 or more; shift the labels"
        )
    gain = _GAIN_OF[gains](actual)
    ideal = _dcg(gain, gain, codes, cutoff)
    achieved = _dcg(gain, values, codes, cutoff)
    ndcg = np.full(len(ideal), np.nan)
    np.divide(achieved, ideal, out=ndcg, where=ideal > 0)
    return ndcg


def _dcg(gain: Floats, scores: Floats, queries: Ints, cutoff: int) -> Floats:
    """DCG@cutoff by query; tied scores share the mean discount of their ranks."""
    order = np.lexsort((-scores, queries))
    gain, scores, queries = gain[order], scores[order], queries[order]
    new_query = np.diff(queries, prepend=-1) != 0  # (pairs,)
    starts = np.flatnonzero(new_query)
    place = np.arange(len(queries)) - np.repeat(starts, np.diff(starts, append=len(queries)))
    discount = np.where(place < cutoff, 1.0 / np.log2(place + 2.0), 0.0)
    new_tie = new_query | (np.diff(scores, prepend=np.inf) != 0)
    tie = np.cumsum(new_tie) - 1
    shared = np.bincount(tie, weights=discount) / np.bincount(tie)
    return np.bincount(queries, weights=gain * shared[tie]).astype(np.float64)


def _midranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2.0)[inverse]
    return ranks


def _check_shapes(**columns: npt.NDArray[np.generic]) -> None:
    """Raises DataError unless all have one shape (pairs,), at least one pair, and finite values."""
    shapes = {name: column.shape for name, column in columns.items()}
    first = next(iter(shapes.values()))
    if len(first) != 1 or not first[0] or any(shape != first for shape in shapes.values()):
        described = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(f"expected columns of one shape (pairs,), not empty; found {described}")
    for name, column in columns.items():
        if not np.isfinite(column.astype(np.float64)).all():
            raise DataError(f"{name} contain NaN or infinity; every pair needs a finite number")
