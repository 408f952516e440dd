"""Icecat, development queries: BM25 against each student and the whole search.

    python experiments/icecat.py QTR_DATA_DIR/icecat [--work runs/icecat] [-o results/icecat.json]

Judged lists: only the judged products of a query are ordered (ties take their expected value).
Full catalog: all 19,406 products are searched; judged@10 says how many of the first ten anyone
has judged, and nDCG is given with the others as irrelevant, and without them (condensed lists;
Sakai, "Alternatives to Bpref", SIGIR 2007). No development query was seen in training
(qtr_rerank.data.splits).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np

from indexer.job import IndexSettings, build_index
from qtr_rerank.data.datasets import open_dataset
from qtr_rerank.data.splits import split_of
from qtr_rerank.evaluate.measures import auc, judged_list_ndcg
from qtr_rerank.evaluate.qrels import read_qrels
from qtr_rerank.evaluate.ranking import evaluate_runs
from qtr_rerank.evaluate.runs import read_run
from qtr_rerank.evaluate.settings import RankingSettings
from qtr_rerank.records import Candidate, Product, Ranked
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.search import SearchEngine
from qtr_rerank.trec import trec_query_id

MODELS = ("match", "bert-bilstm", "bert2dnn", "twin")
DEPTH = 100
# Measures of the full catalog, in ir-measures' notation, and how the tables call them.
MEASURES = {
    "nDCG@10": "nDCG@10",
    "nDCG(judged_only=True)@10": "nDCG@10, unjudged left out",
    "RR@10": "RR@10",
    "R@100": "R@100",
    "Judged@10": "Judged@10",
}
Judged = dict[str, dict[str, float]]
Figures = dict[str, dict[str, float]]


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/icecat"))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("results/icecat.json"))
def main(folder: Path, work: Path, out: Path) -> None:
    dataset = open_dataset("icecat", folder)
    products = list(dataset.catalog())
    judgments = [one for one in dataset.judgments() if split_of(one.query) == "dev"]
    judged: Judged = defaultdict(dict)
    for one in judgments:
        judged[one.query][one.product_id] = one.rating
    report = {
        "queries": len(judged),
        "judged pairs": len(judgments),
        "judged lists": judged_lists(products, judged, work),
        "full catalog": full_catalog(folder, judged, work),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n")
    click.echo(json.dumps(report, indent=2))


def judged_lists(
    products: list[Product], judged: Judged, work: Path
) -> dict[str, dict[str, float]]:
    titles = {product.id: product.title for product in products}
    queries = [query for query, ratings in judged.items() for _ in ratings]
    ids = [id for ratings in judged.values() for id in ratings]
    labels = np.array([rating for ratings in judged.values() for rating in ratings.values()])
    indexes = {
        "BM25, title": [Product(id=one.id, title=one.title) for one in products],
        "BM25, all fields": products,
    }
    scores = {}
    for name, catalog in indexes.items():
        index = TantivyLexical.build(work / name.replace(", ", "-").replace(" ", "-"), catalog)
        found = {
            query: {hit.id: hit.score for hit in index.search(query, len(catalog))}
            for query in judged
        }
        scores[name] = np.array(
            [found[query].get(id, 0.0) for query, id in zip(queries, ids, strict=True)]
        )
    for name in MODELS:
        scores[name] = Scorer.load(name).score_pairs(queries, [titles[id] for id in ids])
    return {name: _figures(values, labels, queries) for name, values in scores.items()}


def _figures(scores: np.ndarray, labels: np.ndarray, queries: list[str]) -> dict[str, float]:
    _, codes = np.unique(np.asarray(queries), return_inverse=True)
    return {
        # Queries with nothing relevant have no nDCG, and are left out.
        "nDCG@10": round(float(np.nanmean(judged_list_ndcg(scores, labels, codes))), 4),
        "AUC(>=2)": round(float(auc(scores, labels >= 2)), 4),
    }


def full_catalog(folder: Path, judged: Judged, work: Path) -> Figures:
    settings = IndexSettings(
        catalog=folder / "products.jsonl.gz", index=work / "index", format="icecat"
    )
    build_index(settings, [Scorer.load(name) for name in MODELS])
    rows = [
        f'"{query}",{id},{rating:g}\n'
        for query, ratings in judged.items()
        for id, rating in ratings.items()
    ]
    (work / "qrels.csv").write_text("query,docid,rating\n" + "".join(rows))
    bm25 = TantivyLexical.open(work / "index" / "tantivy")
    with SearchEngine.open(work / "index") as engine:
        orders: dict[str, Callable[[str], Sequence[Candidate | Ranked]]] = {
            "BM25, all fields": lambda query: bm25.search(query, DEPTH),
            "lexical + dense": lambda query: engine.search(query, DEPTH, stage="retrieve").hits,
            "reranked": lambda query: engine.search(query, DEPTH).hits,
        }
        runs = [
            _write_run(work / f"run{place}.trec", order, judged)
            for place, order in enumerate(orders.values())
        ]
    report = evaluate_runs(
        [read_run(path) for path in runs],
        read_qrels(work / "qrels.csv"),
        RankingSettings(tuple(MEASURES)),
    )
    return {
        # As for the judged lists: queries with nothing relevant are left out.
        name: {MEASURES[label]: round(value, 4) for label, value in run.answerable_means.items()}
        for name, run in zip(orders, report.runs, strict=True)
    }


def _write_run(
    path: Path, order: Callable[[str], Sequence[Candidate | Ranked]], judged: Judged
) -> Path:
    with path.open("w") as run:
        for query in judged:
            for hit in order(query):
                score = DEPTH - hit.rank
                run.write(f"{trec_query_id(query)} Q0 {hit.id} {hit.rank} {score} {path.stem}\n")
    return path


if __name__ == "__main__":
    main()
