"""Filters as a mask over the catalog."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qtr_rerank.records import Filters, Product
from qtr_rerank.retrieve.filter_mask import FilterMask
from qtr_rerank.runtime.title_store import TitleStore, TitleStoreWriter

SHOP = [
    Product(id="b", title="Kettle", brand="Acme", category="Kitchen", price=19.99),
    Product(id="a", title="Mug", brand="Beta", category="Kitchen", price=5.0),
    Product(id="c", title="Hose", brand="Acme", category="Garden"),
    Product(id="d", title="Lamp", price=100.0),
]


def opened(folder: Path, products: list[Product]) -> TitleStore:
    with TitleStoreWriter(folder) as writer:
        writer.add_products(products)
    return TitleStore.open(folder)


@pytest.fixture
def mask(tmp_path: Path) -> FilterMask:
    return FilterMask(opened(tmp_path, SHOP).facets)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [0, 1, 2, 3]),
        (Filters(brands=("Acme",)), [0, 2]),
        (Filters(brands=("Acme", "Beta")), [0, 1, 2]),
        (Filters(brands=("Acme",), categories=("Kitchen",)), [0]),
        (Filters(brands=("Nobody",)), []),
        (Filters(price_min=19.99), [0, 3]),
        (Filters(price_max=19.99), [0, 1]),
        (Filters(price_min=0.0), [0, 1, 3]),
    ],
)
def test_filters_select_products(mask: FilterMask, filters: Filters, expected: list[int]) -> None:
    assert np.flatnonzero(mask.passing(filters)).tolist() == expected
    backwards = np.array([3, 2, 1, 0])
    assert sorted(backwards[mask.passing(filters, backwards)].tolist()) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(brands=("Nobody",)), [0, 1, 2, 3]),
        (Filters(brands=("Acme",), categories=("Kitchen",)), [0, 1, 2]),
        (Filters(brands=("Beta",), categories=("Garden",), price_min=1.0), [1]),
    ],
)
def test_a_product_may_miss_one_field(
    mask: FilterMask, filters: Filters, expected: list[int]
) -> None:
    assert np.flatnonzero(mask.passing(filters, misses=1)).tolist() == expected


def test_refused_products_are_never_allowed(tmp_path: Path) -> None:
    facets = opened(tmp_path, SHOP).facets
    assert FilterMask(facets).allowed(None) is None
    mask = FilterMask(facets, refused=[0])
    for filters, expected in ((None, [1, 2, 3]), (Filters(brands=("Acme",)), [2])):
        allowed = mask.allowed(filters)
        assert allowed is not None
        assert np.flatnonzero(allowed).tolist() == expected


def test_an_empty_catalog_has_an_empty_mask(tmp_path: Path) -> None:
    mask = FilterMask(opened(tmp_path, []).facets)
    assert mask.passing(Filters(brands=("Acme",))).tolist() == []
