"""Index -> rerank: columns on disk, as .npy files appended to by rows and memory-mapped to read."""

from __future__ import annotations

import math
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import CatalogIndexError


class ArrayAppender:
    """A .npy file that grows by rows. The first batch sets dtype and row shape; later ones match.

    NumPy pads the header of a .npy file so that its row count can grow in place: the count is
    written on `close`. `keep` resumes a file whose writer was killed: its first `keep` rows stay,
    the rest is truncated.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self._path = path
        self._rows = keep
        self._dtype: np.dtype[Any] | None = None
        self._shape: tuple[int, ...] = ()
        self._file = path.open("r+b" if keep else "w+b")
        if keep:
            self._resume(keep)

    def append(self, rows: NDArray[Any]) -> None:
        """Append `rows` (batch, ...). Raises ValueError if dtype or row shape change."""
        if self._dtype is None:
            self._dtype, self._shape = rows.dtype, rows.shape[1:]
            self._file.write(_header(self._dtype, self._shape, 0))
        if rows.dtype != self._dtype or rows.shape[1:] != self._shape:
            raise ValueError(
                f"{self._path.name} holds rows {self._dtype}{self._shape}, "
                f"not {rows.dtype}{rows.shape[1:]}"
            )
        self._file.write(np.ascontiguousarray(rows).tobytes())
        self._rows += len(rows)

    def sync(self) -> None:
        """Flush the appended rows to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the row count. May be called twice."""
        if self._file.closed:
            return
        if self._dtype is not None:
            self._file.seek(0)
            self._file.write(_header(self._dtype, self._shape, self._rows))
        self._file.close()

    def _resume(self, keep: int) -> None:
        np.lib.format.read_magic(self._file)
        shape, _, self._dtype = np.lib.format.read_array_header_1_0(self._file)
        self._shape = shape[1:]
        row_bytes = self._dtype.itemsize * math.prod(self._shape)
        size = self._file.tell() + keep * row_bytes
        if self._file.seek(0, os.SEEK_END) < size:
            self._file.close()
            raise CatalogIndexError(
                f"{self._path} is shorter than its checkpoint says; "
                "delete the unfinished folder and index again"
            )
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)


def mapped(path: Path) -> Any:
    """The array at `path`, read-only and memory-mapped. Raises CatalogIndexError."""
    try:
        # A plain array, because slicing np.memmap objects is slow.
        return np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, EOFError, ValueError) as error:
        raise CatalogIndexError(
            f"{path} is missing or damaged ({error}); index the catalog again"
        ) from error


def _header(dtype: np.dtype[Any], row_shape: tuple[int, ...], rows: int) -> bytes:
    buffer = BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer,
        {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (rows, *row_shape),
        },
    )
    return buffer.getvalue()
