"""Index -> rerank: ids by position and positions by id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import DataError, UnknownIdError
from qtr_rerank.runtime.columns import ArrayAppender, mapped

Positions = NDArray[np.int64]


class IdTable:
    """Ids by position and positions by id, without a Python object for each id.

    A lookup searches a sorted column of 64-bit hashes and then compares the ids, so ids with equal
    hashes are still distinguished. An id takes its own bytes on disk and 24 more.
    """

    def __init__(self, folder: Path) -> None:
        self._text = mapped(folder / "text.npy")  # (bytes,) uint8
        self._ends = mapped(folder / "offsets.npy")  # (ids + 1,) int64
        self._hashes = mapped(folder / "hashes.npy")  # (ids,) uint64, ascending
        self._order = mapped(folder / "order.npy")  # (ids,) int64: position of each hash

    def __len__(self) -> int:
        return len(self._order)

    def ids(self, positions: Iterable[int] | NDArray[Any]) -> list[str]:
        """The ids at `positions`, in that order."""
        return [each.decode("utf-8", "surrogatepass") for each in self._encoded(positions)]

    def positions(self, ids: Sequence[str]) -> Positions:
        """The positions of `ids`, in that order. Raises UnknownIdError naming the first missing."""
        found = self.find(ids)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            raise UnknownIdError(
                f"the index of {len(self):,} products holds no id {ids[int(missing[0])]!r}; "
                "use an id of its catalog, or index the catalog again if it has changed"
            )
        return found

    def find(self, ids: Sequence[str]) -> Positions:
        """The positions of `ids`, in that order; -1 for an id that the table does not hold."""
        encoded = [identifier.encode("utf-8", "surrogatepass") for identifier in ids]
        hashes = np.array([_hash(identifier) for identifier in encoded], dtype=np.uint64)
        slots = np.searchsorted(self._hashes, hashes)
        # Hashes rarely collide: nearly always the first id of a hash matches.
        found = np.full(len(ids), -1, dtype=np.int64)
        inside = slots < len(self)
        found[inside] = self._order[slots[inside]]
        first = iter(self._encoded(found[inside]))
        for number, (wanted, is_inside) in enumerate(zip(encoded, inside.tolist(), strict=True)):
            if not is_inside or next(first) != wanted:
                found[number] = self._probe(wanted, hashes[number], int(slots[number]))
        return found

    def sort_keys(self, positions: Positions) -> NDArray[np.bytes_]:
        """Keys (positions,) that sort as the ids at `positions` do, as fixed-width UTF-8."""
        starts = self._ends[positions]
        lengths = self._ends[positions + 1] - starts
        columns = np.arange(max(1, int(lengths.max(initial=0))))
        inside = columns < lengths[:, np.newaxis]
        text = np.zeros(inside.shape, dtype=np.uint8)
        text[inside] = self._text[(starts[:, np.newaxis] + columns)[inside]]
        return text.view(f"S{len(columns)}")[:, 0]

    def _encoded(self, positions: Iterable[int] | NDArray[Any]) -> list[bytes]:
        wanted = np.asarray(positions, dtype=np.int64)
        starts, ends = self._ends[wanted].tolist(), self._ends[wanted + 1].tolist()
        text = memoryview(self._text)
        return [bytes(text[start:end]) for start, end in zip(starts, ends, strict=True)]

    def _probe(self, identifier: bytes, hashed: np.uint64, slot: int) -> int:
        """The position of `identifier` among the ids of one hash, from `slot` on; -1 if absent."""
        while slot < len(self) and self._hashes[slot] == hashed:
            position = int(self._order[slot])
            if self._encoded([position]) == [identifier]:
                return position
            slot += 1
        return -1


class IdTableWriter:
    """Writes an IdTable as ids arrive; a context manager that completes the table.

    Leaving it sorts the hashes, which takes 16 bytes of memory per id, and raises DataError naming
    a duplicate id.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._text = ArrayAppender(folder / "text.npy")
        self._offsets = ArrayAppender(folder / "offsets.npy")
        self._hashes = ArrayAppender(folder / "unsorted.npy")
        # Empty appends set the dtypes, for a catalog without products.
        self._text.append(np.zeros(0, dtype=np.uint8))
        self._offsets.append(np.zeros(1, dtype=np.int64))
        self._hashes.append(np.zeros(0, dtype=np.uint64))
        self._length = 0

    def add(self, ids: Sequence[str]) -> None:
        """Append `ids`, at the next positions."""
        if not ids:
            return
        encoded = [identifier.encode("utf-8", "surrogatepass") for identifier in ids]
        ends = self._length + np.cumsum([len(identifier) for identifier in encoded], dtype=np.int64)
        self._text.append(np.frombuffer(b"".join(encoded), dtype=np.uint8))
        self._offsets.append(ends)
        self._hashes.append(np.array([_hash(one) for one in encoded], dtype=np.uint64))
        self._length = int(ends[-1])

    def __enter__(self) -> IdTableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for column in (self._text, self._offsets, self._hashes):
            column.close()
        if kind is None:
            self._sort()

    def _sort(self) -> None:
        unsorted_hashes = self._folder / "unsorted.npy"
        hashes = np.load(unsorted_hashes)
        order = np.argsort(hashes, kind="stable").astype(np.int64)
        np.save(self._folder / "hashes.npy", hashes[order])
        np.save(self._folder / "order.npy", order)
        unsorted_hashes.unlink()
        self._refuse_duplicates(hashes[order], order)

    def _refuse_duplicates(self, hashes: NDArray[np.uint64], order: Positions) -> None:
        suspects = np.flatnonzero(hashes[1:] == hashes[:-1])
        if not len(suspects):
            return
        seen: dict[str, int] = {}
        slots = np.union1d(suspects, suspects + 1)
        table = IdTable(self._folder)
        for identifier, position in zip(table.ids(order[slots]), order[slots], strict=True):
            if identifier in seen:
                raise DataError(
                    f"the catalog has id {identifier!r} twice, as products {seen[identifier] + 1} "
                    f"and {int(position) + 1}; ids must be distinct"
                )
            seen[identifier] = int(position)


def _hash(identifier: bytes) -> int:
    # Python's own hash() differs between processes.
    return int.from_bytes(hashlib.blake2b(identifier, digest_size=8).digest(), "little")
