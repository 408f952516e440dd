"""Rerank: features of the titles read last. A title that comes again is not read again.

Searches repeat themselves: the same products are found for many queries. This is what an index
does for ids (`TitleStore`), for texts, as far as it reaches.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import SettingsError
from qtr_rerank.runtime.session import Arrays

# Longer texts are read each time: what is kept of the titles themselves stays small, too.
LONGEST = 1_000


class TitleCache:
    """Features of up to `capacity` titles, the least recently used making room. Safe to share
    between threads.
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

    def features(self, titles: Sequence[str], read: Callable[[Sequence[str]], Arrays]) -> Arrays:
        """What `read` gives of titles, each array (titles, ...); it is asked for the unknown ones.

        `read` gives a row of one shape for each title, whatever it comes with.
        """
        rows = np.full(len(titles), -1, dtype=np.int64)
        with self._lock:
            for place, title in enumerate(titles):
                row = self._rows.get(title)
                if row is not None:
                    rows[place] = row
                    self._rows.move_to_end(title)
            known = rows >= 0
            # Copied at once: another thread may give the rows to other titles.
            kept = {name: array[rows[known]] for name, array in self._arrays.items()}
        if known.all() and kept:
            return kept
        unknown = list(dict.fromkeys(titles[place] for place in np.flatnonzero(~known).tolist()))
        fresh = read(unknown)
        self._keep(unknown, fresh)
        return _joined(titles, known, kept, unknown, fresh)

    def _keep(self, titles: Sequence[str], features: Arrays) -> None:
        short = [place for place, title in enumerate(titles) if len(title) <= LONGEST]
        # More than fit would put each other out.
        short = short[-self._capacity :]
        with self._lock:
            if not self._arrays:
                # Memory is taken as rows are written, not now.
                self._arrays = {
                    name: np.empty((self._capacity, *array.shape[1:]), dtype=array.dtype)
                    for name, array in features.items()
                }
            rows = [self._row(titles[place]) for place in short]
            for name, array in self._arrays.items():
                array[rows] = features[name][short]

    def _row(self, title: str) -> int:
        """The row of a title, which becomes the one used last. To be called with the lock."""
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
    """Rows in the order of `titles`: kept ones where they are known, fresh ones else."""
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
