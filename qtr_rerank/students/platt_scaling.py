"""Students: turn logits into probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qtr_rerank.evaluate.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    reliability,
)

BINS = 10


@dataclass(frozen=True, slots=True)
class Calibrated:
    """probability = sigmoid(scale * logit + bias), and how far such probabilities of `pairs` were
    off (`ece`, by `bins`) where the line was fitted on other queries.
    """

    scale: float
    bias: float
    ece: float
    pairs: int
    bins: Sequence[ReliabilityBin]


def calibrate(logits: Tensor, probabilities: Tensor, groups: Tensor) -> Calibrated:
    """The line fitted on all pairs; its error by two-fold cross-fitting: each half of the `groups`
    (pairs,; numbers of queries) is measured with the line of the other half.
    """
    scale, bias = fit_platt(logits, probabilities)
    first = groups % 2 == 0
    said = torch.empty_like(probabilities)
    for half in (first, ~first):
        other = ~half if bool((~half).any()) else half  # a single query has no other half
        line = fit_platt(logits[other], probabilities[other])
        said[half] = torch.sigmoid(line[0] * logits[half] + line[1])
    predicted, actual = said.double().numpy(), probabilities.double().numpy()
    return Calibrated(
        scale,
        bias,
        expected_calibration_error(predicted, actual, BINS),
        len(actual),
        reliability(predicted, actual, BINS),
    )


def fit_platt(logits: Tensor, probabilities: Tensor) -> tuple[float, float]:
    """(scale, bias) that bring sigmoid(scale * logit + bias) closest to soft targets, by
    cross-entropy (Platt 1999, with soft targets in place of classes).
    """
    logits, probabilities = logits.double(), probabilities.double()
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            scale * logits + bias, probabilities
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    # Inference tensors cannot enter a gradient: take plain copies.
    logits, probabilities = logits.clone(), probabilities.clone()
    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    # A student without any skill would get a scale of zero or less; the order must stay.
    return max(float(scale.detach()), 1e-3), float(bias.detach())
