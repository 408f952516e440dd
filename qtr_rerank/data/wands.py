"""Reads WANDS, the Wayfair annotation set: products and judgments.

As published, tab-separated: `product.csv` (product_id, product_name, product_class, category
hierarchy, product_description, product_features, rating_count, average_rating, review_count),
`query.csv` (query_id, query, query_class), `label.csv` (id, query_id, product_id, label).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtr_rerank.data.catalog_reader import CatalogReader
from qtr_rerank.data.column_mapping import ColumnMapping
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.judgments import judgments_of, required_text
from qtr_rerank.data.product_rows import to_product
from qtr_rerank.data.rows import BadRow, Row, RowError
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError
from qtr_rerank.records import AttributeValue, Judgment, Product

CATALOG_FILES = ("product.csv", "product.csv.gz")
QUERY_FILES = ("query.csv", "query.csv.gz")
JUDGMENT_FILES = ("label.csv", "label.csv.gz")
RATINGS = {"Exact": 2.0, "Partial": 1.0, "Irrelevant": 0.0}
_MAPPING = ColumnMapping(
    id="product_id",
    title="product_name",
    category="product_class",
    description="product_description",
)
_NUMBERS = ("rating_count", "average_rating", "review_count")


def read_wands(
    folder: Path | str,
    *,
    on_bad_row: Callable[[BadRow], None] | None = None,
    rejects: Path | str | None = None,
) -> CatalogReader:
    """The catalog in a folder. The class becomes the category; the hierarchy stays in `extra`."""
    table = Table(first_file(folder, CATALOG_FILES)).require(*_MAPPING.named().values())
    return CatalogReader(
        table.path, lambda: table, _product, on_bad_row=on_bad_row, rejects=rejects
    )


def read_wands_judgments(folder: Path | str) -> list[Judgment]:
    """Judgments in a folder: Exact is 2, Partial 1, Irrelevant 0."""
    queries: dict[str, str] = {}
    for row in Table(first_file(folder, QUERY_FILES)).require("query_id", "query"):
        if isinstance(row, BadRow):
            raise DataError(f"bad query: {row}")
        queries[row.fields["query_id"]] = row.fields["query"]

    def judgment(row: Row) -> Judgment:
        query_id = required_text(row.fields, "query_id")
        label = row.fields["label"]
        if query_id not in queries:
            raise RowError("query_id", query_id, "no such id in query.csv")
        if label not in RATINGS:
            raise RowError("label", label, f"expected one of {', '.join(RATINGS)}")
        product_id = required_text(row.fields, "product_id")
        return Judgment(queries[query_id], product_id, RATINGS[label])

    table = Table(first_file(folder, JUDGMENT_FILES)).require("query_id", "product_id", "label")
    return judgments_of(table.path, table, judgment)


def parse_features(text: str) -> dict[str, AttributeValue]:
    """`a:b|c:d` as attributes.

    A part without a name continues the value before it, and a repeated name extends its value,
    both after a `|`.
    """
    attributes: dict[str, AttributeValue] = {}
    last = ""
    for piece in text.split("|"):
        name, colon, value = piece.partition(":")
        name, value = (name.strip(), value.strip()) if colon else ("", piece.strip())
        last = name or last
        if last and value:
            attributes[last] = f"{attributes[last]}|{value}" if last in attributes else value
    return attributes


def _product(row: Row) -> Product:
    fields: dict[str, Any] = dict(row.fields)
    features = fields.pop("product_features", "")
    product = to_product(fields, _MAPPING)
    return replace(product, attributes=parse_features(features), extra=_with_numbers(product.extra))


def _with_numbers(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The numeric columns as numbers; a value that is not a number stays text."""
    numbers = dict(extra)
    for name in _NUMBERS:
        with suppress(KeyError, ValueError):
            numbers[name] = float(numbers[name])
    return numbers
