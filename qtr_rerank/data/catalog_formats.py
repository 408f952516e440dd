"""A file or folder -> its reader: every form of catalog that the commands take."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from qtr_rerank.data.catalog_reader import CatalogReader, ColumnMapping, read_catalog
from qtr_rerank.data.esci import read_esci
from qtr_rerank.data.homedepot import read_homedepot
from qtr_rerank.data.icecat import read_icecat
from qtr_rerank.data.wands import read_wands
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.records import Product
from qtr_rerank.template import ProductText

# Published catalogs that are not one row a product with plain columns.
PUBLISHED = {
    "esci": read_esci,
    "homedepot": read_homedepot,
    "icecat": read_icecat,
    "wands": read_wands,
}
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", *PUBLISHED)


def check_format(format: str | None, columns: Mapping[str, str]) -> None:
    """Raises SettingsError where there is no such format, or it takes no mapping of columns."""
    if format is not None and format not in FORMATS:
        raise SettingsError(f"the format is {format!r}; expected one of {', '.join(FORMATS)}")
    if format in PUBLISHED and columns:
        raise SettingsError(f"format {format} has columns of its own; map none")


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
    """The products of a catalog. `columns` maps fields of a product to the columns that hold them.

    Raises SettingsError for a format or a field that is unknown, DataError as `read_catalog`.
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
    """What is read of each product, by id; of those alone whose column `source` is one of
    `sources`, where these are given.

    Raises DataError where no product has one of the template's fields: it would add nothing.
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
