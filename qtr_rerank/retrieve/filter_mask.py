"""Retrieve: filters as a mask over the catalog, from the facet columns of the title store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.records import Filters
from qtr_rerank.retrieve.dense_faiss import FaissDense
from qtr_rerank.retrieve.schema import Matches
from qtr_rerank.runtime.id_table import Positions
from qtr_rerank.runtime.title_store import FacetColumns


class FilterMask:
    """Which products of a catalog may be found. Safe to share between threads."""

    def __init__(self, columns: FacetColumns, refused: Sequence[int] = ()) -> None:
        """`refused` are positions that are never found: the engine would not take them."""
        self._columns = columns
        self._searchable: NDArray[np.bool_] | None = None
        if refused:
            self._searchable = np.ones(len(columns.prices), dtype=np.bool_)
            self._searchable[list(refused)] = False

    def __len__(self) -> int:
        return len(self._columns.prices)

    def allowed(self, filters: Filters | None, misses: int = 0) -> NDArray[np.bool_] | None:
        """True (products,) where a product may be found; None where all may."""
        if not filters:
            return self._searchable
        passing = self.passing(filters, misses=misses)
        return passing if self._searchable is None else passing & self._searchable

    def passing(
        self, filters: Filters, positions: Positions | None = None, misses: int = 0
    ) -> NDArray[np.bool_]:
        """True where a product passes `filters`: all products, or those at `positions`.

        Values of one field are alternatives; fields add up, and a product may fail `misses` of
        them. An unknown price passes no price limit.
        """
        columns = self._columns
        here: Any = slice(None) if positions is None else positions
        tests: list[NDArray[np.bool_]] = []
        if filters.brands:
            tests.append(_carries(columns.brand_codes[here], columns.brands, filters.brands))
        if filters.categories:
            codes = columns.category_codes[here]
            tests.append(_carries(codes, columns.categories, filters.categories))
        if filters.price_min is not None or filters.price_max is not None:
            tests.append(_in_range(columns.prices[here], filters.price_min, filters.price_max))
        count = len(self) if positions is None else len(positions)
        failed = np.zeros(count, dtype=np.int8)
        for passes in tests:
            failed += ~passes
        return failed <= misses


class FilteredFaiss:
    """FAISS as a `DenseIndex`: filters become a mask. Safe to share between threads."""

    def __init__(self, dense: FaissDense, mask: FilterMask) -> None:
        self._dense = dense
        self._mask = mask

    def search(
        self,
        query_vector: NDArray[np.float32],
        k: int,
        filters: Filters | None = None,
        misses: int = 0,
    ) -> Matches:
        """As `DenseIndex.search`; exact where the file is flat."""
        return self._dense.search(query_vector, k, self._mask.allowed(filters, misses))

    def __len__(self) -> int:
        return len(self._dense)

    def close(self) -> None:
        """Nothing to do: the file is memory-mapped, and is closed with its last user."""


def _carries(
    codes: NDArray[np.int32], vocabulary: Sequence[str], values: Iterable[str]
) -> NDArray[np.bool_]:
    wanted = set(values)
    chosen = np.array([value in wanted for value in vocabulary], dtype=np.bool_)
    return chosen[codes] if len(chosen) else np.zeros(len(codes), dtype=np.bool_)


def _in_range(
    prices: NDArray[np.float32], lowest: float | None, highest: float | None
) -> NDArray[np.bool_]:
    # An unknown price is NaN, which no comparison passes.
    passing = ~np.isnan(prices)
    # np.float32, because a limit of 19.99 must meet a stored 19.99.
    if lowest is not None:
        passing &= prices >= np.float32(lowest)
    if highest is not None:
        passing &= prices <= np.float32(highest)
    return passing
