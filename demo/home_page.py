"""Page: the home page's departments and suggested searches. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qtr_rerank.records import FacetValue, Product


@dataclass(frozen=True, slots=True)
class Department:
    """Some of the catalog's categories, with the product whose picture the home page shows."""

    name: str
    categories: tuple[str, ...]
    count: int
    product_id: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A search to try, and in a few words what makes it hard."""

    query: str
    kind: str = ""


# One for each hard kind of the sample shop's judged queries.
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


def departments(categories: Iterable[tuple[FacetValue, Product]]) -> tuple[Department, ...]:
    """Departments, largest first, from categories that each come with one of their products.

    A product names its department in its extra fields. Without that field, a category is a
    department of its own.
    """
    by_name: dict[str, list[tuple[FacetValue, Product]]] = {}
    for category, product in categories:
        name = str(product.extra.get("department") or category.value)
        by_name.setdefault(name, []).append((category, product))
    grouped = [
        Department(
            name,
            categories=tuple(category.value for category, _ in members),
            count=sum(category.count for category, _ in members),
            product_id=members[0][1].id,
        )
        for name, members in by_name.items()
    ]
    return tuple(sorted(grouped, key=lambda department: -department.count))


def suggestions(departments: Sequence[Department], brands: Sequence[str]) -> tuple[Suggestion, ...]:
    """Searches to try: the sample shop's hard queries if this is that shop, else brands."""
    names = {department.name for department in departments}
    if names.issuperset(_SAMPLE_DEPARTMENTS):
        return SAMPLE_SUGGESTIONS
    return tuple(Suggestion(brand, "brand") for brand in brands[:8])
