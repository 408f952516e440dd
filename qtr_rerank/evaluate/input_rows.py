"""Reads the input files of `qtr evaluate` row by row; errors name file, line and column."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtr_rerank.data.rows import BadRow, Row
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError


@dataclass(frozen=True, slots=True)
class RowLocation:
    """The file and the line (from 1) of a row, for error messages."""

    path: Path
    line: int

    def error(self, column: str, value: str, expected: str) -> DataError:
        """The error for an unusable value: file, line, column, value, and what was expected."""
        return DataError(f"{self.path}, line {self.line}, column '{column}': {value!r} {expected}")

    def number(self, column: str, value: str) -> float:
        """`value` as a finite number. Raises DataError."""
        try:
            parsed = float(value)
        except ValueError:
            parsed = math.nan
        if not math.isfinite(parsed):
            raise self.error(column, value, "is not a finite number")
        return parsed


def text_lines(path: Path) -> Iterator[str]:
    """Stream the lines of a UTF-8 file (`.gz` too), without its byte order mark.

    Raises DataError where the file is missing, is a folder, or is not UTF-8 text.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield from stream
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; give a readable file") from error
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error}); convert it, or name it .gz only if it is gzip"
        ) from error


def table_rows(path: Path) -> tuple[list[str], Iterator[tuple[RowLocation, Mapping[str, Any]]]]:
    """The columns and the streamed rows of a table (CSV, TSV, JSONL or Parquet; `.gz` too).

    Raises DataError at the first unreadable row: a measure over the remaining rows would mislead.
    """
    table = Table(path)
    rows = iter(table)
    columns = table.columns
    if columns is None:
        # JSON has no header: the first row names the columns.
        first = next(rows, None)
        columns = tuple(first.fields) if isinstance(first, Row) else ()
        rows = iter(table)
    return list(columns), _good_rows(path, rows)


def _good_rows(
    path: Path, rows: Iterator[Row | BadRow]
) -> Iterator[tuple[RowLocation, Mapping[str, Any]]]:
    for row in rows:
        if isinstance(row, BadRow):
            raise DataError(f"bad row: {row}")
        yield RowLocation(path, row.line), row.fields


def cell_text(row: Mapping[str, Any], column: str) -> str:
    """The cell as text; empty where it is missing."""
    value = row.get(column)
    return "" if value is None else str(value)


def column_of(path: Path, columns: Sequence[str], aliases: Sequence[str], remedy: str) -> str:
    """The first column that matches one of `aliases`, ignoring case and outer space.

    Raises DataError, with the columns of the file, where none does.
    """
    found = {name.strip().lower(): name for name in reversed(columns)}
    for alias in aliases:
        if alias.lower() in found:
            return found[alias.lower()]
    raise DataError(
        f"{path} has no column {' or '.join(map(repr, aliases))}; "
        f"its columns are {', '.join(map(repr, columns))}; {remedy}"
    )
