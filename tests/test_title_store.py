"""TitleStore: writing, resuming, reading by position; ids, facets, damaged files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qtr_rerank.errors import CatalogIndexError, DataError, UnknownIdError
from qtr_rerank.records import Product
from qtr_rerank.runtime.columns import ArrayAppender
from qtr_rerank.runtime.id_table import IdTable, IdTableWriter
from qtr_rerank.runtime.title_store import TitleStore, TitleStoreWriter

SHOP = [
    Product(id="b", title="mug", brand="Acme", category="Kitchen", price=19.99),
    Product(id="a", title="red mug", brand="Beta", category="Kitchen", price=5.0),
    Product(id="C/1", title="lamp", brand="Acme", category="Light", price=None),
    Product(id="ä", title="lamp", price=100.0),
]


def features_of(products: Sequence[Product]) -> dict[str, NDArray[Any]]:
    """Arrays of the dtypes that models store, computed without a model."""
    lengths = [len(product.title) for product in products]
    codes = [[ord(letter) for letter in product.title[:3]] for product in products]
    return {
        "vector": np.array(lengths, np.float32)[:, np.newaxis] / 7,
        "ids": np.array(codes, np.int32),
        "length": np.array(lengths, np.int16),
    }


def write(folder: Path, products: Sequence[Product], batch: int = 2) -> TitleStore:
    with TitleStoreWriter(folder) as writer:
        for start in range(0, len(products), batch):
            part = products[start : start + batch]
            writer.add_products(part)
            writer.add_features("twin", features_of(part))
    return TitleStore.open(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture
def store(tmp_path: Path) -> TitleStore:
    return write(tmp_path / "store", SHOP)


def test_ids_map_to_positions_and_back(store: TitleStore) -> None:
    assert len(store) == 4
    assert store.ids([2, 0, 2]) == ["C/1", "b", "C/1"]
    assert store.positions(["ä", "b", "b"]).tolist() == [3, 0, 0]
    assert store.ids([]) == []
    assert store.positions([]).tolist() == []


def test_an_error_names_the_first_unknown_id(store: TitleStore) -> None:
    with pytest.raises(UnknownIdError, match="no id 'x'"):
        store.positions(["a", "x", "y"])


def test_features_are_memory_mapped_by_position(store: TitleStore) -> None:
    expected = features_of(SHOP)
    stored = store.features("twin")
    assert set(stored) == set(expected)
    for name, rows in expected.items():
        assert stored[name].dtype == rows.dtype
        assert np.array_equal(stored[name], rows)
        assert not stored[name].flags.owndata
        assert not stored[name].flags.writeable


def test_a_model_without_features_is_an_error(store: TitleStore) -> None:
    assert store.models == ("twin",)
    with pytest.raises(CatalogIndexError, match=r"'other', only of twin; .*--models other"):
        store.features("other")


def test_facet_columns_hold_brand_category_and_price(store: TitleStore) -> None:
    facets = store.facets
    assert [facets.brands[code] for code in facets.brand_codes] == ["Acme", "Beta", "Acme", ""]
    assert [facets.categories[code] for code in facets.category_codes] == [
        "Kitchen",
        "Kitchen",
        "Light",
        "",
    ]
    assert facets.prices.dtype == np.float32
    assert np.array_equal(
        facets.prices, np.array([19.99, 5.0, np.nan, 100.0], np.float32), equal_nan=True
    )


def test_sort_keys_sort_like_ids(tmp_path: Path) -> None:
    ids = ["b", "a", "C/1", "ä", "a10", "a2", "zz", "", "日本"]
    store = write(tmp_path, [Product(id=id, title="x") for id in ids])
    keys = store.id_keys(np.arange(len(ids)))
    assert [ids[position] for position in np.argsort(keys, kind="stable")] == sorted(ids)
    assert store.id_keys(np.empty(0, np.int64)).tolist() == []


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_batch_size_does_not_change_the_files(tmp_path: Path, batch: int) -> None:
    write(tmp_path / "one", SHOP, batch=2)
    write(tmp_path / "other", SHOP, batch=batch)
    assert content(tmp_path / "one") == content(tmp_path / "other")


@pytest.mark.parametrize("encoded", [2, 4])
def test_a_writer_resumes_after_a_killed_one(tmp_path: Path, encoded: int) -> None:
    write(tmp_path / "whole", SHOP)
    # A killed process leaves no row counts, and perhaps a truncated last batch.
    with TitleStoreWriter(tmp_path / "first") as writer:
        writer.add_products(SHOP)
        writer.add_features("twin", features_of(SHOP[:encoded]))
        writer.sync()
        shutil.copytree(tmp_path / "first", tmp_path / "killed")
    with (tmp_path / "killed/features/twin/vector.npy").open("ab") as file:
        file.write(b"half a row")
    with TitleStoreWriter(tmp_path / "killed", encoded=encoded) as writer:
        writer.add_products(SHOP)
        if encoded < len(SHOP):
            writer.add_features("twin", features_of(SHOP[encoded:]))
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_a_store_shorter_than_its_checkpoint_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, SHOP)
    with (
        pytest.raises(CatalogIndexError, match="shorter than its checkpoint"),
        TitleStoreWriter(tmp_path, encoded=5),
    ):
        pass


def test_rows_of_another_dtype_or_shape_are_an_error(tmp_path: Path) -> None:
    column = ArrayAppender(tmp_path / "a.npy")
    column.append(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="not float64"):
        column.append(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"not float32\(4,\)"):
        column.append(np.zeros((2, 4), np.float32))
    column.close()
    column.close()
    assert np.load(tmp_path / "a.npy").shape == (2, 3)


def test_an_error_names_a_duplicate_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'a' twice, as products 2 and 5"):
        write(tmp_path, [*SHOP, SHOP[1]])


@pytest.mark.parametrize(
    "lost", ["ids/order.npy", "facets/price.npy", "facets/brand.json", "ids/text.npy"]
)
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_store_is_an_error(tmp_path: Path, lost: str, damage: str) -> None:
    write(tmp_path, SHOP)
    if damage == "missing":
        (tmp_path / lost).unlink()
    else:
        (tmp_path / lost).write_bytes((tmp_path / lost).read_bytes()[:-1])
    with pytest.raises(CatalogIndexError, match="index the catalog again"):
        TitleStore.open(tmp_path)


def test_an_empty_store_opens(tmp_path: Path) -> None:
    store = write(tmp_path, [])
    assert len(store) == 0
    with pytest.raises(UnknownIdError):
        store.positions(["a"])


def test_ids_with_the_same_hash_are_distinguished(tmp_path: Path) -> None:
    with IdTableWriter(tmp_path) as writer:
        writer.add(["first", "second", "third"])
    # All three ids get the hash of "second".
    hashes, order = np.load(tmp_path / "hashes.npy"), np.load(tmp_path / "order.npy")
    second = hashes[order.tolist().index(1)]
    np.save(tmp_path / "hashes.npy", np.full(3, second))
    table = IdTable(tmp_path)
    assert table.positions(["second"]).tolist() == [1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=8), unique=True), st.data())
def test_any_id_is_found(tmp_path: Path, ids: list[str], data: st.DataObject) -> None:
    batch = data.draw(st.integers(1, 5))
    with IdTableWriter(tmp_path) as writer:
        for start in range(0, len(ids), batch):
            writer.add(ids[start : start + batch])
    table = IdTable(tmp_path)
    positions = data.draw(st.lists(st.integers(0, len(ids) - 1))) if ids else []
    chosen = [ids[position] for position in positions]
    assert table.positions(chosen).tolist() == positions
    assert table.ids(positions) == chosen
