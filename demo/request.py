"""Page: what the address asks for. Request arguments become a `PageRequest` or a list of problems.

Pure: no Flask, no I/O. A bad value never stops a page: it falls back and leaves a `Problem`, which
the page shows as a small notice and the JSON interface turns into status 400.
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
# Shoppers do not turn the eleventh page, and a sort by price must stay among good matches:
# pages and sorts work inside the best DEPTH results.
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
    """One argument that could not be used as it came, and what was done instead."""

    parameter: str
    value: str
    expected: str
    used: str

    def __str__(self) -> str:
        return f"{self.parameter} is {self.value!r}; expected {self.expected}"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Everything that the address says, checked. `href` gives the address of a neighbour."""

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
        """Nothing to search for and nothing picked to browse: the home page.

        A price by itself picks nothing.
        """
        return not (self.query or self.department or self.filters.categories or self.filters.brands)

    def arguments(self) -> list[tuple[str, str]]:
        """The address's arguments, defaults left out, in a fixed order."""
        defaults = PageRequest()
        named: list[tuple[str, Any, Any]] = [
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
        ticked = [
            *(("category", category) for category in self.filters.categories),
            *(("brand", brand) for brand in self.filters.brands),
        ]
        plain = [(name, _plain(value)) for name, value, default in named if value != default]
        return [*plain, *ticked]

    def unfiltered_arguments(self) -> list[tuple[str, str]]:
        """What the form of filters must carry along: all that is not a field of its own."""
        fields = {"brand", "category", "price_min", "price_max", "page"}
        if self.view == "list":  # where the form holds the choice of order, too
            fields.add("sort")
        return [(name, value) for name, value in self.arguments() if name not in fields]

    def href(self, **changes: Any) -> str:
        """A relative address with `changes` made; any change but of the page starts at page 1."""
        if "page" not in changes:
            changes["page"] = 1
        query = urlencode(replace(self, problems=(), **changes).arguments())
        return f"?{query}" if query else "."


def parse_request(args: Args, departments: Sequence[str] = ()) -> PageRequest:
    """Check the arguments of an address. Never raises: see `PageRequest.problems`.

    `departments` are the names that the shop has.
    """
    problems: list[Problem] = []
    price_min = _price(args, "price_min", problems)
    price_max = _price(args, "price_max", problems)
    if price_min is not None and price_max is not None and price_min > price_max:
        problems.append(
            Problem(
                "price_min",
                _plain(price_min),
                f"a price up to price_max ({_plain(price_max)})",
                "the two were swapped",
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
    """Arguments that nothing reads: the JSON interface refuses them, since a misspelt filter
    that is silently dropped looks like an answer. A page ignores them (trackers add their own).
    """
    return tuple(
        Problem(name[:60], _shown(values), f"one of the arguments {', '.join(PARAMETERS)}", "")
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
            f"{query[:40]}…",
            f"at most {MAX_QUERY_CHARACTERS} characters",
            f"searching for the first {MAX_QUERY_CHARACTERS}",
        )
    )
    return query[:MAX_QUERY_CHARACTERS].rstrip()


def _whole(args: Args, name: str, default: int, most: int, problems: list[Problem]) -> int:
    value = _text(args, name)
    if not value:
        return default
    # The length is checked first: int() of a million digits would take its time.
    if value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= most:
        return int(value)
    # A number that is only too large means the far end, not the beginning.
    used = most if value.isascii() and value.isdecimal() and value.strip("0") else default
    problems.append(
        Problem(name, _shown([value]), f"a whole number from 1 to {most}", f"showing {name} {used}")
    )
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
        Problem(name, _shown([value]), "a price from 0, such as 19.99", "showing all prices")
    )
    return None


def _choice(args: Args, name: str, choices: tuple[str, ...], problems: list[Problem]) -> str:
    value = _text(args, name)
    if not value:
        return choices[0]
    if value in choices:
        return value
    known = ", ".join(filter(None, choices)) or "none: there are none here"
    used = f"showing {choices[0] or 'all'}"
    problems.append(Problem(name, _shown([value]), f"one of {known}", used))
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
    """The first value of an argument, without blanks around it; empty where it is missing."""
    values = args.get(name, ())
    return values[0].strip() if values else ""


def _shown(values: Sequence[str]) -> str:
    """A value as a notice repeats it: cut, so that a notice stays a line."""
    value = values[0] if values else ""
    return value if len(value) <= 40 else f"{value[:40]}…"


def _plain(value: Any) -> str:
    """A number as a person would type it: 20 and 19.99, not 20.0 and 1.999e+01."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
