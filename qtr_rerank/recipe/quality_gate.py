"""Recipe: nDCG of students and of BM25 on held-out queries, and who passes the gate."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.evaluate.pair_measures import judged_list_ndcg
from qtr_rerank.recipe.shop import Shop
from qtr_rerank.records import Product
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical

# Judged products that BM25 ranks below this depth tie at score 0.
_DEPTH = 10_000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Graded pairs of held-out queries, one per row; `labels` (pairs,) are grades 0..1."""

    queries: list[str]
    texts: list[str]
    ids: list[str]
    labels: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path, shop: Shop) -> HeldOut:
        """Read a pair table with `label`. Without `docid`, products are looked up by their text."""
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
        """Mean nDCG@10 of the queries' lists ordered by `scores` (pairs,); the gain is the grade.

        Queries without a grade above 0 are left out.
        """
        _, codes = np.unique(np.asarray(self.queries), return_inverse=True)
        return round(float(np.nanmean(judged_list_ndcg(scores, self.labels, codes))), 4)


def bm25_figures(held_out: HeldOut, shop: Shop) -> dict[str, float]:
    """nDCG@10 of BM25 over all fields of the products, and over the text that the models read."""
    text_only = (Product(id=id, title=text) for id, text in shop.texts.items())
    return {
        "BM25, all fields": held_out.ndcg(_bm25(held_out, shop.products)),
        f"BM25, {' + '.join(shop.reads.fields)}": held_out.ndcg(_bm25(held_out, text_only)),
    }


def reason_to_refuse(ndcg: float, bm25: Mapping[str, float]) -> str:
    """Why a student is not handed over, or "": its nDCG@10 is below the best BM25's."""
    name, best = max(bm25.items(), key=lambda figure: figure[1])
    return f"nDCG@10 {ndcg:.4f} is worse than {best:.4f} of {name}" if ndcg < best else ""


def _bm25(held_out: HeldOut, products: Iterable[Product]) -> NDArray[np.float32]:
    with tempfile.TemporaryDirectory(prefix="qtr-bm25-") as folder:
        index = TantivyLexical.build(Path(folder) / "tantivy", products)
        depth = min(_DEPTH, len(index))
        scores = {
            query: {hit.id: hit.score for hit in index.search(query, depth)}
            for query in dict.fromkeys(held_out.queries)
        }
        index.close()
    pairs = zip(held_out.queries, held_out.ids, strict=True)
    return np.array([scores[query].get(id, 0.0) for query, id in pairs], dtype=np.float32)
