"""Retrieve: what every lexical and dense index must do. The same contract tests run over all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.records import Candidate, Filters, Product
from qtr_rerank.runtime.id_table import Positions


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """A ranked list of products: `positions` (matches,) in the catalog and `scores` (matches,),
    best first.
    """

    positions: Positions
    scores: NDArray[np.float64]

    @classmethod
    def none(cls) -> Matches:
        """An empty list."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0))

    def first(self, k: int) -> Matches:
        """The best `k`."""
        return Matches(self.positions[:k], self.scores[:k])

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        """(position, score) of each, as plain numbers."""
        return zip(self.positions.tolist(), self.scores.tolist(), strict=True)


class PositionIndex(Protocol):
    """A lexical index as the search engine needs it: matches are positions in the catalog."""

    def matches(
        self, query: str, k: int, filters: Filters | None = None, misses: int = 0
    ) -> Matches:
        """The best `k` by BM25, best first; ties by id. Empty where nothing matches.

        `misses` is how many of the filtered fields (brand, category, price) a product may fail:
        facets count with 1. The query is plain text: no character in it is an operator.
        """
        ...

    def products(self, ids: Sequence[str]) -> list[Product]:
        """The products of `ids`, in that order. Raises UnknownIdError naming the first missing."""
        ...

    def __len__(self) -> int:
        """How many products are searchable."""
        ...

    def close(self) -> None:
        """Release files or connections. Closing twice is allowed."""
        ...


class LexicalIndex(Protocol):
    """BM25 over title, brand, category, description and attributes (see `fields`)."""

    def search(
        self, query: str, k: int, filters: Filters | None = None, misses: int = 0
    ) -> list[Candidate]:
        """The best `k` by BM25, best first; ties by id. Otherwise as `PositionIndex.matches`."""
        ...

    def products(self, ids: Sequence[str]) -> list[Product]:
        """The products of `ids`, in that order. Raises UnknownIdError naming the first missing."""
        ...

    def __len__(self) -> int:
        """How many products are searchable."""
        ...

    def close(self) -> None:
        """Release files or connections. Closing twice is allowed."""
        ...


class DenseIndex(Protocol):
    """Nearest title vectors by inner product (unit vectors: cosine)."""

    def search(
        self,
        query_vector: NDArray[np.float32],
        k: int,
        filters: Filters | None = None,
        misses: int = 0,
    ) -> Matches:
        """The `k` nearest, scored by inner product, best first; ties by position.

        `query_vector` is (dim,). Filters hold before the `k` are taken, not after; `misses` is as
        in `PositionIndex.matches`.
        """
        ...

    def __len__(self) -> int: ...

    def close(self) -> None:
        """Release files or connections. Closing twice is allowed."""
        ...
