"""Reads Home Depot product search relevance (Kaggle 2016): products and judgments.

Repacked: `products.csv[.gz]` and `judgments.csv`. Kaggle's own files, in Latin-1:
`train.csv` (id, product_uid, product_title, search_term, relevance), `test.csv` (the same without
relevance), `product_descriptions.csv` and `attributes.csv` (product_uid, name, value).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from qtr_rerank.data.catalog_reader import CatalogReader, read_catalog
from qtr_rerank.data.column_mapping import ColumnMapping
from qtr_rerank.data.dataset_files import find_file, first_file
from qtr_rerank.data.judgments import judgments_of, read_judgments, required_number, required_text
from qtr_rerank.data.product_rows import to_product
from qtr_rerank.data.rows import BadRow, Row, RowError, bad_row
from qtr_rerank.data.tables import Table
from qtr_rerank.records import Judgment

CATALOG_FILES = ("products.csv.gz", "products.csv")
JUDGMENT_FILES = ("judgments.csv", "judgments.csv.gz")
KAGGLE_ENCODING = "latin-1"
_BRAND = "MFG Brand Name"
_MAPPING = ColumnMapping(id="product_uid", title="product_title")


def read_homedepot(
    folder: Path | str,
    *,
    on_bad_row: Callable[[BadRow], None] | None = None,
    rejects: Path | str | None = None,
) -> CatalogReader:
    """The catalog in a folder: the products that have a title.

    Kaggle's files have titles only in the judged and the test pairs. Descriptions and attributes
    are joined to them in memory; those of products without a title are left out. The attribute
    `MFG Brand Name` becomes the brand.
    """
    repacked = find_file(folder, CATALOG_FILES)
    if repacked is not None:
        return read_catalog(repacked, mapping=_MAPPING, on_bad_row=on_bad_row, rejects=rejects)
    path = Path(folder)
    first_file(path, (*CATALOG_FILES, "train.csv"))
    return CatalogReader(
        path / "train.csv",
        lambda: _kaggle_rows(path),
        lambda row: to_product(row.fields, _MAPPING),
        on_bad_row=on_bad_row,
        rejects=rejects,
    )


def read_homedepot_judgments(folder: Path | str) -> list[Judgment]:
    """Relevance from 1 to 3, the mean of the raters."""
    path = first_file(folder, (*JUDGMENT_FILES, "train.csv"))
    if path.name != "train.csv":
        return read_judgments(path)
    return judgments_of(path, _kaggle(path, "search_term", "relevance"), _judgment)


def _judgment(row: Row) -> Judgment:
    return Judgment(
        query=required_text(row.fields, "search_term"),
        product_id=required_text(row.fields, "product_uid"),
        rating=required_number(row.fields, "relevance"),
    )


def _kaggle(path: Path, *columns: str) -> Table:
    return Table(path, encoding=KAGGLE_ENCODING).require("product_uid", *columns)


def _kaggle_rows(folder: Path) -> Iterator[Row | BadRow]:
    products: dict[str, Row] = {}
    for name in ("train.csv", "test.csv"):
        path = folder / name
        if name == "test.csv" and not path.is_file():
            continue
        for row in _kaggle(path, "product_title"):
            if isinstance(row, BadRow):
                yield row
                continue
            uid, title = row.fields["product_uid"], row.fields["product_title"]
            if not uid.strip() or not title.strip():
                column = "product_title" if uid.strip() else "product_uid"
                yield bad_row(path, row, RowError(column, "", f"the {column} is missing"))
            # One line is one pair: a product occurs in many.
            elif uid not in products:
                products[uid] = Row(row.line, {"product_uid": uid, "product_title": title})
    for name, join in (("product_descriptions.csv", _describe), ("attributes.csv", _attribute)):
        if (folder / name).is_file():
            yield from join(folder / name, products)
    yield from products.values()


def _describe(path: Path, products: dict[str, Row]) -> Iterator[BadRow]:
    for row in _kaggle(path, "product_description"):
        if isinstance(row, BadRow):
            yield row
        elif row.fields["product_uid"] in products:
            fields = products[row.fields["product_uid"]].fields
            fields["product_description"] = row.fields["product_description"]


def _attribute(path: Path, products: dict[str, Row]) -> Iterator[BadRow]:
    for row in _kaggle(path, "name", "value"):
        if isinstance(row, BadRow):
            yield row
            continue
        uid, name, value = (row.fields[column] for column in ("product_uid", "name", "value"))
        if not uid and not name and not value:
            continue  # the published file has blank rows
        if not uid or not name:
            column = "product_uid" if not uid else "name"
            yield bad_row(
                path, row, RowError(column, "", "the attribute has no product or no name")
            )
            continue
        # Because of the blank rows, some tools wrote the ids as floats.
        product = products.get(uid.removesuffix(".0"))
        if product is None:
            continue
        if name == _BRAND:
            product.fields["brand"] = value
        else:
            # Two million rows share a few thousand names.
            product.fields.setdefault("attributes", {})[sys.intern(name)] = value
