"""Rows as a file has them, before they become records, and rows that were set aside."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file. `line` is its first line (from 1; in Parquet, the row number)."""

    line: int
    fields: dict[str, Any]
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was set aside: its location, the bad value, and the reason.

    `line` is the row's first line (in Parquet, the row number, from 1); `column` is empty where
    no single column is bad; `row` is the whole row as text.
    """

    file: str
    line: int
    column: str
    value: str
    reason: str
    row: str = ""

    def __str__(self) -> str:
        column = f", column {self.column!r}" if self.column else ""
        return f"{self.file}, line {self.line}{column}: {shown(self.value)}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class RowError(Exception):
    """An error in one row. The reader, which knows file and line, turns it into a `BadRow`."""

    def __init__(self, column: str, value: object, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.value = as_text(value)
        self.reason = reason


def as_text(value: object) -> str:
    """Text that can be printed and written as UTF-8: lone surrogates are escaped."""
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(value: str) -> str:
    """The value in quotes, shortened to fit a message."""
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 3] + "...")


def bad_row(file: Path, row: Row, error: RowError) -> BadRow:
    """The row as a `BadRow`, with the reason of `error`."""
    raw = row.raw
    if raw is None:
        raw = json.dumps(row.fields, ensure_ascii=False, default=str)
    return BadRow(str(file), row.line, error.column, error.value, error.reason, as_text(raw))


class NotJsonError(ValueError):
    """Python's parser accepts it, the JSON standard does not: NaN, Infinity, a lone surrogate."""


def strict_json(text: str) -> Any:
    """The JSON value. Raises ValueError, also for NaN, Infinity and lone surrogates."""
    value = json.loads(text, parse_constant=_refuse)
    escaped = _ESCAPED_SURROGATE.search(text)
    if escaped and SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise NotJsonError(escaped[0])
    return value


def _refuse(constant: str) -> NoReturn:
    raise NotJsonError(constant)


def is_json_sound(value: object) -> bool:
    """Whether the value can be written as standard JSON."""
    try:
        strict_json(json.dumps(value))
    except ValueError:
        return False
    return True
