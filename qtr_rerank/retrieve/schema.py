"""Retrieve: what every lexical and dense index must do. The same contract tests run over all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.records import Candidate, Filters, Product


class LexicalIndex(Protocol):
    """BM25 over title, brand, category, description and attributes (`fields` below)."""

    def search(self, query: str, k: int, filters: Filters | None = None) -> list[Candidate]:
        """The best `k` by BM25, best first; ties by id. Empty where nothing matches.

        The query is plain text: no character in it is an operator.
        """
        ...

    def products(self, ids: Sequence[str]) -> list[Product]:
        """The products of `ids`, in that order. Raises UnknownIdError naming the first missing."""
        ...

    def __len__(self) -> int:
        """How many products are searchable."""
        ...

    def close(self) -> None:
        """Release files or connections. Calling it twice is no fault."""
        ...


class DenseIndex(Protocol):
    """Nearest title vectors by inner product (unit vectors: cosine)."""

    def search(
        self, query_vector: NDArray[np.float32], k: int, filters: Filters | None = None
    ) -> list[tuple[int, float]]:
        """The `k` nearest as (position, inner product), best first; ties by position.

        `query_vector` is (dim,); filters hold before the `k` are taken, not after.
        """
        ...

    def __len__(self) -> int: ...

    def close(self) -> None:
        """Release files or connections. Calling it twice is no fault."""
        ...
