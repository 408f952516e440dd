"""Pair tables -> labelled pairs: texts and labels for fine-tuning, some queries held out."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.errors import DataError

log = logging.getLogger(__name__)
# With fewer held-out queries, chance would decide which step is the best.
_MIN_DEV_QUERIES = 30


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Texts and labels (0..1), one row per pair."""

    queries: list[str]
    titles: list[str]
    labels: NDArray[np.float32]

    def lengths(self) -> NDArray[np.int64]:
        """Characters of query and title together, (pairs,)."""
        both = zip(self.queries, self.titles, strict=True)
        return np.array([len(query) + len(title) for query, title in both], dtype=np.int64)

    def take(self, rows: NDArray[np.int64]) -> LabelledPairs:
        """The pairs with these row numbers, in this order."""
        return LabelledPairs(
            [self.queries[i] for i in rows], [self.titles[i] for i in rows], self.labels[rows]
        )


def hold_out(
    judged: Sequence[LabelledPairs], share: float
) -> tuple[list[LabelledPairs], LabelledPairs | None]:
    """(kept, held out) by the query's hash. Holds none out if they would be too few."""
    masks = [
        np.array([zlib.crc32(b"dev" + query.encode()) / 2**32 < share for query in pairs.queries])
        for pairs in judged
    ]
    held_out = join(
        [pairs.take(np.flatnonzero(mask)) for pairs, mask in zip(judged, masks, strict=True)]
    )
    if len(set(held_out.queries)) < _MIN_DEV_QUERIES:
        log.info("no early stopping: fewer than %d judged queries to hold out", _MIN_DEV_QUERIES)
        return list(judged), None
    kept = [pairs.take(np.flatnonzero(~mask)) for pairs, mask in zip(judged, masks, strict=True)]
    return kept, held_out


def read_labelled_pairs(path: Path) -> LabelledPairs:
    """Read `clean_query`, `title` and `label` (or else `rating`) of a pair table.

    Labels outside 0..1 are scaled to it by their minimum and maximum. Raises DataError without
    usable labels.
    """
    table = read_table(path, ["clean_query", "title"])
    column = next((name for name in ("label", "rating") if name in table.column_names), None)
    if column is None:
        raise DataError(f"{path} has neither 'label' nor 'rating'; it has {table.column_names}")
    labels = table.column(column).to_numpy().astype(np.float32)
    low, high = float(labels.min()), float(labels.max())
    if not np.isfinite(labels).all():
        raise DataError(f"{path}: column {column!r} has values that are not finite")
    if low < 0.0 or high > 1.0:
        if high <= low:
            raise DataError(f"{path}: every {column} is {low:g}; expected at least two grades")
        labels = (labels - low) / (high - low)
        log.info("%s: %s %g..%g scaled to 0..1", path, column, low, high)
    return LabelledPairs(texts(table, "clean_query"), texts(table, "title"), labels)


def join(parts: Sequence[LabelledPairs]) -> LabelledPairs:
    """All pairs of all parts, in order."""
    return LabelledPairs(
        [query for part in parts for query in part.queries],
        [title for part in parts for title in part.titles],
        np.concatenate([part.labels for part in parts]),
    )
