"""Index -> rerank: ids, facet columns and title features, computed once and memory-mapped.

A position is a product's row number in catalog order. Ids, facet columns and every model's title
features share positions. Files are memory-mapped: only the pages in use are read.

    store/ids/         text, offsets: every id; hashes, order: to find one
    store/facets/      brand, category: codes into their .json vocabularies; price: float32
    store/features/    MODEL/ARRAY.npy, each (products, ...)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import CatalogIndexError
from qtr_rerank.records import Product
from qtr_rerank.runtime.columns import ArrayAppender, mapped
from qtr_rerank.runtime.id_table import IdTable, IdTableWriter, Positions


@dataclass(frozen=True, slots=True)
class FacetColumns:
    """Columns that facets count and filters test, by position. Codes index their vocabulary.

    A product without a brand or category carries the code of ""; an unknown price is NaN.
    """

    brand_codes: NDArray[np.int32]
    brands: tuple[str, ...]
    category_codes: NDArray[np.int32]
    categories: tuple[str, ...]
    prices: NDArray[np.float32]


class TitleStore:
    """The store of one index, opened read-only. Safe to share between threads."""

    def __init__(self, ids: IdTable, facets: FacetColumns, folder: Path) -> None:
        self.facets = facets
        self._ids = ids
        self._folder = folder

    @classmethod
    def open(cls, folder: Path | str) -> TitleStore:
        """Map the store at `folder`. Raises CatalogIndexError if a file is missing or damaged."""
        folder = Path(folder)
        facets = folder / "facets"
        columns = FacetColumns(
            brand_codes=mapped(facets / "brand.npy"),
            brands=_vocabulary(facets / "brand.json"),
            category_codes=mapped(facets / "category.npy"),
            categories=_vocabulary(facets / "category.json"),
            prices=mapped(facets / "price.npy"),
        )
        return cls(IdTable(folder / "ids"), columns, folder)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def models(self) -> tuple[str, ...]:
        """The models whose title features are stored, by name."""
        features = self._folder / "features"
        return (
            tuple(sorted(entry.name for entry in features.iterdir())) if features.is_dir() else ()
        )

    def ids(self, positions: Iterable[int] | NDArray[Any]) -> list[str]:
        """The ids at `positions`, in that order."""
        return self._ids.ids(positions)

    def positions(self, ids: Sequence[str]) -> Positions:
        """The positions of `ids`, in that order. Raises UnknownIdError naming the first missing."""
        return self._ids.positions(ids)

    def id_keys(self, positions: Positions) -> NDArray[np.bytes_]:
        """Sort keys (positions,) of the ids: see `IdTable.sort_keys`."""
        return self._ids.sort_keys(positions)

    def find(self, ids: Sequence[str]) -> Positions:
        """The positions of `ids`, in that order; -1 for an id that the store does not hold."""
        return self._ids.find(ids)

    def features(self, model: str) -> dict[str, NDArray[Any]]:
        """The stored title features of `model`: arrays (products, ...), memory-mapped."""
        folder = self._folder / "features" / model
        if not folder.is_dir():
            raise CatalogIndexError(
                f"the index holds no title features of model {model!r}, only of "
                f"{', '.join(self.models) or 'none'}; index the catalog again with --models {model}"
            )
        return {path.stem: mapped(path) for path in sorted(folder.glob("*.npy"))}


class TitleStoreWriter:
    """Writes a store batch by batch, and resumes an interrupted one.

    Features are costly, so the first `encoded` rows of the last run are kept. Ids and facets are
    cheap: they are written again, so a resumed store equals an uninterrupted one. Leaving the
    context completes the store, and raises DataError on a duplicate id.
    """

    def __init__(self, folder: Path | str, encoded: int = 0) -> None:
        self._folder = Path(folder)
        self._features = self._kept_features(encoded) if encoded else {}
        facets = self._folder / "facets"
        facets.mkdir(parents=True, exist_ok=True)
        self._ids = IdTableWriter(self._folder / "ids")
        self._columns = {name: ArrayAppender(facets / f"{name}.npy") for name in _FACETS}
        self._codes: dict[str, dict[str, int]] = {"brand": {}, "category": {}}
        self.add_products([])

    def add_products(self, products: Sequence[Product]) -> None:
        """Append ids and facets of the next products, also of those whose features are kept."""
        self._ids.add([product.id for product in products])
        for name, codes in self._codes.items():
            values = [str(getattr(product, name)) for product in products]
            column = [codes.setdefault(value, len(codes)) for value in values]
            self._columns[name].append(np.array(column, dtype=np.int32))
        prices = [np.nan if product.price is None else product.price for product in products]
        self._columns["price"].append(np.array(prices, dtype=np.float32))

    def add_features(self, model: str, features: Mapping[str, NDArray[Any]]) -> None:
        """Append `model`'s arrays, each (batch, ...), for the next products without features."""
        for name, rows in features.items():
            column = self._features.get((model, name))
            if column is None:
                path = self._folder / "features" / model / f"{name}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                column = self._features[model, name] = ArrayAppender(path)
            column.append(rows)

    def _kept_features(self, encoded: int) -> dict[tuple[str, str], ArrayAppender]:
        kept: dict[tuple[str, str], ArrayAppender] = {}
        try:
            for path in sorted((self._folder / "features").glob("*/*.npy")):
                kept[path.parent.name, path.stem] = ArrayAppender(path, keep=encoded)
        except CatalogIndexError:
            for column in kept.values():
                column.close()
            raise
        return kept

    def sync(self) -> None:
        """Flush the features to disk. After this, a checkpoint may count them as done."""
        for column in self._features.values():
            column.sync()

    def __enter__(self) -> TitleStoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for column in (*self._columns.values(), *self._features.values()):
            column.close()
        for name, codes in self._codes.items():
            text = json.dumps(list(codes), ensure_ascii=True)
            (self._folder / "facets" / f"{name}.json").write_text(text, encoding="utf-8")
        self._ids.__exit__(kind, error, trace)


_FACETS = ("brand", "category", "price")


def _vocabulary(path: Path) -> tuple[str, ...]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogIndexError(
            f"{path} is missing or damaged ({error}); index the catalog again"
        ) from error
    return tuple(values)
