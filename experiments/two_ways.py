"""Two ways to rerank OpenSearch's hits, measured on a real node: quality and time.

    QTR_DATA_DIR=.../data python -m experiments.two_ways [--work runs/two-ways]

Inside: a search pipeline that calls `qtr serve`, by title or by id. In front: `SearchEngine`, which
retrieves lexically from OpenSearch and densely from FAISS, and reranks 1,000 from stored features.
One client, one search at a time. Starts and stops its own servers, and a node unless OPENSEARCH_URL
names one; writes results/two-ways.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from devtools.opensearch_node.node import named_or_local_node
from devtools.server_process import running_server
from experiments.commands import QTR, data_option
from experiments.icecat import of_development, write_qrels
from experiments.whole_catalog import DEPTH, Figures, measured, search_run
from indexer.job import IndexSettings, build_index
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.icecat import CATALOG_FILES, read_graded_icecat
from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.evaluate.qrels import read_qrels
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.opensearch.api import Api
from qtr_rerank.opensearch.install import install, remove
from qtr_rerank.opensearch.wiring import Wiring
from qtr_rerank.records import Candidate, Filters, Ranked
from qtr_rerank.retrieve.client_opensearch import connect
from qtr_rerank.retrieve.fields import query_words
from qtr_rerank.retrieve.lexical_opensearch import bm25_query
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.search import SearchEngine
from qtr_rerank.trec import from_trec_id

# Hits of a page, and how often each search is timed.
PAGE = 10
REPEATS = 3
NAME = "two_ways"
# A query and the number of hits.
PageSearch = Callable[[str, int], Sequence[Candidate | Ranked]]
MODELS = ("twin", "match")
# Pipelines, by their settings that differ from the defaults of `install`.
INSIDE: dict[str, dict[str, Any]] = {
    "pipeline, by title": {},
    "pipeline, by title, prior 0": {"prior": 0.0},
    "pipeline, by id": {"ids": True, "fields": ("id",)},
}


@click.command()
@data_option("icecat/")
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/two-ways"))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("results/two-ways.json"))
def main(data: Path, work: Path, out: Path) -> None:
    """nDCG@10, recall and milliseconds of each way, on the sample shop and on Icecat."""
    work.mkdir(parents=True, exist_ok=True)
    shop = work / "shop"
    if not (shop / "catalog.jsonl").exists():
        QTR.run("sample", shop)
    write_qrels(of_development(read_graded_icecat(data / "icecat")), work / "icecat.csv")
    catalogs = {
        "shop": (
            IndexSettings(shop / "catalog.jsonl", work / "shop-index"),
            shop / "judgments.csv",
        ),
        "icecat": (
            IndexSettings(
                first_file(data / "icecat", CATALOG_FILES), work / "icecat-index", format="icecat"
            ),
            work / "icecat.csv",
        ),
    }
    report = {}
    with named_or_local_node() as engine:
        for name, (settings, qrels) in catalogs.items():
            report[name] = compared(engine, f"two-ways-{name}", settings, qrels, work)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(report, indent=2))


def compared(
    engine: OpenSearchSettings, alias: str, settings: IndexSettings, qrels: Path, work: Path
) -> Figures:
    """The figures of each way on one catalog."""
    index = IndexSettings(
        settings.catalog,
        settings.index,
        engine="opensearch",
        alias=alias,
        format=settings.format,
        opensearch=engine,
    )
    build_index(index, [Scorer.load(name) for name in MODELS])
    runs: list[Run] = []
    times: Figures = {}

    def visit(way: str, search: PageSearch) -> None:
        runs.append(search_run(way, lambda query: search(query, DEPTH), qrels))
        times[way] = timed(search, qrels)

    with closing(connect(engine)) as client:
        visit("BM25", _opensearch(client, alias, None))
        with running_server(work / "server.log", "-m", "match", "--index", index.index) as server:
            for way, options in INSIDE.items():
                # A run has 100 hits, so as many are reranked for a page of 10.
                wiring = Wiring(server.url, NAME, oversample=DEPTH / PAGE, **options)
                with _installed(engine, wiring):
                    visit(way, _opensearch(client, alias, NAME))
    with SearchEngine.open(index.index) as front:
        visit("SearchEngine in front", lambda query, k: front.search(query, k).hits)
    quality = measured(runs, qrels)
    return {way: quality[way] | times[way] for way in times}


def timed(search: PageSearch, qrels: Path) -> dict[str, float]:
    """Milliseconds per page, over the judged queries."""
    queries = [from_trec_id(query_id) for query_id in read_qrels(qrels).ratings]
    spent = []
    for _ in range(REPEATS):
        for query in queries:
            started = time.perf_counter()
            search(query, PAGE)
            spent.append((time.perf_counter() - started) * 1000.0)
    return {
        "ms, median": round(float(np.median(spent)), 1),
        "ms, 95 %": round(float(np.percentile(spent, 95)), 1),
    }


def _opensearch(client: Any, alias: str, pipeline: str | None) -> PageSearch:
    def search(query: str, k: int) -> list[Candidate]:
        body = {
            "size": k,
            "query": bm25_query(query_words(query), Filters()),
            "_source": ["id", "title"],
        }
        if pipeline is not None:
            body["ext"] = {"rerank": {"query_context": {"query_text": query}}}
        # Both pipelines rerank 100 hits; `_deep` returns all of them.
        name = pipeline if pipeline is not None and k <= PAGE else f"{pipeline}_deep"
        params = {"search_pipeline": name if pipeline is not None else "_none"}
        response = client.search(index=alias, body=body, params=params)
        return [
            Candidate(hit["_source"]["id"], float(hit["_score"] or 0.0), rank)
            for rank, hit in enumerate(response["hits"]["hits"], start=1)
        ]

    return search


@contextmanager
def _installed(engine: OpenSearchSettings, wiring: Wiring) -> Iterator[None]:
    """Install `wiring`, and a second pipeline that reranks the 100 hits that a search asks for."""
    deep = Wiring(
        wiring.server,
        f"{wiring.name}_deep",
        wiring.model,
        wiring.fields,
        wiring.ids,
        oversample=1.0,
        prior=wiring.prior,
    )
    with closing(Api(engine)) as api:
        for each in (wiring, deep):
            install(api, each)
        try:
            yield
        finally:
            for each in (wiring, deep):
                remove(api, each.name)


if __name__ == "__main__":
    main()
