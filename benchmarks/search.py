"""Measure: one page of search: retrieve 1,000, rerank, 24 hits with their products, facets.

    python -m benchmarks.search INDEX QUERIES.csv [-o results/search.json]

QUERIES has a column `query`. One thread, in process, on a machine that does nothing else.
"""

from __future__ import annotations

import csv
import json
import time
from collections import defaultdict
from pathlib import Path

import click
import numpy as np

from qtr_rerank.search import SearchEngine

HITS = 24
WARM_UP = 20


@click.command()
@click.argument("index", type=click.Path(exists=True, path_type=Path))
@click.argument("queries", type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=3, show_default=True, help="Times that each query is searched.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("results/search.json"))
def main(index: Path, queries: Path, rounds: int, out: Path) -> None:
    """Milliseconds of each step of a search page, median and 95th percentile."""
    with queries.open(encoding="utf-8", newline="") as file:
        texts = list(dict.fromkeys(row["query"] for row in csv.DictReader(file)))
    if not texts:
        raise click.ClickException(f"{queries} holds no query; expected some in a column 'query'")
    with SearchEngine.open(index) as engine:
        for query in texts[:WARM_UP]:
            page_times(engine, query)
        measured: dict[str, list[float]] = defaultdict(list)
        for query in texts * rounds:
            for step, milliseconds in page_times(engine, query).items():
                measured[step].append(milliseconds)
        report = {
            "products": len(engine),
            "queries": len(texts),
            "ms": {
                step: {
                    "p50": round(float(np.percentile(values, 50)), 2),
                    "p95": round(float(np.percentile(values, 95)), 2),
                }
                for step, values in measured.items()
            },
        }
    text = json.dumps(report, indent=1)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", encoding="utf-8")
    click.echo(text)


def page_times(engine: SearchEngine, query: str) -> dict[str, float]:
    """Milliseconds of each step of one page, and of the whole."""
    started = time.perf_counter()
    retrieval = engine.retrieve(query)
    result = retrieval.reranked(HITS)
    ranked = time.perf_counter()
    retrieval.facets()
    counted = time.perf_counter()
    engine.products([hit.id for hit in result.hits])
    ended = time.perf_counter()
    steps = {step: spent for step, spent in result.times_ms.items() if step != "total"}
    return steps | {
        "retrieve and rerank": (ranked - started) * 1000.0,
        "facets": (counted - ranked) * 1000.0,
        "products": (ended - counted) * 1000.0,
        "page": (ended - started) * 1000.0,
    }


if __name__ == "__main__":
    main()
