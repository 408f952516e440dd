"""Reads CSV, TSV, JSON and Parquet files as streams of rows.

The readers of catalogs, judgments and pairs all use it. An unreadable row comes out in its place
as a `BadRow`, so that each reader decides whether to stop or to go on. Only a file that cannot be
read at all raises DataError.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qtr_rerank.data.file_formats import DELIMITERS, detect_format, known_format, open_text
from qtr_rerank.data.rows import (
    SURROGATE,
    BadRow,
    NotJsonError,
    Row,
    RowError,
    as_text,
    bad_row,
    is_json_sound,
    shown,
    strict_json,
)
from qtr_rerank.errors import DataError, MissingExtraError

_CHUNK = 1 << 20


class Table:
    """A file of rows. Each iteration reads it from the beginning, in bounded memory.

    `columns` are those of the header or schema; None for JSON, where every row has its own. CSV
    values are all text. Raises DataError for a file that is missing, damaged, or has no usable
    header; MissingExtraError for Parquet where pyarrow is not installed.
    """

    def __init__(
        self, path: Path | str, *, format: str | None = None, encoding: str = "utf-8"
    ) -> None:
        self.path = Path(path)
        self.format = known_format(format) if format is not None else detect_format(self.path)
        self.encoding = encoding
        self.schema: Any = None  # the Arrow schema, of Parquet only
        self._delimiter = "\t" if self.format == "tsv" else ","
        self.columns: tuple[str, ...] | None = None
        if self.format == "parquet":
            self.schema = _parquet_file(self.path).schema_arrow
            self.columns = tuple(self.schema.names)
        elif self.format in ("csv", "tsv"):
            self.columns = self._header()

    def __iter__(self) -> Iterator[Row | BadRow]:
        if self.format == "parquet":
            yield from self._parquet_rows()
            return
        read = {"jsonl": self._json_lines, "json": self._json_array}.get(self.format, self._csv)
        try:
            # Line ends stay as they are: a quoted cell may contain some.
            with open_text(self.path, self.encoding, "\n" if read != self._csv else "") as stream:
                yield from read(stream)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.path} cannot be read to its end: {error}") from error

    def require(self, *columns: str) -> Table:
        """Returns the table. Raises DataError where the header or schema lacks one of the columns.

        JSON has no header: a missing column is then an error of the row.
        """
        missing = [
            name for name in columns if self.columns is not None and name not in self.columns
        ]
        if missing:
            raise DataError(
                f"{self.path} has no column {', '.join(map(repr, missing))}; "
                f"its columns are {list(self.columns or ())}"
            )
        return self

    # CSV and TSV

    def _header(self) -> tuple[str, ...]:
        try:
            with open_text(self.path, self.encoding, "") as stream:
                first = next((line for line in stream if line.strip()), "")
                if self.format == "csv":
                    # Some published .csv files are tab-separated, and spreadsheets in many
                    # languages write semicolons. The header shows the delimiter.
                    self._delimiter = max(DELIMITERS, key=first.count)
                stream.seek(0)
                header = next((row for row in self._records(stream)), None)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.path} cannot be read: {error}") from error
        if header is None:
            raise DataError(f"{self.path} is empty; expected a header with the names of columns")
        if isinstance(header, BadRow):
            raise DataError(f"the header cannot be read: {header}")
        _, columns, raw = header
        if SURROGATE.search(raw):
            raise DataError(
                f"the header of {self.path} is not {self.encoding} text: "
                f"{shown(as_text(raw))}; convert the file to UTF-8"
            )
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        if repeated:
            raise DataError(f"the header of {self.path} names {repeated} twice; rename one")
        return tuple(columns)

    def _csv(self, stream: io.TextIOWrapper) -> Iterator[Row | BadRow]:
        columns = self.columns or ()
        records = self._records(stream, len(columns))
        next(records)
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            line, cells, raw = record
            row = Row(line, dict(zip(columns, cells, strict=True)), raw)
            yield row if raw.isascii() else self._checked(row)

    def _records(
        self, stream: io.TextIOWrapper, width: int | None = None
    ) -> Iterator[tuple[int, list[str], str] | BadRow]:
        """(line, cells, text) of every row that is not empty, header first."""
        lines = _Lines(stream)
        number = 1
        while True:
            lines.taken.clear()
            reason = ""
            try:
                # Strict: otherwise an unclosed quote swallows the rest of the file.
                cells = next(csv.reader(lines, delimiter=self._delimiter, strict=True))
            except StopIteration:
                return
            except csv.Error as error:
                # Only the first line is bad; the lines it swallowed are read again.
                cells, reason = [], f"not readable as {self.format.upper()}: {error}"
                lines.put_back()
            if cells and width is not None and len(cells) != width:
                reason = f"{len(cells)} columns where the header has {width}"
                if len(lines.taken) > 1:
                    reason += f", in {len(lines.taken)} lines that a quote holds together"
            if reason and self._delimiter == "\t":
                # Tab-separated files are often written without quoting: a quote is then plain text.
                plain = lines.taken[0].rstrip("\r\n").split("\t")
                if len(plain) == width:
                    lines.put_back()
                    cells, reason = plain, ""
            raw = "".join(lines.taken)
            if reason:
                text = as_text(raw)
                yield BadRow(str(self.path), number, "", text.rstrip("\r\n"), reason, text)
            elif cells:
                yield number, cells, raw
            number += len(lines.taken)

    # JSON

    def _json_lines(self, stream: io.TextIOWrapper) -> Iterator[Row | BadRow]:
        for number, line in enumerate(stream, 1):
            if not line.isspace():
                yield self._json_row(number, line)

    def _json_array(self, stream: io.TextIOWrapper) -> Iterator[Row | BadRow]:
        """The objects of one array. A syntax error hides where the next one begins: DataError."""
        decoder = json.JSONDecoder()
        buffer, number, opened = "", 1, False
        while True:
            body = buffer.lstrip(" \t\r\n," if opened else " \t\r\n")
            number += buffer.count("\n", 0, len(buffer) - len(body))
            if not opened and body:
                if body[0] != "[":
                    raise DataError(
                        f"{self.path} is not a JSON array; for JSON lines name it .jsonl"
                    )
                opened, buffer = True, body[1:]
                continue
            if body.startswith("]"):
                return
            try:
                if not body:
                    raise json.JSONDecodeError("the array is not closed", body, 0)
                _, end = decoder.raw_decode(body)
            except json.JSONDecodeError as error:
                chunk = stream.read(_CHUNK)
                if not chunk:
                    at = number + body.count("\n", 0, error.pos)
                    raise DataError(f"{self.path}, line {at}: bad JSON: {error.msg}") from error
                buffer = body + chunk
                continue
            except (RecursionError, ValueError) as error:
                raise DataError(f"{self.path}, line {number}: bad JSON: {error}") from error
            yield self._json_row(number, body[:end])
            number += body.count("\n", 0, end)
            buffer = body[end:]

    def _json_row(self, line: int, text: str) -> Row | BadRow:
        row = Row(line, {}, text)
        try:
            fields = strict_json(text)
        except json.JSONDecodeError as error:
            at = text[max(error.pos - 20, 0) : error.pos + 20].strip()
            reason = f"bad JSON: {error.msg} at character {error.pos + 1}"
            return bad_row(self.path, row, RowError("", at, reason))
        except NotJsonError as error:
            fields = json.loads(text)
            items = fields.items() if isinstance(fields, dict) else ()
            column = next((name for name, value in items if not is_json_sound(value)), "")
            reason = f"{error} has no meaning in JSON; write null where there is no value"
            return bad_row(self.path, row, RowError(column, str(error), reason))
        except (RecursionError, ValueError) as error:  # too deep, or a number of too many digits
            return bad_row(self.path, row, RowError("", text.strip(), f"bad JSON: {error}"))
        if not isinstance(fields, dict):
            return bad_row(self.path, row, RowError("", text.strip(), "not a JSON object"))
        row = Row(line, fields, text)
        return row if text.isascii() else self._checked(row)

    # Parquet

    def _parquet_rows(self) -> Iterator[Row | BadRow]:
        number = 0
        try:
            for batch in _parquet_file(self.path).iter_batches(batch_size=1024):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(number, fields)
        except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
            raise DataError(f"{self.path} is damaged after row {number}: {error}") from error

    def _checked(self, row: Row) -> Row | BadRow:
        for column, value in row.fields.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if SURROGATE.search(column) or SURROGATE.search(text):
                error = RowError(as_text(column), text, f"not {self.encoding.upper()} text")
                return bad_row(self.path, row, error)
        return row


class _Lines:
    """The lines of a file. Those of the current row can be put back, to be read again."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self._returned: deque[str] = deque()
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._stream)
        self.taken.append(line)
        return line

    def put_back(self) -> None:
        self._returned.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def _parquet_file(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Reading Parquet", "parquet") from error
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
