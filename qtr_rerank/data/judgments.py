"""Reads judgment files: query, product and rating, on the source's own scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qtr_rerank.data.rows import BadRow, Row, RowError, bad_row
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError
from qtr_rerank.records import Judgment

ALIASES: dict[str, tuple[str, ...]] = {
    "query": ("query", "search_term", "q"),
    "docid": ("docid", "doc_id", "product_id", "product_uid", "id"),
    "rating": ("rating", "relevance", "label", "grade"),
}


def read_judgments(path: Path | str, *, format: str | None = None) -> list[Judgment]:
    """Judgments of a table with the columns query, docid, rating (or ALIASES), in file order.

    An incomplete judgment set misleads, so the first bad row raises DataError with file, line,
    column and value. A pair that is judged twice counts once where the ratings agree, and raises
    DataError where they differ.
    """
    table = Table(path, format=format)
    if table.columns is not None:
        _columns(table.columns, table.path)
    return judgments_of(table.path, table, _judgment)


def judgments_of(
    path: Path,
    rows: Iterable[Row | BadRow],
    to_judgment: Callable[[Row], Judgment | None],
) -> list[Judgment]:
    """The judgments of rows; a row for which `to_judgment` returns None is left out."""
    found: dict[tuple[str, str], tuple[Judgment, int]] = {}
    for row in rows:
        if isinstance(row, BadRow):
            raise DataError(f"bad judgment: {row}")
        try:
            judgment = to_judgment(row)
            if judgment is None:
                continue
            key = judgment.query, judgment.product_id
            first, line = found.setdefault(key, (judgment, row.line))
            if first.rating != judgment.rating:
                reason = f"{key} was rated {first.rating} in line {line}; keep one rating"
                raise RowError("rating", judgment.rating, reason)
        except RowError as error:
            raise DataError(f"bad judgment: {bad_row(path, row, error)}") from error
    if not found:
        raise DataError(f"{path} has no judgments; expected one per row")
    return [judgment for judgment, _ in found.values()]


def required_text(fields: Mapping[str, Any], column: str) -> str:
    """The cell as text. Raises RowError where it is empty, or neither text nor an integer."""
    value = fields.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise RowError(column, "" if value is None else value, f"the {column} is missing")
    return value


def required_number(fields: Mapping[str, Any], column: str) -> float:
    """The cell as a finite number. Raises RowError."""
    value = fields.get(column)
    number = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise RowError(column, "" if value is None else value, "expected a finite number")
    return number


def _columns(columns: tuple[str, ...], path: Path) -> dict[str, str]:
    usual = {column.strip().lower(): column for column in reversed(columns)}
    found = {}
    for name, aliases in ALIASES.items():
        column = next((usual[alias] for alias in aliases if alias in usual), None)
        if column is None:
            raise DataError(
                f"{path} has no column for {name} ({', '.join(aliases)}); "
                f"its columns are {list(columns)}"
            )
        found[name] = column
    return found


def _judgment(row: Row) -> Judgment:
    usual = {column.strip().lower(): column for column in reversed(row.fields)}
    query, docid, rating = (
        next((usual[alias] for alias in aliases if alias in usual), aliases[0])
        for aliases in ALIASES.values()
    )
    return Judgment(
        query=required_text(row.fields, query),
        product_id=required_text(row.fields, docid),
        rating=required_number(row.fields, rating),
    )
