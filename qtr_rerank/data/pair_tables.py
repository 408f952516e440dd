"""Teacher -> students: pair tables as Parquet, the files through which they meet.

Columns: `query`, `clean_query` (before a misspelling; read by teachers), `title`, `source`,
then what each step adds: `coverage`, `cosine`, `label` (0..1) and `teacher_logit`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qtr_rerank.errors import DataError


def read_table(path: Path, required: Sequence[str]) -> pa.Table:
    """A Parquet file, or a folder of `part-*.parquet` in order.

    Raises DataError where it is missing, empty, or lacks a required column.
    """
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not parts or not parts[0].is_file():
        raise DataError(f"{path} holds no pairs; expected a .parquet file or part-*.parquet")
    try:
        table = pa.concat_tables([pq.read_table(part) for part in parts])
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise DataError(f"{path} lacks {missing}; it has {table.column_names}")
    if table.num_rows == 0:
        raise DataError(f"{path} has no rows")
    return table


def write_table(table: pa.Table, path: Path) -> None:
    """Write beside and rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table, unfinished, compression="zstd")
    unfinished.replace(path)


def texts(table: pa.Table, column: str) -> list[str]:
    """A text column as Python strings."""
    values: list[str] = table.column(column).to_pylist()
    return values


def with_column(table: pa.Table, name: str, values: Iterable[float]) -> pa.Table:
    """The table with a float column set (replaced where there is one of that name)."""
    column = pa.array(values, type=pa.float32())
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)
