"""Teacher -> students: pair tables as Parquet, the files through which they meet.

Columns: `query`, `clean_query` (before a misspelling; read by teachers), `title`, `source`,
then what each step adds: `coverage`, `cosine`, `label` (0..1) and `teacher_logit`. `title` is what
a model reads of the product; its template is noted in the file (`with_reads`, `common_reads`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qtr_rerank.atomic import replacing
from qtr_rerank.errors import DataError
from qtr_rerank.template import DEFAULT_READS

_READS = b"qtr.reads"


def read_table(path: Path, required: Sequence[str]) -> pa.Table:
    """A Parquet file, or a folder of `part-*.parquet` in order.

    Raises DataError where it is missing, empty, or lacks a required column.
    """
    parts = _parts(path)
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


def with_reads(table: pa.Table, template: str) -> pa.Table:
    """The table with a note of the template that its `title` was made by."""
    noted = {**(table.schema.metadata or {}), _READS: template.encode()}
    return table.replace_schema_metadata(noted)


def reads_of(path: Path) -> str:
    """The template that the titles of a pair table were made by; that of the title alone where
    none is noted. Raises DataError.
    """
    part = _parts(path)[0]
    try:
        noted = pq.read_schema(part).metadata or {}
    except pa.ArrowInvalid as error:
        raise DataError(f"{part} cannot be read as Parquet: {error}") from error
    return bytes(noted.get(_READS, DEFAULT_READS.encode())).decode()


def common_reads(paths: Iterable[Path]) -> str:
    """The one template of several pair tables. Raises DataError where two differ."""
    return one_template({str(path): reads_of(path) for path in paths})


def one_template(templates: Mapping[str, str]) -> str:
    """The one template of all, given by the name of what reads it.

    Raises DataError naming two that differ: a model would read one kind of text and be asked
    about another.
    """
    (first, expected), *others = templates.items()
    for name, template in others:
        if template != expected:
            raise DataError(
                f"{first} reads {expected!r} of a product and {name} reads {template!r}; "
                "make both with the same --reads"
            )
    return expected


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file, whole or not at all; its folder is made where missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")


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


def _parts(path: Path) -> list[Path]:
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not parts or not parts[0].is_file():
        raise DataError(f"{path} holds no pairs; expected a .parquet file or part-*.parquet")
    return parts
