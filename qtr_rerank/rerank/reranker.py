"""Rerank: one student over the documents of one query, as a library call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import CatalogIndexError, DataError
from qtr_rerank.records import Product, Ranked
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.runtime.title_store import TitleStore
from qtr_rerank.template import ProductText

Document = str | Product | Mapping[str, Any]


class Reranker:
    """A student ready to order documents. Safe to share between threads.

        Reranker.load("match").rerank("usb c cable", ["USB-C cable 2 m", "Phone case"])

    With an index, `rerank_ids` uses the stored title features: titles are not read again.
    """

    def __init__(self, scorer: Scorer, store: TitleStore | None = None) -> None:
        self.name = scorer.name
        self._scorer = scorer
        self._store = store
        self._features = store.features(scorer.name) if store is not None else {}

    @classmethod
    def load(
        cls, name_or_folder: str | Path, *, index: str | Path | None = None, threads: int = 1
    ) -> Reranker:
        """Load a model by name (see `qtr models`) or folder, and the stored titles of `index`.

        Raises ArtifactError for an unknown or damaged model, CatalogIndexError where the index
        was made with another model than this one.
        """
        scorer = Scorer.load(name_or_folder, threads)
        if index is None:
            return cls(scorer)
        made_with = IndexManifest.load(index).models.get(scorer.name)
        if made_with != scorer.fingerprint:
            raise CatalogIndexError(
                f"{index} was made with {scorer.name} {(made_with or 'not at all')[:12]}, this one "
                f"is {scorer.fingerprint[:12]}; index the catalog again"
            )
        return cls(scorer, TitleStore.open(Path(index) / "store"))

    def rerank(
        self, query: str, documents: Sequence[Document], top_k: int | None = None
    ) -> list[Ranked]:
        """All documents, or the best `top_k`, best first; equal scores keep the given order.

        A document is a text, a `Product`, or a mapping with `title` (or `text`) and perhaps `id`,
        `brand` and `category`; it comes back as it was given in `Ranked.document`. Without an id,
        its place is its id. Of a product, or of a mapping with `title`, the model reads what its
        template says (`Scorer.reads`); a plain text, or `text`, it reads as it is.
        Raises DataError for anything else, naming the place.
        """
        _require_top_k(top_k)
        reads = self._scorer.reads
        titles = [_text(document, place, reads) for place, document in enumerate(documents)]
        logits = self._scorer.score_texts(query, titles)
        ids = [_id(document, place) for place, document in enumerate(documents)]
        return self._ranked(logits, ids, documents, top_k)

    def rerank_ids(self, query: str, ids: Sequence[str], top_k: int | None = None) -> list[Ranked]:
        """As `rerank`, for products of the index: one matrix product in place of reading titles.

        Raises UnknownIdError naming the first id that the index lacks, CatalogIndexError where
        this reranker was loaded without an index.
        """
        _require_top_k(top_k)
        if self._store is None:
            raise CatalogIndexError(
                "rerank_ids needs stored titles; load with Reranker.load(name, index=FOLDER)"
            )
        if not ids:
            return []
        positions = self._store.positions(ids)
        logits = self._scorer.score(
            self._scorer.encode_queries([query]),
            {name: rows[positions] for name, rows in self._features.items()},
        )
        return self._ranked(logits, ids, ids, top_k)

    def _ranked(
        self,
        logits: NDArray[np.float32],
        ids: Sequence[str],
        documents: Sequence[Any],
        top_k: int | None,
    ) -> list[Ranked]:
        # Sort on logits: probabilities saturate at 1.0 and would tie.
        order = np.argsort(-logits, kind="stable")[:top_k].tolist()
        probabilities = self._scorer.probabilities(logits)
        return [
            Ranked(
                id=ids[place],
                index=place,
                rank=rank,
                score=float(probabilities[place]),
                logit=float(logits[place]),
                first_rank=place + 1,
                first_score=0.0,
                stage=self.name,
                document=documents[place],
            )
            for rank, place in enumerate(order, start=1)
        ]


def _require_top_k(top_k: int | None) -> None:
    if top_k is not None and top_k < 0:
        raise DataError(f"top_k is {top_k}; expected 0 or more, or None for all documents")


def _text(document: Document, place: int, reads: ProductText) -> str:
    """What the model reads of a document."""
    if isinstance(document, str):
        return document
    if isinstance(document, Product):
        return reads.render(document)
    if isinstance(document, Mapping):
        text = document.get("text")
        if "title" not in document and isinstance(text, str):
            return text
        fields: dict[str, Any] = {name: document.get(name) or "" for name in reads.fields}
        if isinstance(document.get("title"), str) and all(
            isinstance(value, str) for value in fields.values()
        ):
            return reads.render(Product(id="", **fields))
    raise DataError(
        f"document {place} is {str(document)[:80]!r}; expected a text, a Product, or a mapping "
        f"with 'text', or with 'title' and texts in what the model reads: {', '.join(reads.fields)}"
    )


def _id(document: Document, place: int) -> str:
    if isinstance(document, Product):
        return document.id
    if isinstance(document, Mapping) and "id" in document:
        return str(document["id"])
    return str(place)
