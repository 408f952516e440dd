"""Judge: the products of an index, by id. No model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtr_rerank.records import Product
from qtr_rerank.retrieve.schema import PositionIndex
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.runtime.title_store import TitleStore
from qtr_rerank.search import open_lexical


class Catalog:
    """The products of an index folder."""

    def __init__(self, folder: Path) -> None:
        """Raises CatalogIndexError where there is no whole index."""
        self._folder = folder
        IndexManifest.load(folder)
        self._store = TitleStore.open(folder / "store")
        self._lexical: PositionIndex | None = None

    def holds(self, ids: Sequence[str]) -> list[bool]:
        """Whether the index holds each of `ids`."""
        return [position >= 0 for position in self._store.find(ids).tolist()]

    def product(self, id: str) -> Product:
        """Raises UnknownIdError, and EngineUnavailableError where the products are in an
        OpenSearch that does not respond.
        """
        return self.products([id])[0]

    def products(self, ids: Sequence[str]) -> list[Product]:
        """The products of `ids`, in that order. Raises as `product` does."""
        # Opened by the process that reads: a fork would not have the engine's threads.
        if self._lexical is None:
            self._lexical = open_lexical(self._folder)
        return self._lexical.products(ids)

    def close(self) -> None:
        """Release files and connections."""
        if self._lexical is not None:
            self._lexical.close()
