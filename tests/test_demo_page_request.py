"""Arguments of the shop's addresses: parsing, checking, and writing them back."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.page_request import DEPTH, SORTS, PageRequest, parse_request, unknown_arguments
from qtr_rerank.records import Filters
from tests.demo_fixtures import parse_address

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


@given(REQUESTS)
def test_an_address_holds_the_whole_request(request: PageRequest) -> None:
    again = parse_address(request.href(page=request.page).partition("?")[2])
    assert again == request


@given(
    st.dictionaries(
        st.sampled_from(["q", "page", "size", "sort", "stage", "view", "price_min", "brand", "x"]),
        st.lists(st.text(max_size=30) | st.sampled_from(["1e9", "-1", "nan", "٣", "0x10"])),
    )
)
def test_any_arguments_can_be_parsed(args: dict[str, list[str]]) -> None:
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
def test_an_invalid_value_is_replaced_and_reported(
    query: str, parameter: str, field: str, used: object
) -> None:
    request = parse_address(query)
    assert [problem.parameter for problem in request.problems] == [parameter]
    assert "expected" in str(request.problems[0])
    assert getattr(request, field) == used


@pytest.mark.parametrize("query", ["", "page=&price_min=&sort=&brand=", "q=+++", "utm_source=mail"])
def test_empty_arguments_are_ignored(query: str) -> None:
    request = parse_address(query)
    assert request == PageRequest()
    assert request.is_home


def test_unknown_arguments_are_reported_with_the_known_ones() -> None:
    (problem,) = unknown_arguments({"q": ["tea"], "categry": ["Kettles"]})
    assert problem.parameter == "categry"
    assert "category" in problem.expected


def test_a_changed_sort_starts_at_the_first_page() -> None:
    assert "page" not in PageRequest(query="tea", page=4).href(sort="rating")


def test_the_filter_form_has_the_other_arguments_as_hidden_fields() -> None:
    request = parse_address("q=tea&brand=A&sort=rating&view=compare&page=2&price_min=3")
    assert request.hidden_fields() == [("q", "tea"), ("sort", "rating"), ("view", "compare")]
    assert ("sort", "rating") not in replace(request, view="list").hidden_fields()
