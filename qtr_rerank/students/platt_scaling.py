"""Students: Platt scaling, which turns logits into calibrated probabilities."""

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
    """probability = sigmoid(scale * logit + bias), and the expected calibration error (`ece`, by
    `bins`) of such probabilities on `pairs`, with lines fitted on other queries.
    """

    scale: float
    bias: float
    ece: float
    pairs: int
    bins: Sequence[ReliabilityBin]


def calibrate(logits: Tensor, probabilities: Tensor, groups: Tensor) -> Calibrated:
    """The line fitted on all pairs, and its error by two-fold cross-fitting: each half of the
    `groups` (pairs,), which are query numbers, is measured with the line of the other half.
    """
    scale, bias = fit_platt(logits, probabilities)
    first = groups % 2 == 0
    calibrated = torch.empty_like(probabilities)
    for half in (first, ~first):
        other = ~half if bool((~half).any()) else half  # a single query: no other half
        line = fit_platt(logits[other], probabilities[other])
        calibrated[half] = torch.sigmoid(line[0] * logits[half] + line[1])
    predicted, actual = calibrated.double().numpy(), probabilities.double().numpy()
    return Calibrated(
        scale,
        bias,
        expected_calibration_error(predicted, actual, BINS),
        len(actual),
        reliability(predicted, actual, BINS),
    )


def fit_platt(logits: Tensor, probabilities: Tensor) -> tuple[float, float]:
    """(scale, bias) that minimise the cross-entropy of sigmoid(scale * logit + bias) against
    `probabilities` (Platt 1999, with soft targets instead of classes).
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

    # Autograd does not accept inference tensors: copy them.
    logits, probabilities = logits.clone(), probabilities.clone()
    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    # A useless student would get a scale of zero or less, which would change the order.
    return max(float(scale.detach()), 1e-3), float(bias.detach())
