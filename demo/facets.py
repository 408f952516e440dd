"""Page: facets and filters, what can be ticked and what is ticked. Pure: no Flask, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from demo.request import PageRequest
from demo.view import price_text
from qtr_rerank.records import Facets, FacetValue, Filters, Product

# How many values a facet shows before "more".
FACET_VALUES = 8


@dataclass(frozen=True, slots=True)
class FacetGroup:
    """A facet's values: the first few, and those behind "more"."""

    parameter: str
    label: str
    values: tuple[FacetValue, ...]
    more: tuple[FacetValue, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceRange:
    """The price fields: what was typed, and the cheapest and dearest candidate in words."""

    span: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, and the address without it."""

    label: str
    href: str


def facet_groups(
    facets: Facets,
    filters: Filters,
    best: Sequence[Product] = (),
    categories: Sequence[str] | None = None,
) -> tuple[FacetGroup, ...]:
    """Category and brand with their counts. What is ticked always shows, so it can be unticked.

    Values of the `best` products come first, by how high those stand: what is most frequent among
    all that was found need not be what was looked for. `categories` keeps that facet to those of a
    department.
    """
    inside = [v for v in facets.categories if categories is None or v.value in categories]
    groups = (
        _facet_group(
            "category", "Category", inside, filters.categories, [each.category for each in best]
        ),
        _facet_group(
            "brand", "Brand", facets.brands, filters.brands, [each.brand for each in best]
        ),
    )
    return tuple(group for group in groups if group.values)


def _facet_group(
    parameter: str,
    label: str,
    values: Sequence[FacetValue],
    ticked: Sequence[str],
    best: Sequence[str],
) -> FacetGroup:
    counted = {value.value: value.count for value in values if value.value and value.count}
    fit = dict.fromkeys(counted, 0.0)
    for rank, name in enumerate(best, start=1):
        if name in fit:
            fit[name] += 1 / rank
    by_fit = sorted(counted, key=lambda name: -fit[name])
    names = [*ticked, *(name for name in by_fit if name not in ticked)]
    shown = tuple(FacetValue(name, counted.get(name, 0), name in ticked) for name in names)
    cut = max(FACET_VALUES, len(ticked))
    if len(shown) <= cut + 1:  # "1 more" would take the room of the value itself
        cut = len(shown)
    return FacetGroup(parameter, label, shown[:cut], shown[cut:])


def price_range(filters: Filters, facets: Facets, currency: str) -> PriceRange | None:
    """The price fields, None in a catalog without prices."""
    low, high = filters.price_min, filters.price_max
    if facets.price_min is None and facets.price_max is None and low is None and high is None:
        return None
    ends = (price_text(facets.price_min, currency), price_text(facets.price_max, currency))
    return PriceRange(
        span=" – ".join(filter(None, ends)),
        low="" if low is None else f"{low:.10g}",
        high="" if high is None else f"{high:.10g}",
    )


def chips(request: PageRequest, currency: str = "") -> tuple[Chip, ...]:
    """One chip a filter that is on."""
    filters = request.filters
    found = [Chip(request.department, request.href(department=""))] if request.department else []
    for name in filters.categories:
        rest = replace(filters, categories=_without(filters.categories, name))
        found.append(Chip(name, request.href(filters=rest)))
    for name in filters.brands:
        rest = replace(filters, brands=_without(filters.brands, name))
        found.append(Chip(name, request.href(filters=rest)))
    if filters.price_min is not None or filters.price_max is not None:
        low = price_text(filters.price_min, currency)
        high = price_text(filters.price_max, currency)
        label = f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}"
        unpriced = replace(filters, price_min=None, price_max=None)
        found.append(Chip(label, request.href(filters=unpriced)))
    return tuple(found)


def _without(values: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(value for value in values if value != name)
