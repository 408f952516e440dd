"""Pair files -> batches of rows, and scored rows -> files: both ends of `qtr score`, streaming.

reader = PairReader("pairs.csv.gz")
with PairWriter("out.csv", reader, added=("score", "logit")) as writer:
    for batch in reader.batches(1024):
        writer.write(batch, {"score": scores, "logit": logits})
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from qtr_rerank.atomic import replacing
from qtr_rerank.data.rows import BadRow, Row, RowFaultError, bad_row
from qtr_rerank.data.tables import Table, TableFormat, format_of_name
from qtr_rerank.errors import DataError, MissingExtraError

# Rows of one Parquet row group: small groups make big files.
_GROUP = 16_384


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Consecutive rows, as their file has them, and the two texts of each."""

    rows: tuple[Mapping[str, Any], ...]
    queries: tuple[str, ...]
    titles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


class PairReader:
    """Rows of query and title, with all their other columns, in file order and bounded memory.

    A row that cannot be read, or lacks a query or a title, raises DataError (`on_bad="error"`), or
    is counted in `skipped`, given to `on_bad_row`, and left out (`on_bad="skip"`).
    """

    def __init__(
        self,
        path: Path | str,
        *,
        format: str | None = None,
        query_column: str = "query",
        title_column: str = "title",
        on_bad: Literal["error", "skip"] = "error",
        on_bad_row: Callable[[BadRow], None] | None = None,
    ) -> None:
        self._table = Table(path, format=format).require(query_column, title_column)
        self.path = self._table.path
        self.format = self._table.format
        self.schema = self._table.schema
        self.skipped = 0
        self._query = query_column
        self._title = title_column
        self._on_bad = on_bad
        self._on_bad_row = on_bad_row

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the header or schema; of JSON, those of the first row that can be read."""
        if self._table.columns is not None:
            return self._table.columns
        first = next((row for row in self._table if isinstance(row, Row)), None)
        return tuple(first.fields) if first is not None else (self._query, self._title)

    def batches(self, size: int) -> Iterator[PairBatch]:
        """Batches of `size` rows, the last one shorter; each call reads from the beginning."""
        if size < 1:
            raise ValueError(f"size is {size}; expected at least 1")
        self.skipped = 0
        kept: list[tuple[Mapping[str, Any], str, str]] = []
        for row in self._table:
            try:
                kept.append(self._pair(row))
            except _BadPairError as error:
                if self._on_bad == "error":
                    raise DataError(f"bad pair: {error.row}") from error
                self.skipped += 1
                if self._on_bad_row is not None:
                    self._on_bad_row(error.row)
            if len(kept) == size:
                yield _batch(kept)
                kept = []
        if kept:
            yield _batch(kept)

    def _pair(self, row: Row | BadRow) -> tuple[Mapping[str, Any], str, str]:
        if isinstance(row, BadRow):
            raise _BadPairError(row)
        try:
            query, title = (_text(row, column) for column in (self._query, self._title))
        except RowFaultError as fault:
            raise _BadPairError(bad_row(self.path, row, fault)) from fault
        return row.fields, query, title


class _BadPairError(Exception):
    def __init__(self, row: BadRow) -> None:
        super().__init__(row)
        self.row = row


def _batch(kept: list[tuple[Mapping[str, Any], str, str]]) -> PairBatch:
    rows, queries, titles = zip(*kept, strict=True)
    return PairBatch(rows, queries, titles)


def _text(row: Row, column: str) -> str:
    value = row.fields.get(column)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return str(value)  # a query such as 501 is a number in JSON and Parquet
    if value is not None and not isinstance(value, str | float):
        raise RowFaultError(column, value, "expected text")
    if not isinstance(value, str) or not value.strip():
        raise RowFaultError(column, "" if value is None else value, f"the {column} is missing")
    return value


def read_pair_rows(
    path: Path | str, *, on_bad: Literal["error", "skip"] = "error"
) -> Iterator[dict[str, Any]]:
    """The rows of a pair file, one at a time; in CSV all values are text."""
    for batch in PairReader(path, on_bad=on_bad).batches(256):
        yield from (dict(row) for row in batch.rows)


class PairWriter:
    """Writes the rows of a reader with columns added, as CSV, TSV, JSONL (or .gz) or Parquet.

    The file appears whole when the `with` block ends well, and not at all when it does not; so it
    may be the file that is being read. Raises DataError for a name whose ending tells no format,
    and where a column to add is there already.
    """

    def __init__(
        self,
        path: Path | str,
        reader: PairReader,
        added: Sequence[str] = ("score", "logit"),
        *,
        format: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.format: TableFormat = format_of_name(self.path, format)
        if self.format == "json":
            raise DataError(f"{path}: pairs are written as JSON lines; name the file .jsonl")
        self.columns = (*reader.columns, *added)
        there = sorted(set(reader.columns) & set(added))
        if there:
            raise DataError(
                f"{reader.path} already has a column {there}; rename or remove it first"
            )
        self._added = tuple(added)
        self._schema = reader.schema
        self._opened = self._open()
        self._sink: _Sink | None = None

    def __enter__(self) -> PairWriter:
        try:
            self._sink = self._opened.__enter__()
        except OSError as error:
            raise DataError(f"{self.path} cannot be written: {error}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def write(self, batch: PairBatch, added: Mapping[str, Sequence[Any]]) -> None:
        """Append the rows of a batch; `added` holds one value a row for each added column.

        Plain Python values, or numpy's. Raises DataError where a row has a column that the first
        one had not and the format cannot hold it.
        """
        if self._sink is None:
            raise ValueError("a PairWriter writes inside its 'with' block only")
        if set(added) != set(self._added) or any(len(v) != len(batch) for v in added.values()):
            raise ValueError(f"expected {len(batch)} values for each of {self._added}")
        values = [
            [each.item() if hasattr(each, "item") else each for each in added[name]]
            for name in self._added
        ]
        rows = [
            {**row, **dict(zip(self._added, more, strict=True))}
            for row, more in zip(batch.rows, zip(*values, strict=True), strict=True)
        ]
        if self.format != "jsonl":
            known = set(self.columns)
            for row in rows:
                if not known.issuperset(row):
                    raise DataError(
                        f"a row has the column {min(set(row) - known)!r}, which the first had not; "
                        f"write to a .jsonl file, where every row has its own columns"
                    )
        self._sink.write(rows)

    @contextlib.contextmanager
    def _open(self) -> Iterator[_Sink]:
        with replacing(self.path) as unfinished, contextlib.ExitStack() as files:
            sink = self._sink_for(unfinished, files)
            yield sink
            sink.finish()

    def _sink_for(self, path: Path, files: contextlib.ExitStack) -> _Sink:
        if self.format == "parquet":
            return _ParquetSink(path, self.columns, self._schema, files)
        stream: Any = files.enter_context(path.open("wb"))
        if self.path.suffix.lower() == ".gz":
            # No name and time in it: the same rows make the same file.
            stream = files.enter_context(
                gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0)
            )
        text = files.enter_context(io.TextIOWrapper(stream, encoding="utf-8", newline=""))
        if self.format == "jsonl":
            return _JsonSink(text)
        return _CsvSink(text, self.columns, "\t" if self.format == "tsv" else ",")


class _JsonSink:
    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    def finish(self) -> None:
        """Nothing is held back."""


class _CsvSink:
    def __init__(self, stream: io.TextIOWrapper, columns: Sequence[str], delimiter: str) -> None:
        self._columns = columns
        self._writer = csv.writer(_UnixLines(stream), delimiter=delimiter)
        self._writer.writerow(columns)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._writer.writerows([_cell(row.get(name)) for name in self._columns] for row in rows)

    def finish(self) -> None:
        """Nothing is held back."""


class _UnixLines:
    """Ends rows with a line feed. csv.writer must believe in CR LF, else it quotes no bare CR."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix("\r\n") + "\n")


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


class _ParquetSink:
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
        self._given = schema
        self._schema: Any = None
        self._writer: Any = None
        self._held: list[Mapping[str, Any]] = []

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._held.extend(rows)
        if len(self._held) >= _GROUP:
            self._flush()

    def finish(self) -> None:
        if self._held or self._writer is None:
            self._flush()

    def _flush(self) -> None:
        columns = {name: [row.get(name) for row in self._held] for name in self._columns}
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
        self._held = []

    def _first_schema(self, columns: Mapping[str, list[Any]]) -> Any:
        """The types of the file that was read where it was Parquet, else those of the values."""
        kept = set(self._given.names) if self._given is not None else set()
        found = []
        for name, values in columns.items():
            if name in kept:
                found.append(self._given.field(name))
                continue
            kind = self._arrow.array(values).type
            # A column that is empty so far can still take text.
            text = self._arrow.types.is_null(kind)
            found.append(self._arrow.field(name, self._arrow.string() if text else kind))
        return self._arrow.schema(found)


_Sink = _JsonSink | _CsvSink | _ParquetSink
