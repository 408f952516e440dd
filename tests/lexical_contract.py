"""The contract of lexical indexes. Each engine's test module subclasses `LexicalContract`.

class TestTantivy(LexicalContract):
    @pytest.fixture
    def build(self, tmp_path):
        return lambda products: ...  # an open index over `products`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest

from qtr_rerank.errors import UnknownIdError
from qtr_rerank.records import Filters, Product
from qtr_rerank.retrieve.schema import LexicalIndex

Build = Callable[[Sequence[Product]], LexicalIndex]

SHOP = (
    Product(
        id="shoe-red",
        title="Trailhead women's running shoes, red",
        brand="Trailhead",
        category="Shoes",
        price=89.5,
        description="Light shoes for long distances.",
        attributes={"color": "red", "size": 39.0, "waterproof": False},
    ),
    Product(
        id="shoe-blue",
        title="Walking shoe blue",
        brand="Nordvik",
        category="Shoes",
        price=120.0,
        attributes={"color": "blue", "waterproof": True},
    ),
    Product(
        id="laptop",
        title="HP Pavilion DV7-1211EA notebook 17.3 inch",
        brand="HP",
        category="Laptops",
        price=650.0,
        attributes={"ram": "4 GB", "weight kg": 3.3},
        extra={"rating": 4.5, "sold": {"2024": 12, "2025": [1, 2]}, "ean": None},
    ),
    Product(
        id="laptop-bag",
        title="Bag for notebooks up to 17 inch",
        brand="Case & Co",
        category="Bags",
        price=25.0,
        description="Also fits the HP Pavilion series.",
    ),
    Product(id="kettle", title="Électro kettle 1.7 l crème brûlée", brand="Électro", price=25.01),
    Product(id="tea", title="煎茶 日本 green tea", category="Groceries", price=None),
    Product(id="and", title="Salt AND pepper mill", brand="OR", category="Kitchen", price=9.99),
)


class LexicalContract:
    """The tests; a subclass defines the fixture `build`."""

    @pytest.fixture
    def build(self) -> Build:
        raise NotImplementedError("define the fixture 'build' in the subclass")

    @pytest.fixture
    def shop(self, build: Build) -> LexicalIndex:
        return build(SHOP)

    FOUND_FIRST: ClassVar = [
        pytest.param("running shoe", "shoe-red", id="singular finds plural"),
        pytest.param("walking shoes", "shoe-blue", id="plural finds singular"),
        pytest.param("RUNNING SHOES", "shoe-red", id="case does not matter"),
        pytest.param("  running\tshoes\n", "shoe-red", id="whitespace does not matter"),
        pytest.param("women running", "shoe-red", id="possessive"),
        pytest.param("dv7-1211ea", "laptop", id="part number"),
        pytest.param("DV71211EA", "laptop", id="part number without its hyphen"),
        pytest.param("dv7 1211ea", "laptop", id="part number with a space"),
        pytest.param("hp laptop", "laptop", id="brand and category"),
        pytest.param("hp notebook", "laptop", id="brand in a description weighs less"),
        pytest.param("nordvik", "shoe-blue", id="brand alone"),
        pytest.param("waterproof shoes", "shoe-blue", id="a true attribute is searchable"),
        pytest.param("ram 4 gb", "laptop", id="attribute name and value"),
        pytest.param("long distances", "shoe-red", id="description"),
        pytest.param("électro", "kettle", id="accents as written"),
        pytest.param("creme brulee", "kettle", id="accents left out"),
        pytest.param("ＫＥＴＴＬＥ", "kettle", id="full-width letters"),
        pytest.param("煎茶", "tea", id="Japanese"),
        pytest.param("salt AND pepper", "and", id="AND is a word"),
    ]

    @pytest.mark.parametrize(("query", "first"), FOUND_FIRST)
    def test_finds_first(self, shop: LexicalIndex, query: str, first: str) -> None:
        hits = shop.search(query, 10)
        assert hits
        assert hits[0].id == first

    def test_false_attribute_does_not_match(self, shop: LexicalIndex) -> None:
        assert [hit.id for hit in shop.search("waterproof", 10)] == ["shoe-blue"]

    @pytest.mark.parametrize(
        "query",
        [
            "kettle -creme",
            "kettle NOT creme",
            "kettle AND shoe",
            '"kettle',
            'title:"kettle"',
            "title:kettle",
            "kettle*",
            "kettle~2",
            "kettle^9",
            "(kettle",
            "kettle)",
            "[kettle TO",
            "{kettle}",
            "kettle || !x && +y",
            "kettle \\",
            "kettle / <>=",
            "kettle?",
            "kettle \x00",
            "kettle 🫖",
        ],
    )
    def test_operators_are_plain_text(self, shop: LexicalIndex, query: str) -> None:
        assert "kettle" in [hit.id for hit in shop.search(query, 10)]

    @pytest.mark.parametrize(
        "query", ["*", "kett*", "ket~5", "id:kettle", "[a TO z]", "NOT kettles_", "/k.*/"]
    )
    def test_operators_have_no_effect(self, shop: LexicalIndex, query: str) -> None:
        # As operators, all of these would match the kettle without the word.
        found = [hit.id for hit in shop.search(query, 10)]
        assert ("kettle" in found) == ("kettle" in query)

    @pytest.mark.parametrize("query", ["", "   ", "\n\t", "!?", "---", '""', "\u3000", "\ud800"])
    def test_query_without_words_has_no_hits(self, shop: LexicalIndex, query: str) -> None:
        assert shop.search(query, 10) == []

    def test_unknown_words_have_no_hits(self, shop: LexicalIndex) -> None:
        assert shop.search("zxqwv", 10) == []

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param(" ".join(f"word{n}" for n in range(10_000)), id="10,000 words"),
            pytest.param("x" * 100_000, id="one word of 100,000 letters"),
            pytest.param("煎" * 5_000, id="5,000 ideographs"),
            pytest.param("a-1-" * 5_000, id="5,000 parts"),
            pytest.param("kettle " * 5_000, id="one word 5,000 times"),
        ],
    )
    def test_very_long_query_is_accepted(self, shop: LexicalIndex, query: str) -> None:
        assert isinstance(shop.search(query, 10), list)

    def test_long_query_is_truncated(self, shop: LexicalIndex) -> None:
        query = "kettle " + " ".join(f"word{n}" for n in range(10_000))
        assert [hit.id for hit in shop.search(query, 10)] == ["kettle"]

    def test_scores_descend_and_ranks_start_at_one(self, shop: LexicalIndex) -> None:
        hits = shop.search("hp notebook bag 17 inch shoes", 10)
        assert len(hits) >= 3
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        assert all(type(hit.score) is float and hit.score > 0 for hit in hits)

    @pytest.mark.parametrize("k", [1, 2, 5])
    def test_k_truncates_the_same_order(self, shop: LexicalIndex, k: int) -> None:
        query = "hp notebook bag 17 inch shoes"
        everything = shop.search(query, 100)
        assert shop.search(query, k) == everything[:k]

    def test_k_zero_has_no_hits(self, shop: LexicalIndex) -> None:
        assert shop.search("kettle", 0) == []

    def test_k_may_exceed_the_catalog(self, shop: LexicalIndex) -> None:
        assert [hit.id for hit in shop.search("kettle", 1_000_000)] == ["kettle"]

    def test_ties_are_ordered_by_id(self, build: Build) -> None:
        ids = ["b", "a", "10", "9", "Z", "ä", "a-1"]
        index = build([Product(id=id, title="same blue mug") for id in ids])
        assert [hit.id for hit in index.search("mug", 10)] == sorted(ids)
        # Truncation within a tie is by id, too.
        assert [hit.id for hit in index.search("mug", 3)] == sorted(ids)[:3]

    FILTERED: ClassVar = [
        pytest.param(Filters(), {"shoe-red", "shoe-blue", "laptop-bag"}, id="none"),
        pytest.param(Filters(brands=("Nordvik",)), {"shoe-blue"}, id="brand"),
        pytest.param(
            Filters(brands=("Nordvik", "Case & Co")), {"shoe-blue", "laptop-bag"}, id="two brands"
        ),
        pytest.param(Filters(brands=("nordvik",)), set(), id="brands are compared exactly"),
        pytest.param(Filters(brands=("Case",)), set(), id="a part of a brand is not the brand"),
        pytest.param(Filters(categories=("Shoes",)), {"shoe-red", "shoe-blue"}, id="category"),
        pytest.param(
            Filters(brands=("Nordvik",), categories=("Bags",)), set(), id="brand and category"
        ),
        pytest.param(Filters(price_min=89.5), {"shoe-red", "shoe-blue"}, id="minimum is included"),
        pytest.param(Filters(price_max=89.5), {"shoe-red", "laptop-bag"}, id="maximum is included"),
        pytest.param(Filters(price_min=25.01, price_max=119.99), {"shoe-red"}, id="range"),
        pytest.param(Filters(price_min=500, price_max=1), set(), id="empty range"),
    ]

    @pytest.mark.parametrize(("filters", "expected"), FILTERED)
    def test_filters(self, shop: LexicalIndex, filters: Filters, expected: set[str]) -> None:
        found = {hit.id for hit in shop.search("shoes bag", 10, filters)}
        assert found == expected

    def test_unknown_price_is_outside_every_range(self, shop: LexicalIndex) -> None:
        assert shop.search("green tea", 10)
        assert shop.search("green tea", 10, Filters(price_min=0)) == []
        assert shop.search("green tea", 10, Filters(price_max=1e9)) == []

    def test_filters_do_not_change_scores(self, shop: LexicalIndex) -> None:
        free = {hit.id: hit.score for hit in shop.search("running shoes", 10)}
        for hit in shop.search("running shoes", 10, Filters(categories=("Shoes",))):
            assert hit.score == pytest.approx(free[hit.id])

    def test_products_are_returned_unchanged_in_the_order_of_ids(self, shop: LexicalIndex) -> None:
        fetched = shop.products([product.id for product in reversed(SHOP)])
        assert [product.to_dict() for product in fetched] == [
            product.to_dict() for product in reversed(SHOP)
        ]

    def test_product_types_survive(self, shop: LexicalIndex) -> None:
        [product] = shop.products(["shoe-red"])
        assert product.attributes["waterproof"] is False
        assert type(product.attributes["size"]) is float
        assert type(product.price) is float

    def test_ids_may_repeat(self, shop: LexicalIndex) -> None:
        assert [p.id for p in shop.products(["tea", "tea"])] == ["tea", "tea"]

    def test_no_ids_give_no_products(self, shop: LexicalIndex) -> None:
        assert shop.products([]) == []

    @pytest.mark.parametrize("unknown", ["nowhere", "", "x" * 1_000, "TEA", "tea "])
    def test_error_names_the_first_unknown_id(self, shop: LexicalIndex, unknown: str) -> None:
        with pytest.raises(UnknownIdError, match=f"'{unknown}'"):
            shop.products(["tea", unknown, "elsewhere"])

    def test_unusual_ids_and_fields_are_kept(self, build: Build) -> None:
        odd = [
            Product(id="a/b c?d=1#e%20", title="odd mug", extra={"a.b": 1, "": "empty name"}),
            Product(id="ü" * 60, title="odd mug", attributes={"a.b": "dot", "a": 1}),
            Product(id="_hidden", title="odd mug", attributes={"a": "text now"}),
            Product(id="x" * 200, title="odd " + "mug " * 10_000, brand="B" * 40_000),
        ]
        index = build(odd)
        assert {hit.id for hit in index.search("mug", 10)} == {product.id for product in odd}
        assert index.products([product.id for product in odd]) == odd

    def test_length_is_the_number_of_products(self, shop: LexicalIndex) -> None:
        assert len(shop) == len(SHOP)

    def test_close_may_be_called_twice(self, shop: LexicalIndex) -> None:
        shop.close()
        shop.close()
