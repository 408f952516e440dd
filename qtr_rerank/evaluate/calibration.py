"""Measure: whether probabilities mean what they say. Arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtr_rerank.errors import DataError, SettingsError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The pairs whose probability is above `low` and at most `high` (the first bin has 0 too).

    `confidence` and `accuracy`: their mean probability and their mean label. Empty bins have the
    middle of the bin as both, and count for nothing.
    """

    low: float
    high: float
    pairs: int
    confidence: float
    accuracy: float


def reliability(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 15
) -> list[ReliabilityBin]:
    """Bins of equal width over 0..1, as a reliability diagram shows them (Guo et al., "On
    calibration of modern neural networks", ICML 2017, section 2).

    Of a pair, the label (0 or 1, or a soft one between) takes the place of "the prediction was
    right", and the probability of relevance that of the confidence: the form for two classes.
    Raises DataError where a column leaves 0..1, is empty, or is not of the other's shape.
    """
    predicted, actual = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    if bins < 1:
        raise SettingsError(f"bins is {bins}; expected at least 1")
    if predicted.ndim != 1 or not len(predicted) or predicted.shape != actual.shape:
        raise DataError(
            f"expected columns of one shape (pairs,), not empty; found probabilities "
            f"{predicted.shape}, labels {actual.shape}"
        )
    for name, column in (("probabilities", predicted), ("labels", actual)):
        if not ((column >= 0) & (column <= 1)).all():
            raise DataError(
                f"{name} run from {column.min():g} to {column.max():g}; expected 0 to 1"
            )
    edges = np.linspace(0.0, 1.0, bins + 1)
    # A bin holds its upper edge; rounding in the edges themselves then decides for all alike.
    places = np.searchsorted(edges[1:-1], predicted, side="left")
    counts = np.bincount(places, minlength=bins)
    middles = (edges[:-1] + edges[1:]) / 2
    confidence, accuracy = (
        np.divide(
            np.bincount(places, weights=column, minlength=bins),
            counts,
            out=middles.copy(),
            where=counts > 0,
        )
        for column in (predicted, actual)
    )
    return [
        ReliabilityBin(
            float(edges[place]),
            float(edges[place + 1]),
            int(counts[place]),
            float(confidence[place]),
            float(accuracy[place]),
        )
        for place in range(bins)
    ]


def expected_calibration_error(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 15
) -> float:
    """ECE = sum over bins of (pairs in it / pairs) |accuracy - confidence| (Guo et al. 2017,
    equation 3). 0 is perfect, 1 the worst; arguments and errors as of `reliability`.
    """
    found = reliability(probabilities, labels, bins)
    total = sum(each.pairs for each in found)
    return sum(each.pairs * abs(each.accuracy - each.confidence) for each in found) / total
