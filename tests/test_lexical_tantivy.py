"""The embedded lexical engine: the common contract, and what is its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from qtr_rerank.errors import CatalogIndexError, DataError
from qtr_rerank.records import Filters, Product
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from tests.lexical_contract import SHOP, Build, LexicalContract


class TestTantivyLexical(LexicalContract):
    @pytest.fixture
    def build(self, tmp_path: Path) -> Build:
        def build(products: Sequence[Product]) -> TantivyLexical:
            return TantivyLexical.build(tmp_path / "tantivy", products)

        return build


def test_a_reopened_index_returns_the_same_hits(tmp_path: Path) -> None:
    built = TantivyLexical.build(tmp_path, SHOP)
    opened = TantivyLexical.open(tmp_path)
    assert len(opened) == len(SHOP)
    for query in ("dv7-1211ea", "shoes", "crème"):
        assert opened.search(query, 5) == built.search(query, 5)
    assert opened.products(["tea"]) == built.products(["tea"])


def test_building_again_replaces_the_index(tmp_path: Path) -> None:
    TantivyLexical.build(tmp_path, SHOP)
    index = TantivyLexical.build(tmp_path, SHOP[:1])
    assert len(index) == 1
    assert index.search("kettle", 5) == []


def test_products_are_read_once_as_a_stream(tmp_path: Path) -> None:
    def stream() -> Iterator[Product]:
        for number in range(3000):
            yield Product(id=f"p{number}", title=f"mug number {number}")

    index = TantivyLexical.build(tmp_path, stream())
    assert len(index) == 3000
    assert index.search("2999", 1)[0].id == "p2999"
    assert [product.title for product in index.products(["p2500", "p7"])] == [
        "mug number 2500",
        "mug number 7",
    ]


def test_a_product_of_unencodable_text_is_kept(tmp_path: Path) -> None:
    product = Product(id="1", title="mug \ud800 with a lone surrogate", brand="\x00")
    index = TantivyLexical.build(tmp_path, [product])
    assert index.products(["1"]) == [product]
    assert [hit.id for hit in index.search("mug", 5)] == ["1"]


def test_duplicate_id_is_an_error_that_names_both_products(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'laptop' twice, as products 3 and 8"):
        TantivyLexical.build(tmp_path, [*SHOP, SHOP[2]])


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = TantivyLexical.build(tmp_path, [])
    assert len(index) == 0
    assert index.search("mug", 5) == []
    assert index.search("mug", 5, Filters(brands=("HP",))) == []


@pytest.mark.parametrize("damage", ["missing folder", "no meta", "broken meta", "no ids"])
def test_a_damaged_index_is_refused_with_its_remedy(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "tantivy"
    if damage != "missing folder":
        TantivyLexical.build(folder, SHOP)
    if damage == "no meta":
        (folder / "meta.json").unlink()
    if damage == "broken meta":
        (folder / "meta.json").write_text(json.dumps({"segments": "none"}))
    if damage == "no ids":
        (folder / "ids" / "order.npy").unlink()
    with pytest.raises(CatalogIndexError, match="index the catalog again"):
        TantivyLexical.open(folder)
