"""Measures of searches over a whole catalog, for icecat, cascade and two_ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qtr_rerank.evaluate.measure_settings import RankingSettings
from qtr_rerank.evaluate.qrels import read_qrels
from qtr_rerank.evaluate.run_measures import RunMeans, evaluate_runs
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.records import Candidate, Ranked
from qtr_rerank.trec import from_trec_id, trec_id

DEPTH = 100
Search = Callable[[str], Sequence[Candidate | Ranked]]
Figures = dict[str, dict[str, float]]


def search_run(name: str, search: Search, qrels: Path) -> Run:
    """What a search finds for each query of `qrels`."""
    return Run(
        name,
        qrels,
        {
            query_id: tuple(trec_id(hit.id) for hit in search(from_trec_id(query_id)))
            for query_id in read_qrels(qrels).ratings
        },
    )


def measured(runs: Sequence[Run], qrels: Path) -> Figures:
    """Each run's figures over the queries of `qrels` with a relevant product.

    nDCG@10 counts unjudged products as irrelevant. Beside it: its 95 % confidence interval over
    queries; the same without unjudged products; its least and its greatest value once the first
    ten of all these runs are judged (`qtr_rerank.evaluate.bounds`); the share of them that is.
    """
    report = evaluate_runs(runs, read_qrels(qrels), RankingSettings(allow_missing=True))
    answerable = report.queries - report.unanswerable
    return {
        run.name: {**_row(run.answerable), "queries": answerable}
        for run in report.runs
        if run.answerable is not None
    }


def _row(means: RunMeans) -> dict[str, float]:
    low, high = means.intervals["nDCG@10"]
    figures = {
        "nDCG@10": means.measures["nDCG@10"],
        "nDCG@10, 95 % low": low,
        "nDCG@10, 95 % high": high,
        "nDCG@10, unjudged left out": means.first_page.condensed,
        "nDCG@10, at least": means.first_page.lower,
        "nDCG@10, at most": means.first_page.upper,
        "RR@10": means.measures["RR@10"],
        "R@100": means.measures["R@100"],
        "Judged@10": means.measures["Judged@10"],
    }
    return {name: round(value, 4) for name, value in figures.items()}
