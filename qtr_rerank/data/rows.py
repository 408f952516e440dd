"""Rows of a file before they are records, and the rows that cannot become one. Pure."""

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
    """One row as its file has it. `line` is where it begins (from 1; in Parquet, its row)."""

    line: int
    fields: dict[str, Any]
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was set aside: where, what was found there, and why it cannot be used.

    `line` is the line where the row begins (in Parquet, the row, from 1); `column` is empty where
    no column can be named; `row` is the whole row as text.
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


class RowFaultError(Exception):
    """What is wrong in one row; the reader that holds the row makes a `BadRow` of it."""

    def __init__(self, column: str, value: object, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.value = as_text(value)
        self.reason = reason


def as_text(value: object) -> str:
    """Text that can be shown and written: what is not Unicode is escaped."""
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(value: str) -> str:
    """The value in quotes, cut to a length that fits a message."""
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 3] + "...")


def bad_row(file: Path, row: Row, fault: RowFaultError) -> BadRow:
    """The row, set aside for the fault that was found in it."""
    raw = row.raw
    if raw is None:
        raw = json.dumps(row.fields, ensure_ascii=False, default=str)
    return BadRow(str(file), row.line, fault.column, fault.value, fault.reason, as_text(raw))


class NotJsonError(ValueError):
    """What Python's parser takes, and no other reader of JSON: NaN, or half a character."""


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
    try:
        strict_json(json.dumps(value))
    except ValueError:
        return False
    return True
