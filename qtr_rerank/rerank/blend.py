"""Rerank: one score from a model's probability and other signals (BM25, popularity, margin)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import DataError, SettingsError


def require_weights(weights: Mapping[str, float]) -> None:
    """Raises SettingsError unless all weights are 0 or more and add up to 1 at most."""
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0.0:
            raise SettingsError(f"blend gives {name!r} the weight {weight!r}; expected 0 to 1")
    total = math.fsum(weights.values())
    if total > 1.0 + 1e-9:
        raise SettingsError(
            f"the weights of blend add up to {total:g}; expected at most 1: the model gets the rest"
        )


def blended(
    probabilities: NDArray[np.floating],
    signals: Mapping[str, Sequence[float | None]],
    weights: Mapping[str, float],
) -> NDArray[np.float64]:
    """Scores (documents,) in 0..1: the weighted mean of the model's probability and each signal.

    A signal, on any scale, is scaled to 0..1 by its lowest and highest value among these documents
    (a convex combination with min-max normalisation; Bruch, Gai and Ingber, "An Analysis of Fusion
    Functions for Hybrid Retrieval", TOIS 2023). A signal that is equal for all documents moves
    none. A document without the signal (None) counts as the lowest. The model's weight is 1 less
    the other weights. Raises SettingsError for weights that `require_weights` refuses, DataError
    for a signal that is not finite.
    """
    require_weights(weights)
    scores = (1.0 - math.fsum(weights.values())) * probabilities.astype(np.float64)
    for name, weight in weights.items():
        scores += weight * normalised(name, signals[name])
    clipped: NDArray[np.float64] = np.clip(scores, 0.0, 1.0)
    return clipped


def normalised(name: str, values: Sequence[float | None]) -> NDArray[np.float64]:
    """Values (documents,) in 0..1: 0 for the lowest, for None, and where all are equal."""
    given = np.array([value is not None for value in values], dtype=np.bool_)
    column = np.array([0.0 if value is None else value for value in values], dtype=np.float64)
    not_finite = np.flatnonzero(given & ~np.isfinite(column))
    if len(not_finite):
        place = int(not_finite[0])
        raise DataError(
            f"document {place} has {name!r} {values[place]!r}; expected a finite number"
        )
    if not given.any():
        return np.zeros(len(column))
    # Halved, because the span of two large floats of opposite sign may overflow.
    low, high = column[given].min() / 2, column[given].max() / 2
    if high == low:
        return np.zeros(len(column))
    return np.where(given, np.clip((column / 2 - low) / (high - low), 0.0, 1.0), 0.0)
