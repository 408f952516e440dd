"""The content of the shop's templates: products, pages, sorts, summaries, facets, departments."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.facets import FACET_VALUES, chips, facet_groups, price_range
from demo.home_page import SAMPLE_SUGGESTIONS, Department, departments, suggestions
from demo.page_request import DEPTH, SORTS, PageRequest
from demo.pagination import paginate
from demo.product_view import Rating, attribute_rows, price_text, product_card, rating_of
from demo.result_view import match_quality
from demo.sorting import good_hits, sort_choices, sorted_hits
from qtr_rerank.data.sample import sample_catalog, sample_judgments
from qtr_rerank.records import Facets, FacetValue, Filters, Product, SearchResult
from tests.demo_fixtures import make_hit, make_product, parse_address


@pytest.mark.parametrize(
    ("price", "currency", "text"),
    [
        (12.5, "EUR", "€12.50"),
        (1234.0, "usd", "$1,234.00"),
        (0.0, "GBP", "£0.00"),
        (1299.0, "JPY", "¥1,299"),
        (12.99, "SEK", "12.99 SEK"),
        (49.95, "", "49.95"),
        (None, "EUR", ""),
        (math.nan, "EUR", ""),
    ],
)
def test_price_text(price: float | None, currency: str, text: str) -> None:
    assert price_text(price, currency) == text


@pytest.mark.parametrize(
    ("extra", "rating"),
    [
        ({"rating": 4.3, "rating_count": 12}, Rating(4.3, 12)),
        ({"rating": "4.3", "rating_count": "12"}, Rating(4.3, 12)),
        ({"rating": 5}, Rating(5.0, None)),
        ({"rating": 87}, None),
        ({"rating": "good"}, None),
        ({"rating": True}, None),
        ({"rating": [4]}, None),
        ({}, None),
    ],
)
def test_rating_is_none_unless_it_is_a_number_up_to_5(
    extra: dict[str, Any], rating: Rating | None
) -> None:
    assert rating_of(make_product(extra=extra)) == rating


def test_a_product_with_only_a_title_has_a_card() -> None:
    card = product_card(Product(id="1", title="Hammer"))
    assert (card.title, card.brand, card.price, card.rating) == ("Hammer", "", "", None)


def test_attribute_rows_have_readable_names_and_units() -> None:
    attributes = {
        "capacity_ml": 1700,
        "wireless": True,
        "hooded": False,
        "weight_g": 2.5,
        "t_type": "Notebook",
        "m": 3,
        "blank": " ",
    }
    assert attribute_rows(make_product(attributes=attributes)) == (
        ("Capacity", "1700 ml"),
        ("Wireless", "Yes"),
        ("Hooded", "No"),
        ("Weight", "2.5 g"),
        ("T type", "Notebook"),
        ("M", "3"),
    )


@given(total=st.integers(0, 5000), page=st.integers(1, 10), size=st.integers(1, 100))
def test_pages_hold_every_result_once(total: int, page: int, size: int) -> None:
    within = min(total, DEPTH)
    pager = paginate(PageRequest(query="tea", page=page, size=size), total)
    assert 1 <= pager.page <= pager.pages
    assert pager.first - 1 == (min(pager.page - 1, within) * size if within else -1)
    assert pager.last <= within
    assert (pager.page == pager.pages) == (pager.last == within)
    numbers = [link.number for link in pager.links if link.number is not None]
    assert numbers == sorted(set(numbers))
    assert not numbers or (numbers[0], numbers[-1]) == (1, pager.pages)
    assert sum(link.current for link in pager.links) == (1 if numbers else 0)


def test_pager_gaps_hide_at_least_two_pages() -> None:
    def shown(page: int) -> list[int | None]:
        return [link.number for link in paginate(PageRequest(page=page), 240).links]

    assert shown(1) == [1, 2, None, 10]
    assert shown(4) == [1, 2, 3, 4, 5, None, 10]
    assert shown(5) == [1, None, 4, 5, 6, None, 10]


def test_sort_ties_keep_relevance_and_missing_values_come_last() -> None:
    products = {
        each.id: each
        for each in (
            make_product("a", price=5.0, extra={"rating": 4.0, "rating_count": 3}),
            make_product("b"),
            make_product("c", price=2.0, extra={"rating": 4.0, "rating_count": 9}),
            make_product("d", price=5.0, extra={"rating": 4.5}),
        )
    }
    hits = [make_hit(id, rank) for rank, id in enumerate("abcd", start=1)]

    def order(sort: str) -> str:
        return "".join(each.id for each in sorted_hits(hits, products, sort))

    assert {sort: order(sort) for sort in SORTS} == {
        "best": "abcd",
        "price-asc": "cadb",
        "price-desc": "adcb",
        "rating": "dcab",
    }


def test_good_hits_have_half_the_best_probability() -> None:
    probabilities = (0.8, 0.7, 0.41, 0.2, 0.6)
    hits = [make_hit(str(at), at, probability=p) for at, p in enumerate(probabilities, start=1)]
    assert [each.id for each in good_hits(hits)] == ["1", "2", "3", "5"]
    assert good_hits([]) == ()


@pytest.mark.parametrize(
    ("query", "probability", "quality"),
    [
        ("oak desk", 0.1, "good"),
        ("OAK", 0.1, "good"),
        ("desks", 0.1, "good"),
        ("desk/table", 0.1, "good"),
        ("dessk", 0.6, "by meaning"),
        ("dessk", None, "by meaning"),
        ("zzz", 0.1, "poor"),
        ("!!!", 0.9, "poor"),
        ("", 0.0, "good"),
    ],
)
def test_match_quality(query: str, probability: float | None, quality: str) -> None:
    result = SearchResult(query, (make_hit("a", probability=probability),), 1, {}, "embedded")
    request = PageRequest(query=query)
    desks = [make_product(title="Standing Desk, Oak")]
    assert match_quality(request, result, desks) == quality
    filtered = replace(request, filters=Filters(brands=("Acme",)))
    assert match_quality(filtered, result, desks) == quality.replace("poor", "by meaning")


def test_only_sorts_with_values_are_offered() -> None:
    unrated = [product_card(make_product())]
    assert list(sort_choices(PageRequest(), Facets(), unrated)) == ["best"]
    priced = Facets(price_min=1.0, price_max=2.0)
    rated = [product_card(make_product(extra={"rating": 4}))]
    assert list(sort_choices(PageRequest(), priced, rated)) == list(SORTS)


def test_selected_facet_values_always_show() -> None:
    counts = tuple(FacetValue(f"B{number}", 50 - number) for number in range(30))
    (brands,) = facet_groups(Facets(brands=counts), Filters(brands=("B29", "Gone")))
    assert [(v.value, v.count, v.selected) for v in brands.values[:3]] == [
        ("B29", 21, True),
        ("Gone", 0, True),
        ("B0", 50, False),
    ]
    assert len(brands.values) == FACET_VALUES
    assert len(brands.values) + len(brands.more) == 31


def test_facet_values_of_the_best_products_come_first() -> None:
    counts = (FacetValue("Hair Care", 40), FacetValue("Kettles", 20), FacetValue("Empty", 0))
    best = [make_product("a", category="Kettles"), *[make_product("b", category="Hair Care")] * 2]
    (categories,) = facet_groups(Facets(categories=counts), Filters(), best)
    assert [value.value for value in categories.values] == ["Kettles", "Hair Care"]
    (in_department,) = facet_groups(Facets(categories=counts), Filters(), best, ["Hair Care"])
    assert [value.value for value in in_department.values] == ["Hair Care"]


def test_each_chip_removes_one_filter() -> None:
    request = parse_address(
        "q=tea&department=Kitchen&brand=A&brand=B&category=C&price_min=2&price_max=9.5"
    )
    without = {
        chip.label: parse_address(chip.href.partition("?")[2]) for chip in chips(request, "EUR")
    }
    assert list(without) == ["Kitchen", "C", "A", "B", "€2.00 to €9.50"]
    assert without["Kitchen"] == replace(request, department="")
    assert without["A"].filters == replace(request.filters, brands=("B",))
    assert without["€2.00 to €9.50"].filters.price_max is None


def test_a_catalog_without_prices_has_no_price_fields() -> None:
    assert price_range(Filters(), Facets(), "") is None
    shown = price_range(Filters(price_min=2.0), Facets(price_min=1.5, price_max=30), "USD")
    assert shown is not None
    assert (shown.span, shown.low, shown.high) == ("$1.50 – $30.00", "2", "")


def test_departments_group_categories_largest_first() -> None:
    categories = [
        (FacetValue("Kettles", 5), make_product("k", extra={"department": "Kitchen"})),
        (FacetValue("Desks", 6), make_product("d")),
        (FacetValue("Pans", 4), make_product("p", extra={"department": "Kitchen"})),
    ]
    assert departments(categories) == (
        Department("Kitchen", ("Kettles", "Pans"), 9, "k"),
        Department("Desks", ("Desks",), 6, "d"),
    )


def test_the_sample_shop_suggests_its_own_judged_queries() -> None:
    catalog = sample_catalog()
    judged = {each.query: each.ratings for each in sample_judgments(catalog)}
    for suggestion in SAMPLE_SUGGESTIONS:
        assert max(judged[suggestion.query].values()) > 0, suggestion
    names = sorted({str(each.extra["department"]) for each in catalog})
    sample = [Department(name, (name,), 1, "x") for name in names]
    assert suggestions(sample, ["Acme"]) == SAMPLE_SUGGESTIONS
    assert [each.query for each in suggestions([], ["Acme"])] == ["Acme"]
