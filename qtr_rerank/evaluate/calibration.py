"""Calibration of probabilities: reliability diagram and expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtr_rerank.errors import DataError, SettingsError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The pairs whose probability is above `low` and at most `high` (the first bin includes 0).

    `confidence` is their mean probability, `accuracy` their mean label. In an empty bin both are
    the middle of the bin.
    """

    low: float
    high: float
    pairs: int
    confidence: float
    accuracy: float


def reliability(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, bins: int = 15
) -> list[ReliabilityBin]:
    """Bins of equal width over 0..1, as in a reliability diagram (Guo et al., "On calibration of
    modern neural networks", ICML 2017, section 2).

    The form for two classes: the probability of relevance is the confidence, and the label (0, 1,
    or a soft label between) replaces "the prediction was right". `probabilities` and `labels` have
    shape (pairs,). Raises DataError where they are empty, outside 0..1, or differ in shape.
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
    # A bin includes its upper edge; all values are compared with the same rounded edges.
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
    """ECE = sum over bins of (pairs in the bin / pairs) |accuracy - confidence| (Guo et al. 2017,
    equation 3). 0 is best, 1 is worst; arguments and errors as for `reliability`.
    """
    diagram = reliability(probabilities, labels, bins)
    total = sum(each.pairs for each in diagram)
    return sum(each.pairs * abs(each.accuracy - each.confidence) for each in diagram) / total
