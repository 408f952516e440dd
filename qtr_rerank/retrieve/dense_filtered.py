"""Retrieve: FAISS as a `DenseIndex`: filters become the places that may be found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.records import Filters
from qtr_rerank.retrieve.dense_faiss import FaissDense

Allowed = Callable[[Filters | None], NDArray[np.bool_] | None]


class FilteredFaiss:
    """A FAISS file and the store's facets. Safe to share between threads."""

    def __init__(self, dense: FaissDense, allowed: Allowed) -> None:
        self._dense = dense
        self._allowed = allowed

    def search(
        self, query_vector: NDArray[np.float32], k: int, filters: Filters | None = None
    ) -> list[tuple[int, float]]:
        """As DenseIndex says; exact where the file is flat."""
        return self._dense.search(query_vector, k, self._allowed(filters))

    def __len__(self) -> int:
        return len(self._dense)

    def close(self) -> None:
        """The file is mapped, and goes with its last user."""
