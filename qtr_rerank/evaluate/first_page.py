"""What the unjudged documents on the first pages of runs hide; `run_measures` reports it.

Runs are measured together: a document that one of them shows first, unjudged, may be relevant and
so change the ideal order for all (see `bounds`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from statistics import fmean
from typing import Any

from qtr_rerank.evaluate.bounds import difference_bounds, ndcg_bounds, rank_biased_precision
from qtr_rerank.evaluate.measure_settings import RankingSettings
from qtr_rerank.evaluate.qrels import Qrels
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.evaluate.significance import Interval, bootstrap_intervals, paired_randomisation

Rankings = Mapping[str, Sequence[str]]
PAGE_MEASURES = ("ndcg", "condensed", "rbp")
"""The fields of FirstPage that have confidence intervals."""
_ROUNDING = 1e-9  # Sums in another order differ by less.


@dataclass(frozen=True, slots=True)
class FirstPage:
    """Measures of a query's first `cutoff` documents, or their means over queries.

    `ndcg` takes unjudged documents as worth nothing, `condensed` leaves them out. It is between
    `lower` and `upper` once all that the runs show on this page is judged. `judged` is the share of
    the page that is judged. Rank-biased precision, over the whole ranking, is between `rbp` and
    `rbp + residual`.
    """

    ndcg: float
    condensed: float
    lower: float
    upper: float
    judged: float
    rbp: float
    residual: float

    def to_dict(self) -> dict[str, float]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run's mean nDCG@cutoff minus the first run's.

    `interval` says how far other queries could move it (95 %, bootstrap); `p` how often swapping
    the runs by chance gives as much (paired randomisation). `lower` and `upper` bound what it is
    once all that the runs show on these pages is judged.
    """

    difference: float
    interval: Interval
    p: float
    lower: float
    upper: float

    @property
    def could_turn(self) -> bool:
        """Whether judging could give the difference the other sign, or a sign at all."""
        if abs(self.difference) <= _ROUNDING:
            return self.upper - self.lower > _ROUNDING
        return self.lower < -_ROUNDING if self.difference > 0 else self.upper > _ROUNDING

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "difference": self.difference,
            "interval": list(self.interval),
            "p": self.p,
            "lower": self.lower,
            "upper": self.upper,
            "could_turn": self.could_turn,
        }


def first_pages(
    runs: Sequence[Run], qrels: Qrels, settings: RankingSettings
) -> list[dict[str, FirstPage]]:
    """The first pages of each run, by query of the qrels."""
    rankings, grades = [run.rankings for run in runs], _grades(runs, qrels, settings)
    found: list[dict[str, FirstPage]] = [{} for _ in runs]
    for query, rated in grades.items():
        pool = _pool(query, rankings, settings.cutoff)
        for each, pages in zip(rankings, found, strict=True):
            ranking = each.get(query, ())
            bounds = ndcg_bounds(ranking, rated, settings.cutoff, pool)
            rbp, residual = rank_biased_precision(
                ranking, rated, settings.relevant, settings.persistence
            )
            pages[query] = FirstPage(
                ndcg=bounds.ndcg,
                condensed=bounds.condensed,
                lower=bounds.lower,
                upper=bounds.upper,
                judged=bounds.judged,
                rbp=rbp,
                residual=residual,
            )
    return found


def mean_page(pages: Sequence[FirstPage]) -> FirstPage:
    """The mean of each field over at least one page."""
    return FirstPage(*(fmean(column) for column in zip(*map(astuple, pages), strict=True)))


def compare_with_first(
    runs: Sequence[Run],
    pages: Sequence[Mapping[str, FirstPage]],
    qrels: Qrels,
    settings: RankingSettings,
) -> list[Comparison]:
    """Each later run compared with the first, over all queries; `pages` are `first_pages`."""
    rankings, grades = [run.rankings for run in runs], _grades(runs, qrels, settings)
    ndcg = [[page.ndcg for page in of_run.values()] for of_run in pages]
    differences = {
        number: [after - before for before, after in zip(ndcg[0], ndcg[number], strict=True)]
        for number in range(1, len(runs))
    }
    intervals = bootstrap_intervals(differences, settings.resamples, settings.seed)
    compared = []
    for number, values in differences.items():
        bounds = [
            difference_bounds(
                rankings[0].get(query, ()),
                rankings[number].get(query, ()),
                rated,
                settings.cutoff,
                _pool(query, rankings, settings.cutoff),
            )
            for query, rated in grades.items()
        ]
        compared.append(
            Comparison(
                difference=fmean(values),
                interval=intervals[number],
                p=paired_randomisation(ndcg[0], ndcg[number], settings.permutations, settings.seed),
                lower=fmean(low for low, _ in bounds),
                upper=fmean(high for _, high in bounds),
            )
        )
    return compared


def _pool(query: str, rankings: Sequence[Rankings], cutoff: int) -> set[str]:
    """What all runs show on the first page of a query."""
    return {document for each in rankings for document in each.get(query, ())[:cutoff]}


def _grades(
    runs: Sequence[Run], qrels: Qrels, settings: RankingSettings
) -> Mapping[str, Mapping[str, float]]:
    """The grades of each query; where the qrels are complete, 0 for all other documents shown."""
    if not settings.complete:
        return qrels.ratings
    return {
        query: {
            **{document: 0.0 for run in runs for document in run.rankings.get(query, ())},
            **rated,
        }
        for query, rated in qrels.ratings.items()
    }
