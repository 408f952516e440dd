"""Column mapping: the column of a shop's file for each field of a product."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

from qtr_rerank.errors import DataError

# Usual column names of the fields of a product, the likeliest first.
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
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Column of each field of a product; None means: find it by its usual names (ALIASES)."""

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
        """Field -> column, for the fields that were mapped."""
        columns = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: column for name, column in columns.items() if column is not None}


@lru_cache(maxsize=512)
def resolve_columns(mapping: ColumnMapping, columns: tuple[str, ...]) -> Mapping[str, str]:
    """Field of Product -> its column, for those fields that have one among `columns`."""
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
