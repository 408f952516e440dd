"""Formats reports as plain text tables and as JSON-ready dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from qtr_rerank.evaluate.first_page import Comparison
from qtr_rerank.evaluate.measure_settings import ENOUGH_JUDGED
from qtr_rerank.evaluate.run_measures import RankingReport, RunMeans, RunScores
from qtr_rerank.evaluate.scored_pairs import PairReport
from qtr_rerank.evaluate.significance import Interval
from qtr_rerank.trec import from_trec_id


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text: the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def ranking_text(report: RankingReport) -> str:
    """The means with their confidence intervals, one row a run; the same without unanswerable
    queries, where there are some; what unjudged documents hide; the comparison with the first run;
    notes and warnings.
    """
    answerable = report.queries - report.unanswerable
    parts = [_means_table("run", report, [run.overall for run in report.runs])]
    if 0 < report.unanswerable < report.queries:
        means = [run.answerable for run in report.runs if run.answerable is not None]
        parts.append(_means_table(f"{answerable} answerable", report, means))
    if not report.settings.complete:
        parts.append(_first_page_table(report))
    if len(report.runs) > 1:
        parts += [_difference_table(report), _p_table(report)]
    parts.append("\n".join(_ranking_notes(report)))
    if warnings := ranking_warnings(report):
        parts.append("\n".join(f"warning: {warning}" for warning in warnings))
    return "\n\n".join(parts)


def _means_table(title: str, report: RankingReport, means: Sequence[RunMeans]) -> str:
    rows = [[title, *report.measures]]
    for run, mean in zip(report.runs, means, strict=True):
        cells = (
            f"{mean.measures[label]:.4f} {_interval(mean.intervals[label])}"
            for label in report.measures
        )
        rows.append([run.name, *cells])
    return table(rows)


def _first_page_table(report: RankingReport) -> str:
    """nDCG with and without unjudged documents, its bounds, and rank-biased precision."""
    settings = report.settings
    judged, ndcg = f"Judged@{settings.cutoff}", f"nDCG@{settings.cutoff}"
    rbp = f"RBP(p={settings.persistence:g})"
    rows = [["unjudged", judged, ndcg, "left out", "at least", "at most", rbp, "residual"]]
    for run in report.runs:
        page = run.overall.first_page
        cells = (page.judged, page.ndcg, page.condensed, page.lower, page.upper)
        rows.append([run.name, *(f"{value:.4f}" for value in (*cells, page.rbp, page.residual))])
    return table(rows)


def _difference_table(report: RankingReport) -> str:
    """The difference in nDCG from the first run, its confidence interval and its bounds."""
    ndcg = f"nDCG@{report.settings.cutoff}"
    header = [f"{ndcg} against {report.runs[0].name}", "difference", "95 %", "p"]
    rows = [[*header, "at least", "at most"]]
    for run, one in _compared(report):
        cells = [f"{one.difference:+.4f}", _interval(one.interval, "+.2f"), f"{one.p:.4f}"]
        rows.append([run.name, *cells, f"{one.lower:+.4f}", f"{one.upper:+.4f}"])
    return table(rows if not report.settings.complete else [row[:-2] for row in rows])


def _p_table(report: RankingReport) -> str:
    rows = [[f"p against {report.runs[0].name}", *report.measures]]
    for run in report.runs[1:]:
        rows.append([run.name, *(f"{run.p_values[label]:.4f}" for label in report.measures)])
    return table(rows)


def _interval(interval: Interval, number: str = ".2f") -> str:
    low, high = interval
    return f"[{low:{number}}, {high:{number}}]"


def _compared(report: RankingReport) -> list[tuple[RunScores, Comparison]]:
    return [(run, run.comparison) for run in report.runs if run.comparison is not None]


def _ranking_notes(report: RankingReport) -> list[str]:
    settings, qrels = report.settings, report.qrels
    notes = [
        f"{report.queries} queries, {report.judgments} judgments in {qrels.name}; "
        f"relevant: a rating of {settings.relevant:g} or more"
    ]
    if qrels.repeated:
        notes.append(
            f"{qrels.repeated} pairs are judged in more than one file: the later file's rating "
            f"holds, {qrels.rerated} are another than before"
        )
    notes.append(
        f"[low, high]: 95 % confidence interval over queries, bootstrap, {settings.resamples} "
        f"resamples, seed {settings.seed}"
    )
    if len(report.runs) > 1:
        notes.append(
            f"p: paired randomisation test, two-sided, {settings.permutations} permutations, "
            f"seed {settings.seed}"
        )
    if settings.complete:
        notes.append("--complete: results without a judgment are irrelevant")
    else:
        notes += [
            "unjudged results count as irrelevant; 'left out': the runs without them",
            f"'at least', 'at most': all that nDCG can be once the first {settings.cutoff} results "
            "of these runs are judged, where",
            "  no result is better than the query's best judged one",
            "RBP: rank-biased precision, between its value and value + residual",
        ]
    if report.unanswerable:
        notes.append(
            f"{report.unanswerable} queries have no relevant judgment; the first table counts them "
            "as trec_eval does (0 in the binary measures), the answerable rows leave them out"
        )
    for run in report.runs:
        if run.missing:
            notes.append(f"{run.name}: {len(run.missing)} queries missing, scored 0")
        if run.ignored:
            notes.append(f"{run.name}: {len(run.ignored)} queries without judgments, ignored")
    return notes


def ranking_warnings(report: RankingReport) -> list[str]:
    """Where unjudged documents leave a measure or a comparison open, and what helps."""
    settings = report.settings
    if settings.complete:
        return []
    ndcg = f"nDCG@{settings.cutoff}"
    warnings = []
    for run in report.runs:
        page = run.overall.first_page
        # A query without results has nothing to judge.
        shares = [one.judged for query, one in run.first_pages.items() if query not in run.missing]
        if shares and fmean(shares) < ENOUGH_JUDGED:
            warnings.append(
                f"{run.name}: only {fmean(shares):.0%} of the first {settings.cutoff} results are "
                f"judged (enough: {ENOUGH_JUDGED:.0%}); {ndcg} can be anything from "
                f"{page.lower:.3f} to {page.upper:.3f}"
            )
    for run, one in _compared(report):
        if one.could_turn:
            warnings.append(
                f"{run.name} against {report.runs[0].name}: unjudged results could turn this "
                f"comparison; the difference in {ndcg}, {one.difference:+.3f}, can be anything "
                f"from {one.lower:+.3f} to {one.upper:+.3f}"
            )
    if warnings:
        warnings.append(
            "judge these results ('qtr judge'), and give the new judgments as another --qrels"
        )
    return warnings


def ranking_json(report: RankingReport, per_query: bool) -> dict[str, Any]:
    """The report as JSON types; with `per_query`, each run's values by query."""
    settings = report.settings
    return {
        "qrels": [str(path) for path in (report.qrels.path, *report.qrels.added)],
        "repeated_judgments": report.qrels.repeated,
        "changed_judgments": report.qrels.rerated,
        "queries": report.queries,
        "judgments": report.judgments,
        "queries_without_relevant": report.unanswerable,
        "relevant": settings.relevant,
        "permutations": settings.permutations,
        "resamples": settings.resamples,
        "seed": settings.seed,
        "cutoff": settings.cutoff,
        "persistence": settings.persistence,
        "complete": settings.complete,
        "runs": [_run_json(run, per_query) for run in report.runs],
        "warnings": ranking_warnings(report),
    }


def _run_json(run: RunScores, per_query: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "run": run.name,
        "file": run.path,
        "measures": dict(run.means),
        "intervals": _intervals_json(run.overall.intervals),
        "first_page": _page_json(run.overall),
        "measures_answerable": dict(run.answerable_means) or None,
        "intervals_answerable": run.answerable and _intervals_json(run.answerable.intervals),
        "first_page_answerable": run.answerable and _page_json(run.answerable),
        "p_vs_first": dict(run.p_values) or None,
        "ndcg_vs_first": run.comparison and run.comparison.to_dict(),
        "missing_queries": [from_trec_id(query) for query in run.missing],
        "ignored_queries": [from_trec_id(query) for query in run.ignored],
    }
    if per_query:
        fields["per_query"] = {
            label: {from_trec_id(query): value for query, value in values.items()}
            for label, values in run.per_query.items()
        }
        fields["first_page_per_query"] = {
            from_trec_id(query): page.to_dict() for query, page in run.first_pages.items()
        }
    return fields


def _page_json(means: RunMeans) -> dict[str, Any]:
    return {**means.first_page.to_dict(), "intervals": _intervals_json(means.page_intervals)}


def _intervals_json(intervals: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {name: list(interval) for name, interval in intervals.items()}


def pairs_text(report: PairReport) -> str:
    """A table with one row a measure, then notes."""
    low, high = report.label_range
    rows = [["measure", "value"]]
    for threshold, value in report.auc.items():
        rows.append([f"AUC (label >= {threshold:g})", f"{value:.4f}"])
    for name, error in (("RMSE", report.rmse), ("RMSE, line fitted", report.rmse_linear)):
        rows.append([name, "-" if error is None else f"{error:.4f}"])
    rows.append([f"nDCG@{report.settings.cutoff}, judged lists", f"{report.ndcg:.4f}"])
    notes = [
        f"{report.pairs} pairs of {report.queries} queries in {report.path}, ordered by "
        f"'{report.ordering_column}'",
        f"nDCG: {report.settings.gains} gains, mean over the {report.ndcg_queries} queries with a "
        "label above 0; ties count as the mean over their orders",
    ]
    if report.rmse is None:
        notes.append(f"RMSE: not computed, '{report.probability_column}' is not within 0..1")
    else:
        notes.append(
            f"RMSE: '{report.probability_column}' 0..1 mapped onto labels {low:g}..{high:g}; "
            "line fitted: by a line from the other half of the queries"
        )
    if report.unlabelled:
        notes.append(f"{report.unlabelled} rows without a label were left out")
    return table(rows) + "\n\n" + "\n".join(notes)


def pairs_json(report: PairReport, per_query: bool) -> dict[str, Any]:
    """The report as JSON types; with `per_query`, each query's nDCG."""
    fields: dict[str, Any] = {
        "pairs": report.path,
        "count": report.pairs,
        "unlabelled": report.unlabelled,
        "queries": report.queries,
        "ordered_by": report.ordering_column,
        "probability": report.probability_column,
        "label_range": list(report.label_range),
        "auc": [
            {"threshold": threshold, "auc": value, "positives": report.positives[threshold]}
            for threshold, value in report.auc.items()
        ],
        "rmse": report.rmse,
        "rmse_linear": report.rmse_linear,
        f"ndcg@{report.settings.cutoff}": report.ndcg,
        "ndcg_queries": report.ndcg_queries,
        "gains": report.settings.gains,
    }
    if per_query:
        fields["per_query"] = dict(report.per_query)
    return fields
