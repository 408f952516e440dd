"""The page's pure core: addresses, prices, moves, pages, orders, facets, times."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import view
from demo.facets import FACET_VALUES, chips, facet_groups, price_range
from demo.home import SAMPLE_SUGGESTIONS, Department, departments, suggestions
from demo.orders import compare, compared_hits, move, ms_text, times
from demo.request import DEPTH, SORTS, PageRequest, parse_request, unknown_arguments
from qtr_rerank.data.sample import sample_catalog, sample_judgments
from qtr_rerank.records import Facets, FacetValue, Filters, Product, Ranked, SearchResult

FILTERS = st.builds(
    Filters,
    brands=st.lists(st.text("aé&=+ <b", min_size=1).filter(str.strip), unique=True, max_size=3).map(
        tuple
    ),
    categories=st.lists(st.sampled_from(["Kettles", "Sofas / Beds", "#?%"]), unique=True).map(
        tuple
    ),
    price_min=st.none() | st.integers(0, 50_00).map(lambda cents: cents / 100),
    price_max=st.none() | st.integers(50_00, 900_00).map(lambda cents: cents / 100),
)
REQUESTS = st.builds(
    PageRequest,
    query=st.text(max_size=60).map(lambda text: " ".join(text.split())),
    page=st.integers(1, 10),
    sort=st.sampled_from(list(SORTS)),
    stage=st.sampled_from(["rerank", "retrieve"]),
    view=st.sampled_from(["list", "compare"]),
    department=st.sampled_from(["", "Kitchen", "Home & Garden"]),
    filters=FILTERS,
)


def hit(id: str, rank: int = 1, first_rank: int = 1, score: float = 0.5) -> Ranked:
    return Ranked(id, first_rank - 1, rank, score, 0.0, first_rank, 0.02, "bert-bilstm")


def product(id: str = "p", **fields: Any) -> Product:
    return Product(**{"id": id, "title": f"Product {id}", **fields})


def read(query: str) -> PageRequest:
    return parse_request(parse_qs(query, keep_blank_values=True), ["Kitchen", "Home & Garden"])


@given(REQUESTS)
def test_an_address_says_all_that_the_request_holds(request: PageRequest) -> None:
    again = read(request.href(page=request.page).partition("?")[2])
    assert again == request


@given(
    st.dictionaries(
        st.sampled_from(["q", "page", "size", "sort", "stage", "view", "price_min", "brand", "x"]),
        st.lists(st.text(max_size=30) | st.sampled_from(["1e9", "-1", "nan", "٣", "0x10"])),
    )
)
def test_no_address_is_too_odd_to_read(args: dict[str, list[str]]) -> None:
    request = parse_request(args)
    assert 1 <= request.size <= 100
    assert 1 <= request.page <= math.ceil(DEPTH / request.size)
    assert request.sort in SORTS
    assert request.filters.price_min is None or math.isfinite(request.filters.price_min)


@pytest.mark.parametrize(
    ("query", "parameter", "field", "used"),
    [
        ("page=abc", "page", "page", 1),
        ("page=-1", "page", "page", 1),
        ("page=0", "page", "page", 1),
        ("page=99999999999999999999", "page", "page", 10),
        ("page=1.5", "page", "page", 1),
        ("page=٣", "page", "page", 1),
        ("size=1000000000", "size", "size", 100),
        ("size=1e9", "size", "size", 24),
        ("sort=xxx", "sort", "sort", "best"),
        ("stage=guess", "stage", "stage", "rerank"),
        ("view=3d", "view", "view", "list"),
        ("department=Moon", "department", "department", ""),
        ("price_min=foo", "price_min", "filters", Filters()),
        ("price_min=-3", "price_min", "filters", Filters()),
        ("price_max=nan", "price_max", "filters", Filters()),
        ("price_max=inf", "price_max", "filters", Filters()),
        ("price_min=9&price_max=2", "price_min", "filters", Filters(price_min=2, price_max=9)),
        ("q=" + "a" * 400, "q", "query", "a" * 300),
    ],
)
def test_a_bad_value_falls_back_and_leaves_a_notice(
    query: str, parameter: str, field: str, used: object
) -> None:
    request = read(query)
    assert [problem.parameter for problem in request.problems] == [parameter]
    assert "expected" in str(request.problems[0])
    assert getattr(request, field) == used


@pytest.mark.parametrize("query", ["", "page=&price_min=&sort=&brand=", "q=+++", "utm_source=mail"])
def test_empty_arguments_are_as_good_as_none(query: str) -> None:
    request = read(query)
    assert request == PageRequest()
    assert request.is_home


def test_arguments_that_nothing_reads_are_named_with_those_that_are() -> None:
    (problem,) = unknown_arguments({"q": ["tea"], "categry": ["Kettles"]})
    assert problem.parameter == "categry"
    assert "category" in problem.expected


def test_another_filter_starts_at_the_first_page() -> None:
    assert "page" not in PageRequest(query="tea", page=4).href(sort="rating")


def test_the_form_of_filters_carries_what_it_does_not_ask() -> None:
    request = read("q=tea&brand=A&sort=rating&view=compare&page=2&price_min=3")
    assert request.unfiltered_arguments() == [("q", "tea"), ("sort", "rating"), ("view", "compare")]
    assert ("sort", "rating") not in replace(request, view="list").unfiltered_arguments()


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
def test_prices_are_written_as_shops_write_them(
    price: float | None, currency: str, text: str
) -> None:
    assert view.price_text(price, currency) == text


@pytest.mark.parametrize(
    ("extra", "rating"),
    [
        ({"rating": 4.3, "rating_count": 12}, view.Rating(4.3, 12)),
        ({"rating": "4.3", "rating_count": "12"}, view.Rating(4.3, 12)),
        ({"rating": 5}, view.Rating(5.0, None)),
        ({"rating": 87}, None),
        ({"rating": "good"}, None),
        ({"rating": True}, None),
        ({"rating": [4]}, None),
        ({}, None),
    ],
)
def test_ratings_are_shown_where_they_are_ratings(
    extra: dict[str, Any], rating: view.Rating | None
) -> None:
    assert view.rating_of(product(extra=extra)) == rating


def test_a_product_of_nothing_but_a_title_makes_a_card() -> None:
    card = view.product_card(Product(id="1", title="Hammer"))
    assert (card.title, card.brand, card.price, card.rating) == ("Hammer", "", "", None)


def test_attributes_read_as_people_write_them() -> None:
    attributes = {
        "capacity_ml": 1700,
        "wireless": True,
        "hooded": False,
        "weight_g": 2.5,
        "t_type": "Notebook",
        "m": 3,
        "blank": " ",
    }
    assert view.attribute_rows(product(attributes=attributes)) == (
        ("Capacity", "1700 ml"),
        ("Wireless", "Yes"),
        ("Hooded", "No"),
        ("Weight", "2.5 g"),
        ("T type", "Notebook"),
        ("M", "3"),
    )


@pytest.mark.parametrize(
    ("first", "final", "kind", "places"),
    [
        (3, 3, "same", 0),
        (9, 2, "up", 7),
        (2, 3, "down", 1),
        (37, 2, "new", 35),
        (20, 21, "out", 1),
        (21, 20, "new", 1),
    ],
)
def test_moves_between_the_orders(first: int, final: int, kind: str, places: int) -> None:
    moved = move(first, final, shown=20)
    assert (moved.kind, moved.places) == (kind, places)
    assert kind == "same" or str(places) in moved.label


@given(st.permutations(range(1, 31)))
def test_both_orders_hold_the_first_rows_of_the_same_list(firsts: list[int]) -> None:
    hits = [hit(f"p{first}", rank, first) for rank, first in enumerate(firsts, start=1)]
    products = {each.id: product(each.id) for each in compared_hits(hits, 20)}
    compared = compare(hits, products, 20)
    assert [row.place for row in compared.first] == list(range(1, 21))
    assert [row.place for row in compared.final] == list(range(1, 21))
    assert [row.product.id for row in compared.first] == [f"p{place}" for place in range(1, 21)]
    # As many come into the shown rows as leave them.
    out = sum(row.move.kind == "out" for row in compared.first)
    assert compared.entered == out == sum(row.move.kind == "new" for row in compared.final)


@given(
    st.dictionaries(st.sampled_from(["lexical", "dense", "bert2dnn", "total"]), st.floats(0, 1e4))
)
def test_the_time_bar_never_overflows(times_ms: dict[str, float]) -> None:
    bar = times(times_ms)
    assert sum(segment.width for segment in bar.segments) <= 100.1
    assert [segment.name for segment in bar.segments] == [n for n in times_ms if n != "total"]


def test_times_are_told_as_two_steps_and_a_whole() -> None:
    told = times({"lexical": 2.0, "dense": 1.1, "bert2dnn": 0.8, "bert-bilstm": 1.0, "total": 5.2})
    assert told.sentence == "retrieved in 3.1 ms · reranked in 1.8 ms"
    assert told.total == "5.2 ms"
    assert times({"lexical": 2.0, "total": 2.5}).sentence == "retrieved in 2.0 ms"


@pytest.mark.parametrize(("ms", "text"), [(0.314, "0.31 ms"), (3.14, "3.1 ms"), (31.4, "31 ms")])
def test_milliseconds_keep_the_digits_that_say_something(ms: float, text: str) -> None:
    assert ms_text(ms) == text


@given(total=st.integers(0, 5000), page=st.integers(1, 10), size=st.integers(1, 100))
def test_pages_hold_every_result_once(total: int, page: int, size: int) -> None:
    within = min(total, DEPTH)
    pager = view.pager(PageRequest(query="tea", page=page, size=size), total)
    assert 1 <= pager.page <= pager.pages
    assert pager.first - 1 == (min(pager.page - 1, within) * size if within else -1)
    assert pager.last <= within
    assert (pager.page == pager.pages) == (pager.last == within)
    numbers = [link.number for link in pager.links if link.number is not None]
    assert numbers == sorted(set(numbers))
    assert not numbers or (numbers[0], numbers[-1]) == (1, pager.pages)
    assert sum(link.current for link in pager.links) == (1 if numbers else 0)


def test_a_pager_leaves_out_far_pages_but_never_one_alone() -> None:
    def shown(page: int) -> list[int | None]:
        return [link.number for link in view.pager(PageRequest(page=page), 240).links]

    assert shown(1) == [1, 2, None, 10]
    assert shown(4) == [1, 2, 3, 4, 5, None, 10]
    assert shown(5) == [1, None, 4, 5, 6, None, 10]


def test_sorting_keeps_relevance_among_equals_and_puts_the_unknown_last() -> None:
    products = {
        each.id: each
        for each in (
            product("a", price=5.0, extra={"rating": 4.0, "rating_count": 3}),
            product("b"),
            product("c", price=2.0, extra={"rating": 4.0, "rating_count": 9}),
            product("d", price=5.0, extra={"rating": 4.5}),
        )
    }
    hits = [hit(id, rank) for rank, id in enumerate("abcd", start=1)]

    def order(sort: str) -> str:
        return "".join(each.id for each in view.in_order(hits, products, sort))

    assert {sort: order(sort) for sort in SORTS} == {
        "best": "abcd",
        "price-asc": "cadb",
        "price-desc": "adcb",
        "rating": "dcab",
    }


def test_other_orders_are_among_good_hits_only() -> None:
    scores = (0.8, 0.7, 0.41, 0.2, 0.6)
    hits = [hit(str(rank), rank, score=score) for rank, score in enumerate(scores, start=1)]
    assert [each.id for each in view.good_hits(hits)] == ["1", "2", "3", "5"]
    assert view.good_hits([]) == ()


@pytest.mark.parametrize(
    ("query", "score", "stage", "fit"),
    [
        ("oak desk", 0.1, "rerank", "good"),
        ("OAK", 0.1, "rerank", "good"),
        ("desks", 0.1, "rerank", "good"),
        ("desk/table", 0.1, "rerank", "good"),
        ("dessk", 0.6, "rerank", "nearest"),
        ("dessk", 0.1, "retrieve", "nearest"),
        ("zzz", 0.1, "rerank", "hopeless"),
        ("!!!", 0.9, "rerank", "hopeless"),
        ("", 0.0, "rerank", "good"),
    ],
)
def test_how_well_results_fit_a_query(query: str, score: float, stage: str, fit: str) -> None:
    result = SearchResult(query, (hit("a", score=score),), 1, {}, "embedded")
    asked = PageRequest(query=query, stage=stage)
    desks = [product(title="Standing Desk, Oak")]
    assert view.fit(asked, result, desks) == fit
    ticked = replace(asked, filters=Filters(brands=("Acme",)))
    assert view.fit(ticked, result, desks) == fit.replace("hopeless", "nearest")


def test_sorts_that_mean_nothing_are_not_offered() -> None:
    unrated = [view.product_card(product())]
    assert list(view.sort_choices(PageRequest(), Facets(), unrated)) == ["best"]
    priced = Facets(price_min=1.0, price_max=2.0)
    rated = [view.product_card(product(extra={"rating": 4}))]
    assert list(view.sort_choices(PageRequest(), priced, rated)) == list(SORTS)


def test_ticked_values_always_show_so_that_they_can_be_unticked() -> None:
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
    best = [product("a", category="Kettles"), *[product("b", category="Hair Care")] * 2]
    (categories,) = facet_groups(Facets(categories=counts), Filters(), best)
    assert [value.value for value in categories.values] == ["Kettles", "Hair Care"]
    (inside,) = facet_groups(Facets(categories=counts), Filters(), best, ["Hair Care"])
    assert [value.value for value in inside.values] == ["Hair Care"]


def test_each_chip_takes_off_one_filter() -> None:
    request = read("q=tea&department=Kitchen&brand=A&brand=B&category=C&price_min=2&price_max=9.5")
    taken = {chip.label: read(chip.href.partition("?")[2]) for chip in chips(request, "EUR")}
    assert list(taken) == ["Kitchen", "C", "A", "B", "€2.00 to €9.50"]
    assert taken["Kitchen"] == replace(request, department="")
    assert taken["A"].filters == replace(request.filters, brands=("B",))
    assert taken["€2.00 to €9.50"].filters.price_max is None


def test_a_catalog_without_prices_has_no_price_fields() -> None:
    assert price_range(Filters(), Facets(), "") is None
    shown = price_range(Filters(price_min=2.0), Facets(price_min=1.5, price_max=30), "USD")
    assert shown is not None
    assert (shown.span, shown.low, shown.high) == ("$1.50 – $30.00", "2", "")


def test_departments_gather_categories_the_largest_first() -> None:
    windows = [
        (FacetValue("Kettles", 5), product("k", extra={"department": "Kitchen"})),
        (FacetValue("Desks", 6), product("d")),
        (FacetValue("Pans", 4), product("p", extra={"department": "Kitchen"})),
    ]
    assert departments(windows) == (
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
