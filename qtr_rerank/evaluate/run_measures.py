"""Measures TREC runs against qrels: ir-measures' measures, and what unjudged documents hide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean
from typing import Any

import ir_measures

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.evaluate.first_page import (
    PAGE_MEASURES,
    Comparison,
    FirstPage,
    compare_with_first,
    first_pages,
    mean_page,
)
from qtr_rerank.evaluate.measure_notation import parse_measures
from qtr_rerank.evaluate.measure_settings import RankingSettings
from qtr_rerank.evaluate.qrels import Qrels
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.evaluate.significance import (
    Interval,
    bootstrap_intervals,
    paired_randomisation,
)
from qtr_rerank.trec import from_trec_id

# ir-measures needs whole grades, so fractions are scaled up. The time of trec_eval grows with the
# highest grade: ratings with more decimals than this must be rounded first.
_MAX_DECIMALS = 4
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RunMeans:
    """Means of a run over some queries, and their 95 % confidence intervals.

    `page_intervals` are those of `first_page`, by field; its bounds have none.
    """

    measures: Mapping[str, float]
    intervals: Mapping[str, Interval]
    first_page: FirstPage
    page_intervals: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class RunScores:
    """One run's values by measure: the means over the queries of the qrels, and each query's own.

    `overall` is over all queries, `answerable` over those with a relevant judgment (None where
    there are none). The first pages say what unjudged documents hide. `p_values` and `comparison`
    compare with the first run (empty and None for the first run). `missing` are queries of the
    qrels that the run lacks, `ignored` queries of the run without judgments.
    """

    name: str
    path: str
    overall: RunMeans
    answerable: RunMeans | None
    per_query: Mapping[str, Mapping[str, float]]
    first_pages: Mapping[str, FirstPage]
    p_values: Mapping[str, float]
    comparison: Comparison | None
    missing: tuple[str, ...]
    ignored: tuple[str, ...]

    @property
    def means(self) -> Mapping[str, float]:
        """The mean of each measure over all queries."""
        return self.overall.measures

    @property
    def answerable_means(self) -> Mapping[str, float]:
        """The mean of each measure over the answerable queries; empty where there are none."""
        return self.answerable.measures if self.answerable is not None else {}


@dataclass(frozen=True, slots=True)
class RankingReport:
    """All runs against one set of judgments.

    `unanswerable` counts the queries without a relevant judgment. They score 0 whatever the order;
    `overall` includes them, as trec_eval does, and `answerable` leaves them out.
    """

    qrels: Qrels
    queries: int
    judgments: int
    unanswerable: int
    measures: tuple[str, ...]
    settings: RankingSettings
    runs: tuple[RunScores, ...]


def evaluate_runs(runs: Sequence[Run], qrels: Qrels, settings: RankingSettings) -> RankingReport:
    """Measure each run over all queries of the qrels, and compare each with the first run.

    Ratings below 0 (TREC's "junk") count as 0. Fractional ratings are multiplied by a power of
    ten, and thresholds too: this changes neither nDCG with linear gains nor binary measures. Other
    measures are refused for fractional ratings.

    Raises DataError where a run lacks queries (unless allowed) and SettingsError where a measure
    is unknown or cannot be computed.
    """
    ratings = {rating for rated in qrels.ratings.values() for rating in rated.values()}
    scale = 10 ** max(_decimals(rating, qrels) for rating in ratings)
    measures = parse_measures(settings, scale)
    # Queries are numbered: gdeval, which computes ERR, reads only numeric ids.
    grades = {
        str(number): {document: max(0, round(rating * scale)) for document, rating in rated.items()}
        for number, rated in enumerate(qrels.ratings.values(), 1)
    }
    try:
        evaluator = ir_measures.evaluator(list(measures.values()), grades)
    except (ValueError, AssertionError) as error:
        raise SettingsError(
            f"ir-measures cannot compute {', '.join(measures)}: {error}; choose other measures"
        ) from error
    answerable = [
        query for query, rated in qrels.ratings.items() if max(rated.values()) >= settings.relevant
    ]
    values = [_per_query(run, qrels, evaluator, measures, settings) for run in runs]
    pages = first_pages(runs, qrels, settings)
    overall = _means(values, pages, list(qrels.ratings), settings)
    answered = _means(values, pages, answerable, settings) if answerable else [None] * len(runs)
    comparisons = [None, *compare_with_first(runs, pages, qrels, settings)]
    scored = [
        RunScores(
            name=run.name,
            path=str(run.path),
            overall=overall[number],
            answerable=answered[number],
            per_query=values[number],
            first_pages=pages[number],
            p_values=_compare(values[0], values[number], settings) if number else {},
            comparison=comparisons[number],
            missing=tuple(query for query in qrels.ratings if query not in run.rankings),
            ignored=tuple(query for query in run.rankings if query not in qrels.ratings),
        )
        for number, run in enumerate(runs)
    ]
    return RankingReport(
        qrels=qrels,
        queries=len(qrels.ratings),
        judgments=sum(map(len, qrels.ratings.values())),
        unanswerable=len(qrels.ratings) - len(answerable),
        measures=tuple(measures),
        settings=settings,
        runs=tuple(scored),
    )


def _per_query(
    run: Run,
    qrels: Qrels,
    evaluator: Any,
    measures: Mapping[str, ir_measures.Measure],
    settings: RankingSettings,
) -> dict[str, dict[str, float]]:
    """Measure -> query -> value; measures in the order of the settings, queries of the qrels."""
    missing = [query_id for query_id in qrels.ratings if query_id not in run.rankings]
    if missing and not settings.allow_missing:
        raise DataError(_missing_message(run, qrels, missing))
    # Ranks, counted from the last, replace the scores: each provider breaks ties in its own way,
    # and trec_eval reads scores as 32-bit floats.
    scores = {
        str(number): {
            document: float(score) for score, document in enumerate(reversed(documents), 1)
        }
        for number, query_id in enumerate(qrels.ratings, 1)
        if (documents := run.rankings.get(query_id))
    }
    values = {(str(m.measure), m.query_id): float(m.value) for m in evaluator.iter_calc(scores)}
    return {
        label: {
            query_id: values[str(measure), str(number)]
            for number, query_id in enumerate(qrels.ratings, 1)
        }
        for label, measure in measures.items()
    }


def _means(
    values: Sequence[Mapping[str, Mapping[str, float]]],
    pages: Sequence[Mapping[str, FirstPage]],
    queries: Sequence[str],
    settings: RankingSettings,
) -> list[RunMeans]:
    """The means of each run over `queries`, at least one."""
    # Run, "measure" or "page", name -> values by query.
    columns = {
        (number, "measure", label): [row[query] for query in queries]
        for number, of_run in enumerate(values)
        for label, row in of_run.items()
    } | {
        (number, "page", field): [getattr(of_run[query], field) for query in queries]
        for number, of_run in enumerate(pages)
        for field in PAGE_MEASURES
    }
    intervals = bootstrap_intervals(columns, settings.resamples, settings.seed)
    return [
        RunMeans(
            measures={label: fmean(columns[number, "measure", label]) for label in of_run},
            intervals={label: intervals[number, "measure", label] for label in of_run},
            first_page=mean_page([pages[number][query] for query in queries]),
            page_intervals={field: intervals[number, "page", field] for field in PAGE_MEASURES},
        )
        for number, of_run in enumerate(values)
    ]


def _compare(
    first: Mapping[str, Mapping[str, float]],
    other: Mapping[str, Mapping[str, float]],
    settings: RankingSettings,
) -> dict[str, float]:
    return {
        label: paired_randomisation(
            list(first[label].values()), list(row.values()), settings.permutations, settings.seed
        )
        for label, row in other.items()
    }


def _missing_message(run: Run, qrels: Qrels, missing: Sequence[str]) -> str:
    named = ", ".join(repr(from_trec_id(query_id)) for query_id in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    message = (
        f"{run.path} lacks {len(missing)} of the {len(qrels.ratings)} queries in {qrels.name}: "
        f"{named}{more}; "
    )
    if len(missing) == len(qrels.ratings):
        own = next(iter(run.rankings))
        return message + (
            f"its own ids look like {own!r}; give the qrels a 'qid' column with such ids, or "
            "search without one"
        )
    return message + "run them too, or pass --allow-missing to score them 0"


def _decimals(rating: float, qrels: Qrels) -> int:
    if rating.is_integer():
        return 0
    # repr gives the shortest text that parses to this float: the text of the file.
    exponent = Decimal(repr(rating)).normalize().as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    if decimals > _MAX_DECIMALS:
        raise DataError(
            f"{qrels.name} has the rating {rating!r}; round ratings to at most "
            f"{_MAX_DECIMALS} decimals"
        )
    return decimals
