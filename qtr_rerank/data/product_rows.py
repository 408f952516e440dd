"""Rows to products: one row of any catalog, by its column mapping, as a `Product`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from qtr_rerank.data.column_mapping import ColumnMapping, resolve_columns
from qtr_rerank.data.prices import parse_price
from qtr_rerank.data.rows import RowError, strict_json
from qtr_rerank.records import AttributeValue, Product

# Separators that join a list of texts, for text fields.
_JOIN = {"category": " / ", "description": "\n", "brand": ", "}


def to_product(row: Mapping[str, Any], mapping: ColumnMapping) -> Product:
    """One row as a product. Raises RowError with column, value and reason."""
    columns = resolve_columns(mapping, tuple(row))
    values: dict[str, Any] = {}
    for name in ("id", "title"):
        column = columns.get(name) or mapping.named().get(name, name)
        values[name] = _text(column, row.get(column), name)
        if not values[name].strip():
            raise RowError(column, values[name], f"the {name} is missing")
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
        return str(int(value))  # many tools turn an id column with gaps into floats
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        if name == "image":
            return value[0] if value else ""
        if name in _JOIN:
            return _JOIN[name].join(value)
    raise RowError(column, value, f"expected text for the {name}")


def _price(column: str, row: Mapping[str, Any]) -> tuple[float | None, str]:
    try:
        return parse_price(row.get(column))
    except ValueError as error:
        raise RowError(column, row[column], str(error)) from error


def _nested_extra(extra: dict[str, Any]) -> dict[str, Any]:
    """The content of a column `extra`, removed from `extra` itself: `Product.to_dict` nests it."""
    nested = extra.get("extra")
    if isinstance(nested, str) and nested.startswith("{"):
        try:
            nested = strict_json(nested)
        except ValueError:
            return {}  # the shop's own text, kept unchanged
    if not isinstance(nested, dict):
        return {}
    del extra["extra"]
    return nested


def read_attributes(column: str, value: object) -> dict[str, AttributeValue]:
    """A JSON object, or its text, as attributes. Lists and objects in it become JSON text; nulls
    are left out. Raises RowError.
    """
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = strict_json(value)
        except ValueError as error:
            raise RowError(column, value, f"bad JSON: {error}") from error
    if isinstance(value, list) and all(isinstance(each, tuple) for each in value):
        value = dict(value)  # a Parquet map
    if not isinstance(value, dict):
        raise RowError(column, value, "expected a JSON object of attributes")
    plain = {str(key): _plain(each) for key, each in value.items() if each is not None}
    return {
        key: each if isinstance(each, str | float | int) else json.dumps(each, ensure_ascii=False)
        for key, each in plain.items()
    }


def _plain(value: Any) -> Any:
    """The value in JSON's types: Parquet has more (dates, decimals, bytes)."""
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
