"""Rows -> products: catalogs of any shop, by column mapping; bad rows set aside and counted.

reader = read_catalog("shop.csv.gz")
for product in reader: ...
reader.report.bad, reader.report.first_bad
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from qtr_rerank.data.prices import parse_price
from qtr_rerank.data.rows import BadRow, Row, RowFaultError, bad_row, strict_json
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError
from qtr_rerank.records import AttributeValue, Product

# What shops and published sets call the fields of a product, the likeliest name first.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "product_id", "product_uid", "docid", "doc_id", "sku", "asin", "item_id", "uid"),
    "title": ("title", "product_title", "name", "product_name", "item_name"),
    "brand": ("brand", "product_brand", "brand_name", "supplier", "manufacturer", "vendor"),
    "category": (
        "category",
        "product_category",
        "product_class",
        "category_hierarchy",
        "product_type",
        "department",
        "categories",
    ),
    "price": ("price", "product_price", "sale_price", "list_price"),
    "description": ("description", "product_description", "short_description"),
    "attributes": ("attributes", "product_attributes", "specifications", "specs"),
    "image": ("image", "image_url", "image_link", "img", "img_thumb", "thumbnail", "images"),
}
# How a list of texts becomes one text, for the fields of a product that are text.
_JOIN = {"category": " / ", "description": "\n", "brand": ", "}
_FIRST_BAD_ROWS = 20
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column holds which field of a product; None finds it by its usual names (ALIASES)."""

    id: str | None = None
    title: str | None = None
    brand: str | None = None
    category: str | None = None
    price: str | None = None
    description: str | None = None
    attributes: str | None = None
    image: str | None = None

    def __post_init__(self) -> None:
        named = [column for column in self.named().values() if column is not None]
        twice = sorted({column for column in named if named.count(column) > 1})
        if twice:
            raise DataError(f"columns {twice} are mapped to more than one field; map each once")

    def named(self) -> dict[str, str]:
        """Field -> column, of those that were named."""
        columns = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: column for name, column in columns.items() if column is not None}


@lru_cache(maxsize=512)
def resolve_columns(mapping: ColumnMapping, columns: tuple[str, ...]) -> Mapping[str, str]:
    """Field of Product -> the column that holds it, of those columns that are there."""
    found = {name: column for name, column in mapping.named().items() if column in columns}
    taken = set(mapping.named().values())
    usual: dict[str, str] = {}
    for column in columns:
        usual.setdefault(_NOT_WORD.sub("_", column.strip().lower()).strip("_"), column)
    for name, aliases in ALIASES.items():
        if name in mapping.named():
            continue
        free = [usual[alias] for alias in aliases if alias in usual and usual[alias] not in taken]
        if free:
            found[name] = free[0]
            taken.add(free[0])
    return found


@dataclass(slots=True)
class ReadReport:
    """What a reading came to: products read, rows set aside, and the first of those."""

    source: str
    good: int = 0
    bad: int = 0
    first_bad: list[BadRow] = field(default_factory=list)

    def summary(self) -> str:
        """One line: `shop.csv: 3 products, 1 row set aside`."""
        rows = "row" if self.bad == 1 else "rows"
        return f"{self.source}: {self.good:,} products, {self.bad:,} {rows} set aside"


class CatalogReader:
    """The products of a catalog, one at a time; each iteration reads it anew from its beginning.

    `report` counts the reading in hand. A bad row is counted, kept among the report's first, given
    to `on_bad_row`, and written to the JSONL file `rejects`, where those are given. At the end,
    DataError is raised where no row was good, or more were bad than good.
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
        """The first of the rows that were set aside; `report.bad` counts them all."""
        return self.report.first_bad

    def __iter__(self) -> Iterator[Product]:
        # A reading that was broken off must not add to the report of the next one.
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
                raise RowFaultError("id", product.id, reason)
        except RowFaultError as fault:
            raise _SetAsideError(bad_row(self.source, row, fault)) from fault
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
        raise DataError(f"{report.source} holds no product; expected one a row")
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
    """Read CSV, TSV, JSON (lines, or an array) or Parquet, gzipped or not, into products.

    The format is told from the file's name, else its content. Columns that are no field of
    Product are kept in `Product.extra` (in CSV, as text). Raises DataError for a file that
    cannot be read, or has no column for id or title.
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
        raise DataError(
            f"{path} has no column for {' and '.join(missing)}; its columns are {list(columns)}: "
            f"rename one, or map it ('--column {missing[0]}=NAME', ColumnMapping in Python)"
        )


def _rows_with(table: Table, mapping: ColumnMapping) -> Iterator[Row | BadRow]:
    """The rows. JSON has no header, so a mapped column that none has shows only at the end."""
    unseen = set(mapping.named().values()) if table.columns is None else set()
    for row in table:
        if unseen and isinstance(row, Row):
            unseen.difference_update(row.fields)
        yield row
    if unseen:
        names = ", ".join(map(repr, sorted(unseen)))
        raise DataError(f"{table.path}: no row has the column {names}; mend the column mapping")


def to_product(row: Mapping[str, Any], mapping: ColumnMapping) -> Product:
    """One row as a product. Raises RowFaultError, which names column, value and reason."""
    columns = resolve_columns(mapping, tuple(row))
    values: dict[str, Any] = {}
    for name in ("id", "title"):
        column = columns.get(name) or mapping.named().get(name, name)
        values[name] = _text(column, row.get(column), name)
        if not values[name].strip():
            raise RowFaultError(column, values[name], f"the {name} is missing")
    for name in ("brand", "category", "description", "image"):
        values[name] = _text(columns[name], row[columns[name]], name) if name in columns else ""
    used = set(columns.values())
    extra = {column: _plain(value) for column, value in row.items() if column not in used}
    extra |= _nested_extra(extra)
    price, currency = _price(columns.get("price", ""), row)
    if currency and "currency" not in extra:
        extra["currency"] = currency
    attributes: dict[str, AttributeValue] = {}
    if "attributes" in columns:
        attributes = read_attributes(columns["attributes"], row[columns["attributes"]])
    return Product(**values, price=price, attributes=attributes, extra=extra)


def _text(column: str, value: object, name: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # an id column with gaps becomes floating point in many tools
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        if name == "image":
            return value[0] if value else ""
        if name in _JOIN:
            return _JOIN[name].join(value)
    raise RowFaultError(column, value, f"expected text for the {name}")


def _price(column: str, row: Mapping[str, Any]) -> tuple[float | None, str]:
    try:
        return parse_price(row.get(column))
    except ValueError as error:
        raise RowFaultError(column, row[column], str(error)) from error


def _nested_extra(extra: dict[str, Any]) -> dict[str, Any]:
    """The content of a column `extra`, taken out of the row's; it is what `to_dict` writes."""
    nested = extra.get("extra")
    if isinstance(nested, str) and nested.startswith("{"):
        try:
            nested = strict_json(nested)
        except ValueError:
            return {}  # text of the shop's own, kept as it is
    if not isinstance(nested, dict):
        return {}
    del extra["extra"]
    return nested


def read_attributes(column: str, value: object) -> dict[str, AttributeValue]:
    """A JSON object, or its text, as attributes; a list or object in it stays as JSON text.

    Null is no attribute. Raises RowFaultError.
    """
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = strict_json(value)
        except ValueError as error:
            raise RowFaultError(column, value, f"bad JSON: {error}") from error
    if isinstance(value, list) and all(isinstance(each, tuple) for each in value):
        value = dict(value)  # a map of Parquet
    if not isinstance(value, dict):
        raise RowFaultError(column, value, "expected a JSON object of attributes")
    plain = {str(key): _plain(each) for key, each in value.items() if each is not None}
    return {
        key: each if isinstance(each, str | float | int) else json.dumps(each, ensure_ascii=False)
        for key, each in plain.items()
    }


def _plain(value: Any) -> Any:
    """The value in types that JSON has: Parquet knows more (dates, decimals, bytes)."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
