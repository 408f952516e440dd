"""Retrieve: nearest title vectors in process, by FAISS, from a memory-mapped titles.faiss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss as typed_faiss
import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import CatalogIndexError
from qtr_rerank.retrieve.schema import Matches
from qtr_rerank.retrieve.ties import by_position, whole_ties

# FAISS's own stubs describe the C++ signatures, not those of Python.
faiss: Any = typed_faiss

# Below this share of allowed products, most edges of a graph lead to products that the filter
# refuses. The allowed vectors are then compared one by one, which is exact.
GRAPH_SHARE = 0.1
# A graph search visits at least as many nodes as it returns, and at least this many.
MIN_EF_SEARCH = 256


class FaissDense:
    """A DenseIndex over a file that `indexer.vectors` wrote. Safe to share between threads.

    Flat files give the exact neighbours; graph (HNSW) files give nearly all of them.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        self._graph = isinstance(index, faiss.IndexHNSW)
        # A graph keeps its vectors in a flat index, in the same order. The graph owns it and must
        # outlive it.
        self._flat = faiss.downcast_index(index.storage) if self._graph else index

    @classmethod
    def open(cls, path: Path | str) -> FaissDense:
        """Map the file at `path`. Raises CatalogIndexError where it is missing or damaged."""
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise CatalogIndexError(
                f"{path} is missing or holds no readable vectors; index the catalog again"
            ) from error
        # One thread per request, because a server handles several requests at a time.
        faiss.omp_set_num_threads(1)
        return cls(index)

    @property
    def dimension(self) -> int:
        """The length of one vector."""
        return int(self._index.d)

    def search(
        self, query_vector: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> Matches:
        """The `k` nearest, scored by inner product, best first; ties by position.

        `query_vector` is (dim,); `allowed` (products,) restricts the search to its true places.
        Raises CatalogIndexError where the vector has another length than those of the index.
        """
        if query_vector.shape != (self.dimension,):
            raise CatalogIndexError(
                f"the query vector has shape {query_vector.shape}, the index holds vectors of "
                f"{self.dimension}; search with the model that indexed the catalog"
            )
        total = len(self) if allowed is None else int(np.count_nonzero(allowed))
        if k < 1 or total == 0:
            return Matches.none()
        row = np.ascontiguousarray(query_vector[np.newaxis], dtype=np.float32)
        by_graph = self._graph and total >= len(self) * GRAPH_SHARE

        def fetch(limit: int) -> Matches:
            return self._fetch(row, limit, allowed, by_graph)

        return by_position(whole_ties(fetch, k, total)).first(k)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def _fetch(
        self,
        row: NDArray[np.float32],
        limit: int,
        allowed: NDArray[np.bool_] | None,
        by_graph: bool,
    ) -> Matches:
        # (products / 8,) bits, lowest first. FAISS reads them in place, so they must stay alive.
        bitmap = None if allowed is None else np.packbits(allowed, bitorder="little")
        selector = None if bitmap is None else faiss.IDSelectorBitmap(bitmap)
        if by_graph:
            wide = max(limit, MIN_EF_SEARCH)
            parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=wide)
            scores, positions = self._index.search(row, limit, params=parameters)
        else:
            parameters = None if selector is None else faiss.SearchParameters(sel=selector)
            scores, positions = self._flat.search(row, limit, params=parameters)
        found = positions[0] >= 0
        return Matches(positions[0][found], scores[0][found].astype(np.float64))
