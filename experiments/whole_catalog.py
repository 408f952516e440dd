"""Measures of searches over a whole catalog, for icecat, cascade and two_ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qtr_rerank.evaluate.measure_settings import RankingSettings
from qtr_rerank.evaluate.qrels import read_qrels
from qtr_rerank.evaluate.run_measures import evaluate_runs
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.records import Candidate, Ranked
from qtr_rerank.trec import from_trec_id, trec_id

DEPTH = 100
# Names in ir-measures' notation -> names in the tables.
MEASURES = {
    "nDCG@10": "nDCG@10",
    "nDCG(judged_only=True)@10": "nDCG@10, unjudged left out",
    "RR@10": "RR@10",
    "R@100": "R@100",
    "Judged@10": "Judged@10",
}
Search = Callable[[str], Sequence[Candidate | Ranked]]


def measured(searches: Mapping[str, Search], qrels: Path) -> dict[str, dict[str, float]]:
    """Each search's figures over the queries of `qrels` with a relevant product.

    nDCG is computed with unjudged products as irrelevant, and without them (condensed lists; Sakai,
    "Alternatives to Bpref", SIGIR 2007).
    """
    judged = read_qrels(qrels)
    runs = [
        Run(
            name,
            qrels,
            {
                query_id: tuple(trec_id(hit.id) for hit in search(from_trec_id(query_id)))
                for query_id in judged.ratings
            },
        )
        for name, search in searches.items()
    ]
    settings = RankingSettings(tuple(MEASURES), allow_missing=True)
    return {
        run.name: {
            MEASURES[label]: round(value, 4) for label, value in run.answerable_means.items()
        }
        for run in evaluate_runs(runs, judged, settings).runs
    }
