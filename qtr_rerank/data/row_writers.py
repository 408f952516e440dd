"""Writes rows of a table as JSON lines, CSV, TSV or Parquet: the counterpart of `tables`."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtr_rerank.data.file_formats import TableFormat
from qtr_rerank.errors import DataError, MissingExtraError

# Rows of one Parquet row group: small groups make large files.
_GROUP = 16_384


def open_writer(
    path: Path,
    format: TableFormat,
    columns: Sequence[str],
    files: contextlib.ExitStack,
    *,
    gzipped: bool = False,
    schema: Any = None,
) -> RowWriter:
    """A writer of rows to `path`, which `files` closes; `schema` gives Arrow types, for Parquet."""
    if format == "parquet":
        return ParquetWriter(path, columns, schema, files)
    stream: Any = files.enter_context(path.open("wb"))
    if gzipped:
        # Without name and time in the header, the same rows make the same file.
        stream = files.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0))
    text = files.enter_context(io.TextIOWrapper(stream, encoding="utf-8", newline=""))
    if format == "jsonl":
        return JsonLinesWriter(text)
    return CsvWriter(text, columns, "\t" if format == "tsv" else ",")


class JsonLinesWriter:
    """One JSON object a line."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    def finish(self) -> None:
        """Nothing is buffered."""


class CsvWriter:
    """A header, then one row a line; lists and objects as JSON text."""

    def __init__(self, stream: io.TextIOWrapper, columns: Sequence[str], delimiter: str) -> None:
        self._columns = columns
        self._writer = csv.writer(_UnixLines(stream), delimiter=delimiter)
        self._writer.writerow(columns)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._writer.writerows([_cell(row.get(name)) for name in self._columns] for row in rows)

    def finish(self) -> None:
        """Nothing is buffered."""


class _UnixLines:
    """Ends rows with LF. csv.writer itself must use CR LF, else it does not quote a bare CR."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix("\r\n") + "\n")


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


class ParquetWriter:
    """Row groups of 16,384 rows; the first one fixes the types."""

    def __init__(
        self, path: Path, columns: Sequence[str], schema: Any, files: contextlib.ExitStack
    ) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise MissingExtraError("Writing Parquet", "parquet") from error
        self._arrow, self._parquet = pyarrow, parquet
        self._path, self._columns, self._files = path, columns, files
        self._source_schema = schema
        self._schema: Any = None
        self._writer: Any = None
        self._buffered: list[Mapping[str, Any]] = []

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._buffered.extend(rows)
        if len(self._buffered) >= _GROUP:
            self._flush()

    def finish(self) -> None:
        if self._buffered or self._writer is None:
            self._flush()

    def _flush(self) -> None:
        columns = {name: [row.get(name) for row in self._buffered] for name in self._columns}
        try:
            if self._writer is None:
                self._schema = self._first_schema(columns)
                self._writer = self._files.enter_context(
                    self._parquet.ParquetWriter(self._path, self._schema)
                )
            self._writer.write_table(self._arrow.table(columns, schema=self._schema))
        except (ValueError, TypeError) as error:  # ArrowInvalid is a ValueError
            raise DataError(
                f"the rows do not fit the types of the first {_GROUP:,} in Parquet: {error}; "
                f"write to a .jsonl file"
            ) from error
        self._buffered = []

    def _first_schema(self, columns: Mapping[str, list[Any]]) -> Any:
        """Types of the source file where it was Parquet, else those of the values."""
        kept = set(self._source_schema.names) if self._source_schema is not None else set()
        found = []
        for name, values in columns.items():
            if name in kept:
                found.append(self._source_schema.field(name))
                continue
            kind = self._arrow.array(values).type
            # A column without values so far can still take text.
            text = self._arrow.types.is_null(kind)
            found.append(self._arrow.field(name, self._arrow.string() if text else kind))
        return self._arrow.schema(found)


RowWriter = JsonLinesWriter | CsvWriter | ParquetWriter
