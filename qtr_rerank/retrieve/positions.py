"""Retrieve: an index that knows products by id, as the search engine needs it: by position."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from qtr_rerank.records import Filters, Product
from qtr_rerank.retrieve.schema import LexicalIndex, Matches
from qtr_rerank.runtime.id_table import Positions


class ById:
    """A `LexicalIndex` as a `PositionIndex`. Safe to share between threads if the index is."""

    def __init__(
        self, index: LexicalIndex, positions: Callable[[Sequence[str]], Positions]
    ) -> None:
        """`positions` maps ids to positions: `TitleStore.positions`."""
        self._index = index
        self._positions = positions

    def matches(
        self, query: str, k: int, filters: Filters | None = None, misses: int = 0
    ) -> Matches:
        """As `PositionIndex.matches`. Raises UnknownIdError for an id that the store lacks."""
        found = self._index.search(query, k, filters, misses)
        scores = np.array([candidate.score for candidate in found], dtype=np.float64)
        return Matches(self._positions([candidate.id for candidate in found]), scores)

    def products(self, ids: Sequence[str]) -> list[Product]:
        """As `PositionIndex.products`."""
        return self._index.products(ids)

    def __len__(self) -> int:
        return len(self._index)

    def close(self) -> None:
        """Close the index. Closing twice is allowed."""
        self._index.close()
