"""Training pairs as Parquet tables: teachers write them, students are trained on them.

Columns: `query`, `clean_query` (before a misspelling; read by teachers), `title`, `source`, then
those that later steps add: `coverage`, `cosine`, `label` (0..1) and `teacher_logit`. `title` is
the product rendered by a template (`qtr_rerank.template`); the file's metadata keeps the template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from qtr_rerank.atomic import replacing
from qtr_rerank.errors import DataError
from qtr_rerank.template import DEFAULT_TEMPLATE

_TEMPLATE_KEY = b"qtr.reads"


def read_table(path: Path, required: Sequence[str]) -> pa.Table:
    """Read a Parquet file, or a folder of `part-*.parquet` in order.

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


def with_template(table: pa.Table, template: str) -> pa.Table:
    """The table, with the template of its `title` column in its metadata."""
    metadata = {**(table.schema.metadata or {}), _TEMPLATE_KEY: template.encode()}
    return table.replace_schema_metadata(metadata)


def template_of(path: Path) -> str:
    """The template of a table's `title` column, from its metadata; the default where it has none.

    Raises DataError where the file is missing or is not Parquet.
    """
    part = _parts(path)[0]
    try:
        metadata = pq.read_schema(part).metadata or {}
    except pa.ArrowInvalid as error:
        raise DataError(f"{part} cannot be read as Parquet: {error}") from error
    return bytes(metadata.get(_TEMPLATE_KEY, DEFAULT_TEMPLATE.encode())).decode()


def common_template(paths: Iterable[Path]) -> str:
    """The template that several tables share. Raises DataError where two differ."""
    return require_one_template({str(path): template_of(path) for path in paths})


def require_one_template(templates: Mapping[str, str]) -> str:
    """The template that all share; keys name the file or model that uses each.

    Raises DataError where two differ: a model would be trained on one kind of text and score
    another.
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
    """Write a Parquet file, whole or not at all; its folder is created if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")


def texts(table: pa.Table, column: str) -> list[str]:
    """A text column as Python strings."""
    values: list[str] = table.column(column).to_pylist()
    return values


def with_column(table: pa.Table, name: str, values: Iterable[float]) -> pa.Table:
    """The table with a float column added, or replaced where it has one of that name."""
    column = pa.array(values, type=pa.float32())
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def _parts(path: Path) -> list[Path]:
    parts = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    if not parts or not parts[0].is_file():
        raise DataError(f"{path} has no pairs; expected a .parquet file or part-*.parquet")
    return parts
