"""Logits to probabilities: the only numpy sigmoid. Trainer, scorer and experiments share it."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Float = TypeVar("Float", bound=np.floating[Any])

# exp(80) is finite in float32 too; beyond it the probability is 0 or 1 to every digit.
_LIMIT = 80.0


def sigmoid(logits: NDArray[Float]) -> NDArray[Float]:
    """1 / (1 + exp(-logit)) of each logit, same shape and precision, without overflow."""
    exponent = np.clip(-logits, -_LIMIT, _LIMIT)
    probabilities: NDArray[Float] = (1.0 / (1.0 + np.exp(exponent))).astype(logits.dtype)
    return probabilities
