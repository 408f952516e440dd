"""Icecat, development queries: BM25 against each student and the whole search.

    python -m experiments.icecat QTR_DATA_DIR/icecat [--work runs/icecat] [-o results/icecat.json]

Judged lists: only the published judged products of a query are ranked (ties take their expected
value). Full catalog: all 19,406 products are searched, and measured by the published and the added
judgments together (`qtr_rerank.data.icecat`), then by the published ones alone. No development
query was seen in training (qtr_rerank.data.splits); queries without a relevant product are left
out.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np

from experiments.whole_catalog import DEPTH, Figures, Search, measured, search_run
from indexer.job import IndexSettings, build_index
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.datasets import open_dataset
from qtr_rerank.data.icecat import CATALOG_FILES, read_graded_icecat, read_icecat_judgments
from qtr_rerank.data.splits import split_of
from qtr_rerank.evaluate.pair_measures import auc, judged_list_ndcg
from qtr_rerank.records import Judgment, Product
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.search import SearchEngine

MODELS = ("match", "bert-bilstm", "bert2dnn", "twin")
Judged = dict[str, dict[str, float]]


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/icecat"))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("results/icecat.json"))
def main(folder: Path, work: Path, out: Path) -> None:
    products = list(open_dataset("icecat", folder).catalog())
    published = of_development(read_icecat_judgments(folder))
    graded = of_development(read_graded_icecat(folder))
    report = {
        "queries": len(published),
        "judged pairs": sum(map(len, published.values())),
        "pairs with the added judgments": sum(map(len, graded.values())),
        "judged lists": judged_lists(products, published, work),
        **full_catalog(folder, graded, published, work),
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
        bm25 = {
            query: {hit.id: hit.score for hit in index.search(query, len(catalog))}
            for query in judged
        }
        scores[name] = np.array(
            [bm25[query].get(id, 0.0) for query, id in zip(queries, ids, strict=True)]
        )
    for name in MODELS:
        scores[name] = Scorer.load(name).score_pairs(queries, [titles[id] for id in ids])
    return {name: _figures(values, labels, queries) for name, values in scores.items()}


def _figures(scores: np.ndarray, labels: np.ndarray, queries: list[str]) -> dict[str, float]:
    _, codes = np.unique(np.asarray(queries), return_inverse=True)
    return {
        # Queries without a relevant product have no nDCG and are left out.
        "nDCG@10": round(float(np.nanmean(judged_list_ndcg(scores, labels, codes))), 4),
        "AUC(>=2)": round(float(auc(scores, labels >= 2)), 4),
    }


def of_development(judgments: Iterable[Judgment]) -> Judged:
    """Ratings of the development queries, by query and product id."""
    judged: Judged = defaultdict(dict)
    for one in judgments:
        if split_of(one.query) == "dev":
            judged[one.query][one.product_id] = one.rating
    return judged


def write_qrels(judged: Judged, path: Path) -> None:
    """Write judgments in the format that `qtr evaluate` reads."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["query", "docid", "rating"])
        rows.writerows(
            (query, id, f"{rating:g}")
            for query, ratings in judged.items()
            for id, rating in ratings.items()
        )


def full_catalog(folder: Path, graded: Judged, published: Judged, work: Path) -> dict[str, Figures]:
    """Searches measured by all judgments, and by the published ones alone."""
    settings = IndexSettings(
        catalog=first_file(folder, CATALOG_FILES), index=work / "index", format="icecat"
    )
    build_index(settings, [Scorer.load(name) for name in MODELS])
    qrels, published_qrels = work / "qrels.csv", work / "published.csv"
    write_qrels(graded, qrels)
    write_qrels(published, published_qrels)
    bm25 = TantivyLexical.open(work / "index" / "tantivy")
    with SearchEngine.open(work / "index") as engine:
        orders: dict[str, Search] = {
            "BM25, all fields": lambda query: bm25.search(query, DEPTH),
            "lexical + dense": lambda query: engine.search(query, DEPTH, stage="retrieve").hits,
            "reranked": lambda query: engine.search(query, DEPTH).hits,
        }
        runs = [search_run(name, order, qrels) for name, order in orders.items()]
    return {
        "full catalog": measured(runs, qrels),
        "full catalog, published judgments": measured(runs, published_qrels),
    }


if __name__ == "__main__":
    main()
