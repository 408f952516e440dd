"""Settings of run and pair measures. This module imports no numpy, so `qtr --help` stays quick."""

from __future__ import annotations

from dataclasses import dataclass

from qtr_rerank.errors import SettingsError

CUTOFF = 10
PERMUTATIONS = 10_000
RESAMPLES = 10_000
PERSISTENCE = 0.8
ENOUGH_JUDGED = 0.9
"""Where a smaller share of the first results is judged, measures are warned about."""
GAINS = ("linear", "exponential")


def default_measures(cutoff: int = CUTOFF) -> tuple[str, ...]:
    """The measures of a run where none are named."""
    return (f"nDCG@{cutoff}", f"RR@{cutoff}", "R@100", f"Judged@{cutoff}")


@dataclass(frozen=True, slots=True)
class RankingSettings:
    """How to measure search runs.

    `measures` are in ir-measures' notation (`nDCG@10`, `RR(rel=2)@10`, `AP`, `P@5`). `relevant`
    is the lowest relevant rating, for every binary measure without a `rel` of its own. With
    `allow_missing`, queries that a run lacks score 0; without, such a run is refused.

    What unjudged documents hide is always measured (see `first_page`): over the first `cutoff`
    documents, and for rank-biased precision with `persistence`, the chance that a user who looks at
    a document looks at the next one, too. `complete`: whoever judged says that all other documents
    are irrelevant, so nothing is hidden.
    """

    measures: tuple[str, ...] = default_measures()
    relevant: float = 1.0
    allow_missing: bool = False
    permutations: int = PERMUTATIONS
    seed: int = 0
    cutoff: int = CUTOFF
    persistence: float = PERSISTENCE
    resamples: int = RESAMPLES
    complete: bool = False

    def __post_init__(self) -> None:
        if not self.measures:
            raise SettingsError("no measures were given; name at least one, such as nDCG@10")
        if not self.relevant > 0:
            raise SettingsError(
                f"relevant is {self.relevant:g}; documents without a rating count as 0, so the "
                "threshold must be above 0"
            )
        if self.cutoff < 1:
            raise SettingsError(f"the cutoff is {self.cutoff}; nDCG needs at least 1")
        if not 0 < self.persistence < 1:
            raise SettingsError(
                f"the persistence is {self.persistence:g}; rank-biased precision needs one between "
                "0 and 1, such as 0.8"
            )


@dataclass(frozen=True, slots=True)
class PairColumns:
    """The columns of a file of scored pairs.

    `score` ranks the pairs and is compared by RMSE. Where it is None, `logit` ranks them if the
    file has one (saturated probabilities would tie), else `score`; RMSE compares `score`.
    """

    label: str
    query: str | None = None
    score: str | None = None


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How to measure scored pairs.

    `thresholds`: labels from here on are positives for AUC; default: the highest label.
    `label_range`: the ends of the label's scale, onto which RMSE maps a score of 0..1; default:
    the lowest and the highest label of the file.
    """

    thresholds: tuple[float, ...] = ()
    label_range: tuple[float, float] | None = None
    cutoff: int = CUTOFF
    gains: str = "linear"

    def __post_init__(self) -> None:
        if self.cutoff < 1:
            raise SettingsError(f"the cutoff is {self.cutoff}; nDCG needs at least 1")
        if self.gains not in GAINS:
            raise SettingsError(f"gains {self.gains!r}: choose from {', '.join(GAINS)}")
        if self.label_range and not self.label_range[0] < self.label_range[1]:
            low, high = self.label_range
            raise SettingsError(f"label range {low:g} to {high:g}: the first must be lower")
