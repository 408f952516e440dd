"""Home Depot, all 54,667 products: BM25 scores, and recall of lexical and dense retrieval."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.commands import step
from experiments.homedepot_measures import Judged
from qtr_rerank.data.datasets import open_dataset
from qtr_rerank.data.training_pairs import read_table, write_table
from qtr_rerank.recipe.steps import StepRunner
from qtr_rerank.retrieve.fuse import reciprocal_rank_fusion
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.retrieve.schema import Matches
from qtr_rerank.runtime.scorer import Scorer

DEPTHS = (10, 50, 100)
# As many candidates as a search fuses (qtr_rerank.search).
CANDIDATES = 1000
_QUERY_BLOCK = 64

Vectors = NDArray[np.float32]
Ranked = dict[str, list[str]]


class Catalog:
    """Products and titles, with a lexical index in the work folder."""

    def __init__(self, data: Path, work: Path) -> None:
        products = list(open_dataset("homedepot", data / "homedepot").catalog())
        self.ids = [product.id for product in products]
        self.titles = [product.title for product in products]
        folder, complete = work / "bm25", work / "bm25" / "whole"
        if not complete.is_file():
            click.echo(f"+ indexing {len(products):,} titles")
            TantivyLexical.build(folder, products).close()
            complete.touch()
        self.lexical = TantivyLexical.open(folder)
        self._lists: Ranked = {}
        self._position_of = {id: position for position, id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def lexical_lists(self, queries: Sequence[str]) -> Ranked:
        """The first CANDIDATES ids of each query by BM25, cached."""
        for query in queries:
            if query not in self._lists:
                hits = self.lexical.search(query, CANDIDATES)
                self._lists[query] = [hit.id for hit in hits]
        return {query: self._lists[query] for query in queries}

    def fused(self, *lists: Sequence[str]) -> list[str]:
        """The first ids of ranked lists of ids, fused as a search fuses them."""
        matches = {
            str(number): Matches(
                np.array([self._position_of[id] for id in ids], dtype=np.int64),
                -np.arange(len(ids), dtype=np.float64),
            )
            for number, ids in enumerate(lists)
        }
        best = reciprocal_rank_fusion(matches, max(DEPTHS), self._id_keys)
        return [self.ids[position] for position in best.positions.tolist()]

    def _id_keys(self, positions: NDArray[np.int64]) -> NDArray[np.bytes_]:
        return np.array([self.ids[position].encode() for position in positions.tolist()])


def bm25_scores(judged: Judged, catalog: Catalog, runner: StepRunner) -> NDArray[np.float64]:
    """BM25 of each development pair, (pairs,); 0 if title and query share no word."""
    path = runner.folder / "bm25-dev.parquet"

    def score() -> None:
        values = np.zeros(len(judged.ids))
        for code, query in enumerate(judged.distinct):
            scores = {hit.id: hit.score for hit in catalog.lexical.search(query, len(catalog))}
            for place in np.flatnonzero(judged.codes == code):
                values[place] = scores.get(judged.ids[place], 0.0)
        write_table(pa.table({"bm25": pa.array(values, type=pa.float64())}), path)

    step(runner, path, score)
    scored: NDArray[np.float64] = read_table(path, ["bm25"]).column("bm25").to_numpy()
    return scored


def recall(name: str, artifact: Path, judged: Judged, catalog: Catalog, work: Path) -> list[Any]:
    """Recall of one twin: lexical, dense and fused, with float and 8-bit vectors; one row each.

    Measured once for each artifact, then read from the work folder.
    """
    scorer = Scorer.load(artifact)
    path = work / "recall" / f"{name}.json"
    if path.is_file():
        cached = json.loads(path.read_text(encoding="utf-8"))
        if cached["fingerprint"] == scorer.fingerprint:
            click.echo(f"kept  {path}")
            return list(cached["rows"])
    click.echo(f"+ searching {len(catalog):,} titles by {artifact}")
    relevant = judged.relevant_ids()
    queries = list(relevant)
    lexical = catalog.lexical_lists(queries)
    titles: Vectors = scorer.encode_titles(catalog.titles)["vector"]
    query_vectors: Vectors = scorer.encode_queries(queries)["vector"]
    rows: list[dict[str, Any]] = [_row(name, "lexical", "", lexical, relevant)]
    for precision, vectors in _precisions(titles):
        dense = _nearest(queries, query_vectors, vectors, catalog.ids)
        fused = {query: catalog.fused(lexical[query], dense[query]) for query in queries}
        rows += [
            _row(name, "dense", precision, dense, relevant),
            _row(name, "lexical + dense", precision, fused, relevant),
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    cached = {"fingerprint": scorer.fingerprint, "rows": rows}
    path.write_text(json.dumps(cached, indent=2) + "\n", encoding="utf-8")
    return rows


def as_bytes(vectors: Vectors, low: Vectors | float, high: Vectors | float) -> Vectors:
    """`vectors` after quantisation to 8 bits a number, evenly from low to high."""
    step = (np.asarray(high) - np.asarray(low)) / 255.0
    codes = np.clip(np.round((vectors - low) / step), 0, 255).astype(np.uint8)
    restored: Vectors = (codes * step + low).astype(np.float32)
    return restored


def _precisions(vectors: Vectors) -> Iterator[tuple[str, Vectors]]:
    yield "float", vectors
    # As in code derived from that of TwinBERT's authors: round((v + 1) / (2 / 255)).
    yield "int8 of -1 to 1", as_bytes(vectors, -1.0, 1.0)
    most = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12)
    yield "int8 of each vector's range", as_bytes(vectors, -most, most)


def _nearest(
    queries: Sequence[str], vectors: Vectors, titles: Vectors, ids: Sequence[str]
) -> Ranked:
    """The nearest titles of each query by exact search over all title vectors."""
    depth = min(CANDIDATES, len(titles))
    nearest: Ranked = {}
    for start in range(0, len(queries), _QUERY_BLOCK):
        cosine = vectors[start : start + _QUERY_BLOCK] @ titles.T
        best = np.argpartition(-cosine, depth - 1, axis=1)[:, :depth]
        order = np.argsort(-np.take_along_axis(cosine, best, 1), axis=1, kind="stable")
        for query, places in zip(
            queries[start:], np.take_along_axis(best, order, 1).tolist(), strict=False
        ):
            nearest[query] = [ids[place] for place in places]
    return nearest


def _row(
    name: str, retrieval: str, precision: str, ranked: Ranked, relevant: Mapping[str, set[str]]
) -> dict[str, Any]:
    shares = {}
    for depth in DEPTHS:
        of_query = [
            len(ids & set(ranked[query][:depth])) / len(ids) for query, ids in relevant.items()
        ]
        shares[f"recall@{depth}"] = round(float(np.mean(of_query)), 4)
    row = {"model": name, "retrieval": retrieval, "vectors": precision, "queries": len(relevant)}
    return row | shares
