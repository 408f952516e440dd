"""Rerank: which models stand in a cascade, and how deep each one reads.

Each stage scores the best `depth` of the order so far and sorts those; the rest stays below, in
the order it had. Each rank is decided by the last stage that read the document:

    match on 100 | bert2dnn on all others | what no model read, as retrieved

Logits of two models cannot be compared, and are not. `kernel.rank` runs the stages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qtr_rerank.errors import SettingsError


@dataclass(frozen=True, slots=True)
class StageSettings:
    """One stage: `model` orders the best `depth` of the order so far, None for all of it.

    `prior` is how much the first order still counts: logits taken off per e-fold of
    (first rank + 10), none at rank 1.
    """

    model: str
    depth: int | None = None
    prior: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.prior < math.inf:
            raise SettingsError(
                f"the stage of {self.model!r} has prior {self.prior}; expected 0 or more"
            )
        if self.depth is not None and self.depth < 1:
            raise SettingsError(
                f"the stage of {self.model!r} has depth {self.depth}; "
                "expected at least 1, or None for all"
            )


# The students know titles; retrieval also knows brands, categories and descriptions, so its order
# counts. Measured (results/README.md): neither a second stage nor another prior was better on both
# shops than `match` alone, which is fast enough to read all candidates.
DEFAULT_CASCADE = (StageSettings("match", prior=2.0),)
