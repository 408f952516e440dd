"""Opens a catalog in any format that the commands accept: a shop's file or a public data set."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from qtr_rerank.data.catalog_reader import CatalogReader, read_catalog
from qtr_rerank.data.column_mapping import ColumnMapping
from qtr_rerank.data.esci import read_esci
from qtr_rerank.data.homedepot import read_homedepot
from qtr_rerank.data.icecat import read_icecat
from qtr_rerank.data.wands import read_wands
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.records import Product
from qtr_rerank.template import ProductText

# Readers of public data sets whose files are not one product a row with plain columns.
PUBLISHED = {
    "esci": read_esci,
    "homedepot": read_homedepot,
    "icecat": read_icecat,
    "wands": read_wands,
}
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", *PUBLISHED)


def check_format(format: str | None, columns: Mapping[str, str]) -> None:
    """Raises SettingsError for an unknown format, or a column mapping of one with fixed columns."""
    if format is not None and format not in FORMATS:
        raise SettingsError(f"the format is {format!r}; expected one of {', '.join(FORMATS)}")
    if format in PUBLISHED and columns:
        raise SettingsError(f"format {format} has fixed columns; leave out the column mapping")


def parse_columns(options: Iterable[str]) -> dict[str, str]:
    """The values of `--column FIELD=COLUMN` as field -> column. Raises SettingsError."""
    columns = {}
    for option in options:
        field, equals, column = option.partition("=")
        if not equals or not field or not column:
            raise SettingsError(
                f"--column is {option!r}; expected FIELD=COLUMN, such as title=name"
            )
        columns[field] = column
    return columns


def open_catalog(
    path: Path,
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    rejects: Path | None = None,
) -> CatalogReader:
    """A reader of the products of a catalog. `columns` maps fields of a product to columns.

    Raises SettingsError for an unknown format or field, DataError as `read_catalog`.
    """
    columns = columns or {}
    check_format(format, columns)
    published = PUBLISHED.get(format or "")
    if published is not None:
        return published(path, rejects=rejects)
    try:
        mapping = ColumnMapping(**columns)
    except TypeError as error:
        raise SettingsError(
            f"columns are mapped for {sorted(columns)}; expected fields of a product: "
            f"{', '.join(ColumnMapping.__dataclass_fields__)}"
        ) from error
    return read_catalog(path, format=format, mapping=mapping, rejects=rejects)


def product_texts(
    products: Iterable[Product], reads: ProductText, sources: Collection[str] = ()
) -> dict[str, str]:
    """Product id -> the text a model reads of it, made by a template.

    With `sources`, only products whose column `source` is one of them. Raises DataError where no
    product has one of the template's fields.
    """
    texts: dict[str, str] = {}
    unseen = set(reads.fields)
    for product in products:
        if not sources or product.extra.get("source") in sources:
            texts[product.id] = reads.render(product)
            unseen = {field for field in unseen if not getattr(product, field).strip()}
    if texts and unseen:
        raise DataError(
            f"no product has a {' or a '.join(sorted(unseen))}, which the template "
            f"{reads.template!r} names; leave it out, or map a column to it"
        )
    return texts
