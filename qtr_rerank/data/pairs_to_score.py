"""Reads pairs of query and title and writes them back with scores: the files of `qtr score`.

Both ends stream, in any format of `tables`:

reader = PairReader("pairs.csv.gz")
with PairWriter("out.csv", reader, added=("score", "logit")) as writer:
    for batch in reader.batches(1024):
        writer.write(batch, {"score": scores, "logit": logits})
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from qtr_rerank.atomic import replacing
from qtr_rerank.data.file_formats import TableFormat, format_of_name
from qtr_rerank.data.row_writers import RowWriter, open_writer
from qtr_rerank.data.rows import BadRow, Row, RowError, bad_row
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Consecutive rows of the file, with the query and the title of each."""

    rows: tuple[Mapping[str, Any], ...]
    queries: tuple[str, ...]
    titles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


class PairReader:
    """Reads rows with a query and a title, keeping their other columns, in bounded memory.

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
        """Columns of the header or schema; for JSON, of the first readable row."""
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
        except RowError as error:
            raise _BadPairError(bad_row(self.path, row, error)) from error
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
        return str(value)  # JSON and Parquet hold a query such as 501 as a number
    if value is not None and not isinstance(value, str | float):
        raise RowError(column, value, "expected text")
    if not isinstance(value, str) or not value.strip():
        raise RowError(column, "" if value is None else value, f"the {column} is missing")
    return value


class PairWriter:
    """Writes the rows of a reader with columns added, as CSV, TSV, JSONL (or .gz) or Parquet.

    The file is written beside its place and renamed when the `with` block ends without an error,
    so it may be the file that is being read. Raises DataError where the name's ending shows no
    format, and where the reader already has an added column.
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
        self._writer: RowWriter | None = None

    def __enter__(self) -> PairWriter:
        try:
            self._writer = self._opened.__enter__()
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
        """Append the rows of a batch; `added` maps each added column to one value a row.

        Values are Python's or numpy's. Raises DataError where a row has a column that the first
        row lacks and the format cannot add one.
        """
        if self._writer is None:
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
                        f"a row has the column {min(set(row) - known)!r}, which the first row "
                        f"lacks; write to a .jsonl file, where every row has its own columns"
                    )
        self._writer.write(rows)

    @contextlib.contextmanager
    def _open(self) -> Iterator[RowWriter]:
        zipped = self.path.suffix.lower() == ".gz"
        with replacing(self.path) as unfinished, contextlib.ExitStack() as files:
            writer = open_writer(
                unfinished, self.format, self.columns, files, gzipped=zipped, schema=self._schema
            )
            yield writer
            writer.finish()
