"""Recipe: what the artifacts are worth on queries kept aside, beside BM25 over the same lists."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.evaluate.pair_measures import judged_list_ndcg
from qtr_rerank.recipe.shop import Shop
from qtr_rerank.records import Product
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical

# Judged products that BM25 puts behind so many are its last, all alike.
_DEPTH = 10_000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Pairs (rows) of queries kept aside, with their grades 0..1."""

    queries: list[str]
    texts: list[str]
    ids: list[str]
    labels: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path, shop: Shop) -> HeldOut:
        """A pair table with `label`; where it has no `docid`, products are found by their text."""
        table = read_table(path, ["query", "title", "label"])
        titles = texts(table, "title")
        if "docid" in table.column_names:
            ids = texts(table, "docid")
        else:
            by_text = {text: id for id, text in reversed(shop.texts.items())}
            ids = [by_text[title] for title in titles]
        labels = table.column("label").to_numpy().astype(np.float64)
        return cls(texts(table, "query"), titles, ids, labels)

    def ndcg(self, scores: NDArray[np.float32]) -> float:
        """Mean nDCG@10 of each query's list ordered by score; the gain is the grade. Queries
        without a grade above 0 are left out.
        """
        _, codes = np.unique(np.asarray(self.queries), return_inverse=True)
        return round(float(np.nanmean(judged_list_ndcg(scores, self.labels, codes))), 4)


def bm25_figures(held_out: HeldOut, shop: Shop) -> dict[str, float]:
    """nDCG@10 of BM25 over the whole products, and over the text alone that the models read."""
    # Whole products first: that one is what a shop would have without any model.
    plain = (Product(id=id, title=text) for id, text in shop.texts.items())
    return {
        "BM25, all fields": held_out.ndcg(_bm25(held_out, shop.products)),
        f"BM25, {_names(shop)}": held_out.ndcg(_bm25(held_out, plain)),
    }


def _bm25(held_out: HeldOut, products: Iterable[Product]) -> NDArray[np.float32]:
    with tempfile.TemporaryDirectory(prefix="qtr-bm25-") as folder:
        index = TantivyLexical.build(Path(folder) / "tantivy", products)
        depth = min(_DEPTH, len(index))
        found = {
            query: {hit.id: hit.score for hit in index.search(query, depth)}
            for query in dict.fromkeys(held_out.queries)
        }
        index.close()
    pairs = zip(held_out.queries, held_out.ids, strict=True)
    return np.array([found[query].get(id, 0.0) for query, id in pairs], dtype=np.float32)


def _names(shop: Shop) -> str:
    return " + ".join(shop.reads.fields)
