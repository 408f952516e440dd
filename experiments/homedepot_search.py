"""Home Depot, all 54,667 products: BM25, and what lexical and dense retrieval find."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.homedepot_measures import Judged
from qtr_rerank.data.datasets import open_dataset
from qtr_rerank.data.training_pairs import read_table, write_table
from qtr_rerank.records import Candidate
from qtr_rerank.retrieve.fuse import reciprocal_rank_fusion
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.runtime.scorer import Scorer

DEPTHS = (10, 50, 100)
# As deep as a search looks before it fuses (qtr_rerank.search).
CANDIDATES = 1000
_QUERY_BLOCK = 64

Vectors = NDArray[np.float32]
Ranked = dict[str, list[str]]


class Catalog:
    """Products and their titles, and an index of the words in the work folder."""

    def __init__(self, data: Path, work: Path) -> None:
        products = list(open_dataset("homedepot", data / "homedepot").catalog())
        self.ids = [product.id for product in products]
        self.titles = [product.title for product in products]
        folder, whole = work / "bm25", work / "bm25" / "whole"
        if not whole.is_file():
            click.echo(f"+ indexing {len(products):,} titles")
            TantivyLexical.build(folder, products).close()
            whole.touch()
        self.lexical = TantivyLexical.open(folder)
        self._lists: Ranked = {}

    def __len__(self) -> int:
        return len(self.ids)

    def lexical_lists(self, queries: Sequence[str]) -> Ranked:
        """The first CANDIDATES ids of each query by BM25; asked once."""
        for query in queries:
            if query not in self._lists:
                found = self.lexical.search(query, CANDIDATES)
                self._lists[query] = [hit.id for hit in found]
        return {query: self._lists[query] for query in queries}


def bm25_scores(judged: Judged, catalog: Catalog, work: Path) -> NDArray[np.float64]:
    """BM25 of each development pair, 0 where title and query share no word."""
    path = work / "bm25-dev.parquet"
    if path.is_file():
        click.echo(f"kept  {path}")
    else:
        click.echo(f"+ BM25 of {len(judged.ids):,} pairs")
        values = np.zeros(len(judged.ids))
        for code, query in enumerate(judged.distinct):
            scores = {hit.id: hit.score for hit in catalog.lexical.search(query, len(catalog))}
            for place in np.flatnonzero(judged.codes == code):
                values[place] = scores.get(judged.ids[place], 0.0)
        write_table(pa.table({"bm25": pa.array(values, type=pa.float64())}), path)
    scored: NDArray[np.float64] = read_table(path, ["bm25"]).column("bm25").to_numpy()
    return scored


def recall(name: str, artifact: Path, judged: Judged, catalog: Catalog, work: Path) -> list[Any]:
    """Rows of recall for one twin: lexical, dense and both, with vectors as they are and in bytes.

    Measured once for each artifact, then read from the work folder.
    """
    scorer = Scorer.load(artifact)
    path = work / "recall" / f"{name}.json"
    if path.is_file():
        noted = json.loads(path.read_text(encoding="utf-8"))
        if noted["fingerprint"] == scorer.fingerprint:
            click.echo(f"kept  {path}")
            return list(noted["rows"])
    click.echo(f"+ searching {len(catalog):,} titles by {artifact}")
    wanted = judged.searched()
    queries = list(wanted)
    lexical = catalog.lexical_lists(queries)
    titles: Vectors = scorer.encode_titles(catalog.titles)["vector"]
    asked: Vectors = scorer.encode_queries(queries)["vector"]
    rows: list[dict[str, Any]] = [_row(name, "lexical", "", lexical, wanted)]
    for precision, vectors in _precisions(titles):
        near = _nearest(queries, asked, vectors, catalog.ids)
        both = {
            query: [
                hit.id
                for hit in reciprocal_rank_fusion(
                    {"lexical": _hits(lexical[query]), "dense": _hits(near[query])}, max(DEPTHS)
                )
            ]
            for query in queries
        }
        rows += [
            _row(name, "dense", precision, near, wanted),
            _row(name, "lexical + dense", precision, both, wanted),
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    noted = {"fingerprint": scorer.fingerprint, "rows": rows}
    path.write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")
    return rows


def as_bytes(vectors: Vectors, low: Vectors | float, high: Vectors | float) -> Vectors:
    """Vectors after they were stored in 8 bits a number, evenly from low to high."""
    step = (np.asarray(high) - np.asarray(low)) / 255.0
    codes = np.clip(np.round((vectors - low) / step), 0, 255).astype(np.uint8)
    back: Vectors = (codes * step + low).astype(np.float32)
    return back


def _precisions(vectors: Vectors) -> Iterator[tuple[str, Vectors]]:
    yield "float", vectors
    # As in the code derived from TwinBERT's authors': round((v + 1) / (2 / 255)).
    yield "int8 of -1 to 1", as_bytes(vectors, -1.0, 1.0)
    most = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12)
    yield "int8 of each vector's range", as_bytes(vectors, -most, most)


def _nearest(queries: Sequence[str], asked: Vectors, titles: Vectors, ids: Sequence[str]) -> Ranked:
    """Exact: each query vector against all title vectors."""
    depth = min(CANDIDATES, len(titles))
    found: Ranked = {}
    for start in range(0, len(queries), _QUERY_BLOCK):
        likeness = asked[start : start + _QUERY_BLOCK] @ titles.T
        best = np.argpartition(-likeness, depth - 1, axis=1)[:, :depth]
        order = np.argsort(-np.take_along_axis(likeness, best, 1), axis=1, kind="stable")
        for query, places in zip(
            queries[start:], np.take_along_axis(best, order, 1).tolist(), strict=False
        ):
            found[query] = [ids[place] for place in places]
    return found


def _hits(ids: Sequence[str]) -> list[Candidate]:
    return [Candidate(id=id, score=0.0, rank=rank) for rank, id in enumerate(ids, start=1)]


def _row(
    name: str, way: str, precision: str, found: Ranked, wanted: Mapping[str, set[str]]
) -> dict[str, Any]:
    shares = {}
    for depth in DEPTHS:
        of_query = [
            len(ids & set(found[query][:depth])) / len(ids) for query, ids in wanted.items()
        ]
        shares[f"recall@{depth}"] = round(float(np.mean(of_query)), 4)
    return {"model": name, "retrieval": way, "vectors": precision, "queries": len(wanted)} | shares
