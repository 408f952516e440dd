"""Formats reports as plain text tables and as JSON-ready dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtr_rerank.evaluate.run_measures import RankingReport
from qtr_rerank.evaluate.scored_pairs import PairReport
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
    """A table with one row a run; the same without unanswerable queries, where there are some; the
    p values against the first run; then notes.
    """
    rows = [["run", *report.measures]]
    for run in report.runs:
        rows.append([run.name, *(f"{run.means[label]:.4f}" for label in report.measures)])
    parts = [table(rows)]
    if 0 < report.unanswerable < report.queries:
        rows = [[f"{report.queries - report.unanswerable} answerable", *report.measures]]
        for run in report.runs:
            values = (f"{run.answerable_means[label]:.4f}" for label in report.measures)
            rows.append([run.name, *values])
        parts.append(table(rows))
    if len(report.runs) > 1:
        rows = [[f"p against {report.runs[0].name}", *report.measures]]
        for run in report.runs[1:]:
            rows.append([run.name, *(f"{run.p_values[label]:.4f}" for label in report.measures)])
        parts.append(table(rows))
    parts.append("\n".join(_ranking_notes(report)))
    return "\n\n".join(parts)


def _ranking_notes(report: RankingReport) -> list[str]:
    settings = report.settings
    notes = [
        f"{report.queries} queries, {report.judgments} judgments in {report.qrels}; "
        f"relevant: a rating of {settings.relevant:g} or more"
    ]
    if len(report.runs) > 1:
        notes.append(
            f"p: paired randomisation test, two-sided, {settings.permutations} permutations, "
            f"seed {settings.seed}"
        )
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


def ranking_json(report: RankingReport, per_query: bool) -> dict[str, Any]:
    """The report as JSON types; with `per_query`, each run's value of each measure by query."""
    runs = []
    for run in report.runs:
        fields: dict[str, Any] = {
            "run": run.name,
            "file": run.path,
            "measures": dict(run.means),
            "measures_answerable": dict(run.answerable_means) or None,
            "p_vs_first": dict(run.p_values) or None,
            "missing_queries": [from_trec_id(query) for query in run.missing],
            "ignored_queries": [from_trec_id(query) for query in run.ignored],
        }
        if per_query:
            fields["per_query"] = {
                label: {from_trec_id(query): value for query, value in values.items()}
                for label, values in run.per_query.items()
            }
        runs.append(fields)
    return {
        "qrels": report.qrels,
        "queries": report.queries,
        "judgments": report.judgments,
        "queries_without_relevant": report.unanswerable,
        "relevant": report.settings.relevant,
        "permutations": report.settings.permutations,
        "seed": report.settings.seed,
        "runs": runs,
    }


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
