"""Reads Icecat electronics (querqy/chorus): products and judgments, published or repacked.

Published: `icecat-products-w_price-19k-20201127.json`, an array whose attributes are flat fields
`attr_t_*` (text), `attr_n_*` (number), `attr_b_*` (yes or no), and `Broad_Query_Set_rated.csv`.
Repacked: `products.jsonl[.gz]` with an object `attributes` of the same, and `judgments.csv`.

The published judgments were pooled from a lexical engine. `ADDED_JUDGMENTS` are this project's own,
for the same queries: what seven orders (lexical, dense, fused, reranked) show on the first page,
read and graded title by title without knowing which of them showed it; ids and grades only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtr_rerank.data.catalog_reader import CatalogReader
from qtr_rerank.data.column_mapping import ColumnMapping
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.judgments import read_judgments
from qtr_rerank.data.product_rows import to_product
from qtr_rerank.data.rows import BadRow, Row, RowError
from qtr_rerank.data.tables import Table
from qtr_rerank.records import AttributeValue, Judgment, Product

CATALOG_FILES = (
    "products.jsonl.gz",
    "products.jsonl",
    "icecat-products-w_price-19k-20201127.json",
)
JUDGMENT_FILES = ("judgments.csv", "Broad_Query_Set_rated.csv")
ADDED_JUDGMENTS = Path(__file__).with_name("icecat_judgments_added.csv")
_TYPED = re.compile(r"[tnb]_(.+)")
_COLUMNS = {"brand": "supplier", "description": "short_description"}
_IMAGES = ("img_thumb", "img_500x500", "img_low")


def read_icecat(
    folder: Path | str,
    *,
    on_bad_row: Callable[[BadRow], None] | None = None,
    rejects: Path | str | None = None,
) -> CatalogReader:
    """The catalog in a folder (or the file itself).

    Prices are published in cents and become units. Attributes lose the prefix of their type (the
    Python type shows it), except where two would then share a name. The category is the product
    type where that contains letters, else "": only some products have one.
    """
    path = first_file(folder, CATALOG_FILES)
    table = Table(path)
    return CatalogReader(path, lambda: table, _product, on_bad_row=on_bad_row, rejects=rejects)


def read_icecat_judgments(folder: Path | str) -> list[Judgment]:
    """The Broad Query Set: ratings 0 to 3."""
    return read_judgments(first_file(folder, JUDGMENT_FILES))


def read_graded_icecat(folder: Path | str) -> list[Judgment]:
    """The Broad Query Set and the added judgments of its queries: what a search is measured by.

    Where a pair is in both, the added rating holds.
    """
    published = read_icecat_judgments(folder)
    queries = {one.query for one in published}
    added = [one for one in read_judgments(ADDED_JUDGMENTS) if one.query in queries]
    return list({(one.query, one.product_id): one for one in (*published, *added)}.values())


def _product(row: Row) -> Product:
    fields = dict(row.fields)
    published = [key for key in fields if key.startswith("attr_")]
    flat = {key.removeprefix("attr_"): fields.pop(key) for key in published}
    if flat:
        fields["attributes"] = flat
    image = next((column for column in _IMAGES if fields.get(column)), None)
    mapping = ColumnMapping(**{k: v for k, v in _COLUMNS.items() if v in fields}, image=image)
    product = to_product(fields, mapping)
    attributes = _untyped(product.attributes)
    kind = attributes.get("product_type", "")
    return replace(
        product,
        price=_units(fields, product.price),
        # Some suppliers entered a number as product type ("1").
        category=kind if isinstance(kind, str) and re.search(r"[^\W\d_]", kind) else "",
        attributes=attributes,
    )


def _units(fields: Mapping[str, Any], cents: float | None) -> float | None:
    if cents is None:
        return None
    if not cents.is_integer():
        raise RowError("price", fields["price"], "expected a whole number of cents")
    return cents / 100


def _untyped(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    names = {key: match[1] if (match := _TYPED.fullmatch(key)) else key for key in attributes}
    given = list(names.values())
    return {
        names[key] if given.count(names[key]) == 1 else key: value
        for key, value in attributes.items()
    }
