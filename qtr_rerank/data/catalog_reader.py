"""Reads a catalog file of any shop as products; bad rows are set aside and counted.

reader = read_catalog("shop.csv.gz")
for product in reader: ...
reader.report.bad, reader.report.first_bad
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from qtr_rerank.data.column_mapping import ColumnMapping, resolve_columns
from qtr_rerank.data.product_rows import to_product
from qtr_rerank.data.rows import BadRow, Row, RowError, bad_row
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError
from qtr_rerank.records import Product

_FIRST_BAD_ROWS = 20


@dataclass(slots=True)
class ReadReport:
    """The outcome of one reading: products read, rows set aside, and the first of these."""

    source: str
    good: int = 0
    bad: int = 0
    first_bad: list[BadRow] = field(default_factory=list)

    def summary(self) -> str:
        """One line: `shop.csv: 3 products, 1 row set aside`."""
        rows = "row" if self.bad == 1 else "rows"
        return f"{self.source}: {self.good:,} products, {self.bad:,} {rows} set aside"


class CatalogReader:
    """Streams the products of a catalog; each iteration reads it from the beginning.

    `report` counts the current reading. A bad row is counted, kept among the report's first, given
    to `on_bad_row`, and written to the JSONL file `rejects`, where those are given. After the last
    row, DataError is raised where no row was good, or more were bad than good.
    """

    def __init__(
        self,
        source: Path | str,
        rows: Callable[[], Iterable[Row | BadRow]],
        to_product: Callable[[Row], Product],
        *,
        on_bad_row: Callable[[BadRow], None] | None = None,
        rejects: Path | str | None = None,
    ) -> None:
        self.source = Path(source)
        self.report = ReadReport(str(source))
        self._rows = rows
        self._to_product = to_product
        self._on_bad_row = on_bad_row
        self._rejects = Path(rejects) if rejects is not None else None

    @property
    def bad_rows(self) -> list[BadRow]:
        """The first rows that were set aside; `report.bad` counts all."""
        return self.report.first_bad

    def __iter__(self) -> Iterator[Product]:
        # A new report for each reading: an interrupted one must not add to the next.
        report = self.report = ReadReport(str(self.source))
        seen: dict[str, int] = {}
        with ExitStack() as stack:
            rejects = None
            if self._rejects is not None:
                rejects = stack.enter_context(self._rejects.open("w", encoding="utf-8"))
            for row in self._rows():
                try:
                    product = self._accept(row, seen)
                except _SetAsideError as error:
                    report.bad += 1
                    if len(report.first_bad) < _FIRST_BAD_ROWS:
                        report.first_bad.append(error.row)
                    if self._on_bad_row is not None:
                        self._on_bad_row(error.row)
                    if rejects is not None:
                        line = json.dumps(error.row.to_dict(), ensure_ascii=False)
                        rejects.write(line + "\n")
                else:
                    report.good += 1
                    yield product
        _require_mostly_good(report)

    def _accept(self, row: Row | BadRow, seen: dict[str, int]) -> Product:
        if isinstance(row, BadRow):
            raise _SetAsideError(row)
        try:
            product = self._to_product(row)
            if product.id in seen:
                reason = f"the id of line {seen[product.id]} again; ids must be unique"
                raise RowError("id", product.id, reason)
        except RowError as error:
            raise _SetAsideError(bad_row(self.source, row, error)) from error
        seen[product.id] = row.line
        return product


class _SetAsideError(Exception):
    def __init__(self, row: BadRow) -> None:
        super().__init__(row)
        self.row = row


def _require_mostly_good(report: ReadReport) -> None:
    if report.good and report.bad <= report.good:
        return
    if not report.bad:
        raise DataError(f"{report.source} has no product; expected one per row")
    first = "\n  ".join(str(row) for row in report.first_bad[:3])
    raise DataError(
        f"{report.source}: {report.bad:,} rows cannot be used and {report.good:,} can; "
        f"is it a catalog, and are its columns mapped? The first:\n  {first}"
    )


def read_catalog(
    path: Path | str,
    *,
    format: str | None = None,
    mapping: ColumnMapping | None = None,
    on_bad_row: Callable[[BadRow], None] | None = None,
    rejects: Path | str | None = None,
) -> CatalogReader:
    """Read CSV, TSV, JSON (lines, or an array) or Parquet, gzipped or not, as products.

    The format follows from the file's name, else from its content. Columns that are no field of
    Product stay in `Product.extra` (in CSV, as text). Raises DataError for a file that cannot be
    read, or has no column for id or title.
    """
    table = Table(path, format=format)
    chosen = mapping if mapping is not None else ColumnMapping()
    table.require(*chosen.named().values())
    if table.columns is not None:
        _require_columns(table.columns, chosen, table.path)
    return CatalogReader(
        path,
        lambda: _rows_with(table, chosen),
        lambda row: to_product(row.fields, chosen),
        on_bad_row=on_bad_row,
        rejects=rejects,
    )


def _require_columns(columns: tuple[str, ...], mapping: ColumnMapping, path: Path) -> None:
    found = resolve_columns(mapping, columns)
    missing = [name for name in ("id", "title") if name not in found]
    if missing:
        options = " ".join(f"--column {name}=NAME" for name in missing)
        raise DataError(
            f"{path} has no column for {' and '.join(missing)}; its columns are {list(columns)}: "
            f"rename columns, or map them ('{options}', ColumnMapping in Python)"
        )


def _rows_with(table: Table, mapping: ColumnMapping) -> Iterator[Row | BadRow]:
    """The rows. JSON has no header: only after the last row is it known that a mapped column is
    missing from all of them.
    """
    unseen = set(mapping.named().values()) if table.columns is None else set()
    for row in table:
        if unseen and isinstance(row, Row):
            unseen.difference_update(row.fields)
        yield row
    if unseen:
        names = ", ".join(map(repr, sorted(unseen)))
        raise DataError(f"{table.path}: no row has the column {names}; mend the column mapping")
