"""Rerank: features of recent titles, so that a title that comes again is not encoded again.

Searches find the same products for many queries. `TitleStore` does the same for ids of an index.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import SettingsError
from qtr_rerank.runtime.session import Arrays

# Longer texts are encoded each time, so that the texts kept as keys stay small.
LONGEST = 1_000


class TitleCache:
    """Features of up to `capacity` titles; the least recently used make room. Safe to share between
    threads.
    """

    def __init__(self, capacity: int) -> None:
        """Raises SettingsError for a capacity below 1."""
        if capacity < 1:
            raise SettingsError(f"the cache is for {capacity} titles; expected 1 or more")
        self._capacity = capacity
        self._lock = threading.Lock()
        self._rows: OrderedDict[str, int] = OrderedDict()
        self._arrays: Arrays = {}

    def __len__(self) -> int:
        return len(self._rows)

    def features(self, titles: Sequence[str], encode: Callable[[Sequence[str]], Arrays]) -> Arrays:
        """Features of titles, each array (titles, ...). `encode` is called for the unknown ones.

        `encode` must give rows of one shape, whatever else is in the batch.
        """
        rows = np.full(len(titles), -1, dtype=np.int64)
        with self._lock:
            for place, title in enumerate(titles):
                row = self._rows.get(title)
                if row is not None:
                    rows[place] = row
                    self._rows.move_to_end(title)
            known = rows >= 0
            # Copied under the lock: another thread may give these rows to other titles.
            kept = {name: array[rows[known]] for name, array in self._arrays.items()}
        if known.all() and kept:
            return kept
        unknown = list(dict.fromkeys(titles[place] for place in np.flatnonzero(~known).tolist()))
        fresh = encode(unknown)
        self._keep(unknown, fresh)
        return _joined(titles, known, kept, unknown, fresh)

    def _keep(self, titles: Sequence[str], features: Arrays) -> None:
        short = [place for place, title in enumerate(titles) if len(title) <= LONGEST]
        # More titles than fit would evict each other.
        short = short[-self._capacity :]
        with self._lock:
            if not self._arrays:
                # The system gives memory as rows are written, not here.
                self._arrays = {
                    name: np.empty((self._capacity, *array.shape[1:]), dtype=array.dtype)
                    for name, array in features.items()
                }
            rows = [self._row(titles[place]) for place in short]
            for name, array in self._arrays.items():
                array[rows] = features[name][short]

    def _row(self, title: str) -> int:
        """The row of a title, marked as used last. The caller holds the lock."""
        row = self._rows.pop(title, None)
        if row is None:
            full = len(self._rows) == self._capacity
            row = self._rows.popitem(last=False)[1] if full else len(self._rows)
        self._rows[title] = row
        return row


def _joined(
    titles: Sequence[str],
    known: NDArray[np.bool_],
    kept: Arrays,
    unknown: Sequence[str],
    fresh: Arrays,
) -> Arrays:
    """Rows in the order of `titles`: kept ones where they are known, else fresh ones."""
    place_of = {title: place for place, title in enumerate(unknown)}
    places = [place_of[titles[place]] for place in np.flatnonzero(~known).tolist()]
    if not known.any():
        return {name: array[places] for name, array in fresh.items()}
    joined: Arrays = {}
    for name, array in fresh.items():
        joined[name] = np.empty((len(titles), *array.shape[1:]), dtype=array.dtype)
        joined[name][known] = kept[name]
        joined[name][~known] = array[places]
    return joined
