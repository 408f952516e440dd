"""Students: turn logits into probabilities that mean what they say."""

from __future__ import annotations

import torch
from torch import Tensor


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
