"""Page: the shop window: departments, and searches for a newcomer to try. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qtr_rerank.records import FacetValue, Product


@dataclass(frozen=True, slots=True)
class Department:
    """A part of the shop: the categories in it, and a product that stands in its window."""

    name: str
    categories: tuple[str, ...]
    count: int
    product_id: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A search to try, and in two or three words what is hard about it."""

    query: str
    kind: str = ""


# One of each hard kind of the sample shop's judged queries.
SAMPLE_SUGGESTIONS = (
    Suggestion("headfones", "misspelt"),
    Suggestion("2000 ml kettle", "another unit than the label’s"),
    Suggestion("lemonade without sugar", "without something"),
    Suggestion("phone", "not its accessories"),
    Suggestion("case for Veltora V9", "an accessory of one model"),
    Suggestion("couch", "another word for it"),
    Suggestion("teal running shoes", "a colour"),
    Suggestion("4 person tent", "a size"),
    Suggestion("nordwerk toaster", "brand and kind"),
    Suggestion("men's waterproof grey hiking boots size 10", "all at once"),
)
_SAMPLE_DEPARTMENTS = ("Audio", "Kitchen", "Grocery & Drinks", "Phones & Accessories", "Shoes")


def departments(windows: Iterable[tuple[FacetValue, Product]]) -> tuple[Department, ...]:
    """Categories, each with a product of it, as departments, the largest first.

    Products name their department in their extra fields; where none does, a category is one.
    """
    grouped: dict[str, list[tuple[FacetValue, Product]]] = {}
    for category, product in windows:
        name = str(product.extra.get("department") or category.value)
        grouped.setdefault(name, []).append((category, product))
    found = [
        Department(
            name,
            categories=tuple(category.value for category, _ in members),
            count=sum(category.count for category, _ in members),
            product_id=members[0][1].id,
        )
        for name, members in grouped.items()
    ]
    return tuple(sorted(found, key=lambda department: -department.count))


def suggestions(departments: Sequence[Department], brands: Sequence[str]) -> tuple[Suggestion, ...]:
    """Searches to try: the sample shop's hard ones where its departments are, else brands."""
    names = {department.name for department in departments}
    if names.issuperset(_SAMPLE_DEPARTMENTS):
        return SAMPLE_SUGGESTIONS
    return tuple(Suggestion(brand, "brand") for brand in brands[:8])
