"""Rerank: the options of one `Reranker` call, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.rerank.blend import require_weights


@dataclass(frozen=True, slots=True)
class RerankSettings:
    """The options of `Reranker.rerank`; its docstring explains each."""

    top_k: int | None
    min_score: float | None
    prior: float
    blend: Mapping[str, float]
    timeout_ms: float | None
    fail_open: bool

    def __post_init__(self) -> None:
        if self.top_k is not None and not (_is_whole(self.top_k) and self.top_k >= 0):
            raise DataError(f"top_k is {self.top_k!r}; expected 0 or more, or None for all")
        if self.min_score is not None and not (
            _is_number(self.min_score) and 0.0 <= self.min_score <= 1.0
        ):
            raise SettingsError(
                f"min_score is {self.min_score!r}; expected a probability, 0 to 1, or None"
            )
        if not (_is_number(self.prior) and 0.0 <= self.prior < math.inf):
            raise SettingsError(f"prior is {self.prior!r}; expected 0 or more")
        if self.timeout_ms is not None and not (
            _is_number(self.timeout_ms) and 0.0 <= self.timeout_ms < math.inf
        ):
            raise SettingsError(
                f"timeout_ms is {self.timeout_ms!r}; expected 0 or more, or None for no limit"
            )
        require_weights(self.blend)

    def deadline(self, started: float) -> float | None:
        """When a call that began at `started` must end, both readings of `time.perf_counter`."""
        return None if self.timeout_ms is None else started + self.timeout_ms / 1000.0


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number)
