"""Page: the arguments of an address, parsed and checked into a `PageRequest`.

Pure: no Flask, no I/O. An invalid value never fails a page: a default replaces it and a `Problem`
records it. The page shows problems as a notice; /api/search returns them with status 400.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

from qtr_rerank.records import Filters

SORTS = {
    "best": "Best match",
    "price-asc": "Price, low to high",
    "price-desc": "Price, high to low",
    "rating": "Customer rating",
}
STAGES = ("rerank", "retrieve")
VIEWS = ("list", "compare")

PAGE_SIZE = 24
MAX_PAGE_SIZE = 100
# Pages and sorts cover the best DEPTH results: shoppers do not open an eleventh page, and a sort by
# price must stay among good matches.
DEPTH = 240
MAX_QUERY_CHARACTERS = 300
MAX_SELECTED = 50
MAX_PRICE = 1e9

PARAMETERS = (
    *("q", "page", "size", "sort", "stage", "view"),
    *("department", "brand", "category", "price_min", "price_max"),
)

Args = Mapping[str, Sequence[str]]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Problem:
    """An argument with an invalid value, what is expected, and what the page used instead."""

    parameter: str
    value: str
    expected: str
    used: str

    def __str__(self) -> str:
        return f"{self.parameter} is {self.value!r}; expected {self.expected}"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """All arguments of an address, checked. `href` gives the address of a related page."""

    query: str = ""
    page: int = 1
    size: int = PAGE_SIZE
    sort: str = "best"
    stage: str = "rerank"
    view: str = "list"
    department: str = ""
    filters: Filters = field(default_factory=Filters)
    problems: tuple[Problem, ...] = ()

    @property
    def is_home(self) -> bool:
        """Whether the home page is shown: no query, department, category or brand.

        A price alone does not select products.
        """
        return not (self.query or self.department or self.filters.categories or self.filters.brands)

    def arguments(self) -> list[tuple[str, str]]:
        """The arguments of this request's address, without defaults, in a fixed order."""
        defaults = PageRequest()
        single: list[tuple[str, Any, Any]] = [
            ("q", self.query, ""),
            ("department", self.department, ""),
            ("sort", self.sort, defaults.sort),
            ("stage", self.stage, defaults.stage),
            ("view", self.view, defaults.view),
            ("size", self.size, defaults.size),
            ("price_min", self.filters.price_min, None),
            ("price_max", self.filters.price_max, None),
            ("page", self.page, defaults.page),
        ]
        repeated = [
            *(("category", category) for category in self.filters.categories),
            *(("brand", brand) for brand in self.filters.brands),
        ]
        changed = [
            (name, _number_text(value)) for name, value, default in single if value != default
        ]
        return [*changed, *repeated]

    def hidden_fields(self) -> list[tuple[str, str]]:
        """The hidden fields of the filter form: every argument that is not one of its inputs."""
        fields = {"brand", "category", "price_min", "price_max", "page"}
        if self.view == "list":  # the sort menu is part of the form
            fields.add("sort")
        return [(name, value) for name, value in self.arguments() if name not in fields]

    def href(self, **changes: Any) -> str:
        """A relative address with `changes` applied; starts at page 1 unless they set a page."""
        if "page" not in changes:
            changes["page"] = 1
        query = urlencode(replace(self, problems=(), **changes).arguments())
        return f"?{query}" if query else "."


def parse_request(args: Args, departments: Sequence[str] = ()) -> PageRequest:
    """Parse and check the arguments of an address. Never raises: see `PageRequest.problems`.

    `departments` are the names of the shop's departments.
    """
    problems: list[Problem] = []
    price_min = _price(args, "price_min", problems)
    price_max = _price(args, "price_max", problems)
    if price_min is not None and price_max is not None and price_min > price_max:
        problems.append(
            Problem(
                "price_min",
                _number_text(price_min),
                f"a price up to price_max ({_number_text(price_max)})",
                "the two are swapped",
            )
        )
        price_min, price_max = price_max, price_min
    size = _whole(args, "size", PAGE_SIZE, MAX_PAGE_SIZE, problems)
    return PageRequest(
        query=_query(args, problems),
        size=size,
        page=_whole(args, "page", 1, -(-DEPTH // size), problems),
        sort=_choice(args, "sort", tuple(SORTS), problems),
        stage=_choice(args, "stage", STAGES, problems),
        view=_choice(args, "view", VIEWS, problems),
        department=_choice(args, "department", ("", *departments), problems),
        filters=Filters(
            brands=_selected(args, "brand", problems),
            categories=_selected(args, "category", problems),
            price_min=price_min,
            price_max=price_max,
        ),
        problems=tuple(problems),
    )


def unknown_arguments(args: Args) -> tuple[Problem, ...]:
    """Arguments that the shop does not know.

    /api/search rejects them: dropping a misspelt filter silently would return wrong results.
    Pages ignore them, because trackers add their own.
    """
    return tuple(
        Problem(name[:60], _first(values), f"one of the arguments {', '.join(PARAMETERS)}", "")
        for name, values in args.items()
        if name not in PARAMETERS
    )


def _query(args: Args, problems: list[Problem]) -> str:
    query = " ".join(_text(args, "q").split())
    if len(query) <= MAX_QUERY_CHARACTERS:
        return query
    problems.append(
        Problem(
            "q",
            shortened(query),
            f"at most {MAX_QUERY_CHARACTERS} characters",
            f"searching for the first {MAX_QUERY_CHARACTERS}",
        )
    )
    return query[:MAX_QUERY_CHARACTERS].rstrip()


def _whole(args: Args, name: str, default: int, most: int, problems: list[Problem]) -> int:
    value = _text(args, name)
    if not value:
        return default
    # The length is checked first: int() of a million digits is slow.
    if value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= most:
        return int(value)
    # A number that is too large means the last value, not the first.
    used = most if value.isascii() and value.isdecimal() and value.strip("0") else default
    expected = f"a whole number from 1 to {most}"
    problems.append(Problem(name, shortened(value), expected, f"showing {name} {used}"))
    return used


def _price(args: Args, name: str, problems: list[Problem]) -> float | None:
    value = _text(args, name)
    if not value:
        return None
    try:
        price = float(value) if len(value) <= 20 else math.nan
    except ValueError:
        price = math.nan
    if 0 <= price <= MAX_PRICE:
        return price
    problems.append(
        Problem(name, shortened(value), "a price from 0, such as 19.99", "showing all prices")
    )
    return None


def _choice(args: Args, name: str, choices: tuple[str, ...], problems: list[Problem]) -> str:
    value = _text(args, name)
    if not value:
        return choices[0]
    if value in choices:
        return value
    known = ", ".join(filter(None, choices)) or "none: this shop has none"
    used = f"showing {choices[0] or 'all'}"
    problems.append(Problem(name, shortened(value), f"one of {known}", used))
    return choices[0]


def _selected(args: Args, name: str, problems: list[Problem]) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(value for value in args.get(name, ()) if value.strip()))
    if len(values) > MAX_SELECTED:
        problems.append(
            Problem(
                name,
                f"{len(values)} values",
                f"at most {MAX_SELECTED} values",
                f"using the first {MAX_SELECTED}",
            )
        )
    return values[:MAX_SELECTED]


def _text(args: Args, name: str) -> str:
    """The first value of an argument, stripped; empty if the argument is missing."""
    values = args.get(name, ())
    return values[0].strip() if values else ""


def _first(values: Sequence[str]) -> str:
    return shortened(values[0]) if values else ""


def shortened(value: str) -> str:
    """A value of the request for a message: cut, so that the message stays one line."""
    return value if len(value) <= 40 else f"{value[:40]}…"


def _number_text(value: Any) -> str:
    """A number as a person types it: 20 and 19.99, not 20.0 and 1.999e+01."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
