"""Reads ESCI, Amazon's shopping queries: products and judgments of one locale.

As published, in Parquet: `shopping_queries_dataset_products.parquet` (product_id, product_title,
product_description, product_bullet_point, product_brand, product_color, product_locale) and
`shopping_queries_dataset_examples.parquet` (example_id, query, query_id, product_id,
product_locale, esci_label, small_version, large_version, split).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from qtr_rerank.data.catalog_reader import CatalogReader
from qtr_rerank.data.column_mapping import ColumnMapping
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.judgments import judgments_of, required_text
from qtr_rerank.data.product_rows import to_product
from qtr_rerank.data.rows import BadRow, Row, RowError
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError
from qtr_rerank.records import Judgment, Product

CATALOG_FILES = ("shopping_queries_dataset_products.parquet",)
JUDGMENT_FILES = ("shopping_queries_dataset_examples.parquet",)
LOCALES = ("us", "es", "jp")
SPLITS = ("train", "test")
# Exact, substitute, complement, irrelevant.
RATINGS = {"E": 3.0, "S": 2.0, "C": 1.0, "I": 0.0}
_MAPPING = ColumnMapping(
    id="product_id",
    title="product_title",
    brand="product_brand",
    description="product_description",
)


def read_esci(
    folder: Path | str,
    *,
    locale: str = "us",
    on_bad_row: Callable[[BadRow], None] | None = None,
    rejects: Path | str | None = None,
) -> CatalogReader:
    """The catalog of one locale; a product id may occur in several, with other texts.

    The colour becomes an attribute; the bullet points stay in `extra`.
    """
    _require("locale", locale, LOCALES)
    table = Table(first_file(folder, CATALOG_FILES))
    table.require("product_locale", *_MAPPING.named().values())
    return CatalogReader(
        table.path,
        lambda: _of_locale(table, locale),
        _product,
        on_bad_row=on_bad_row,
        rejects=rejects,
    )


def read_esci_judgments(
    folder: Path | str, *, locale: str = "us", split: str | None = None, small: bool = False
) -> list[Judgment]:
    """Judgments of one locale: exact is 3, substitute 2, complement 1, irrelevant 0.

    `split` ("train" or "test") and `small` (the harder queries of task 1) select a part.
    """
    _require("locale", locale, LOCALES)
    if split is not None:
        _require("split", split, SPLITS)
    table = Table(first_file(folder, JUDGMENT_FILES))
    table.require("query", "product_id", "product_locale", "esci_label", "small_version", "split")

    def judgment(row: Row) -> Judgment | None:
        if split is not None and row.fields["split"] != split:
            return None
        if small and not row.fields["small_version"]:
            return None
        label = row.fields["esci_label"]
        if label not in RATINGS:
            raise RowError("esci_label", label, f"expected one of {', '.join(RATINGS)}")
        query = required_text(row.fields, "query")
        return Judgment(query, required_text(row.fields, "product_id"), RATINGS[label])

    return judgments_of(table.path, _of_locale(table, locale), judgment)


def _of_locale(table: Table, locale: str) -> Iterator[Row | BadRow]:
    for row in table:
        if isinstance(row, BadRow) or row.fields["product_locale"] == locale:
            yield row


def _product(row: Row) -> Product:
    fields = dict(row.fields)
    colour = fields.pop("product_color", None)
    fields["attributes"] = {"color": colour}
    return to_product(fields, _MAPPING)


def _require(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(f"{name} is {value!r}; expected one of {', '.join(known)}")
