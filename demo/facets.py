"""Page: facets and filters: the values to select, and those already selected. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from demo.page_request import PageRequest
from demo.product_view import price_text
from qtr_rerank.records import Facets, FacetValue, Filters, Product

# How many values a facet shows before "more".
FACET_VALUES = 8


@dataclass(frozen=True, slots=True)
class FacetGroup:
    """A facet's values: those shown at once, and those behind "more"."""

    parameter: str
    label: str
    values: tuple[FacetValue, ...]
    more: tuple[FacetValue, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceRange:
    """The two price fields, and the lowest and highest candidate price as text (`span`)."""

    span: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter, and the address without it."""

    label: str
    href: str


def facet_groups(
    facets: Facets,
    filters: Filters,
    best: Sequence[Product] = (),
    categories: Sequence[str] | None = None,
) -> tuple[FacetGroup, ...]:
    """Category and brand values with their counts. Selected values always show.

    Values of the `best` products come first, weighted by rank: the most frequent value among all
    candidates is often not what the query is about. `categories` limits the category facet to
    those of a department.
    """
    in_department = [v for v in facets.categories if categories is None or v.value in categories]
    best_categories = [product.category for product in best]
    best_brands = [product.brand for product in best]
    groups = (
        _facet_group("category", "Category", in_department, filters.categories, best_categories),
        _facet_group("brand", "Brand", facets.brands, filters.brands, best_brands),
    )
    return tuple(group for group in groups if group.values)


def _facet_group(
    parameter: str,
    label: str,
    values: Sequence[FacetValue],
    selected: Sequence[str],
    best: Sequence[str],
) -> FacetGroup:
    counts = {value.value: value.count for value in values if value.value and value.count}
    weights = dict.fromkeys(counts, 0.0)
    for rank, name in enumerate(best, start=1):
        if name in weights:
            weights[name] += 1 / rank
    by_weight = sorted(counts, key=lambda name: -weights[name])
    names = [*selected, *(name for name in by_weight if name not in selected)]
    all_values = tuple(FacetValue(name, counts.get(name, 0), name in selected) for name in names)
    cut = max(FACET_VALUES, len(selected))
    if len(all_values) <= cut + 1:  # "1 more" takes as much room as the value itself
        cut = len(all_values)
    return FacetGroup(parameter, label, all_values[:cut], all_values[cut:])


def price_range(filters: Filters, facets: Facets, currency: str) -> PriceRange | None:
    """The price fields; None for a catalog without prices."""
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
    """One chip for each active filter."""
    filters = request.filters
    active = [Chip(request.department, request.href(department=""))] if request.department else []
    for name in filters.categories:
        others = replace(filters, categories=_without(filters.categories, name))
        active.append(Chip(name, request.href(filters=others)))
    for name in filters.brands:
        others = replace(filters, brands=_without(filters.brands, name))
        active.append(Chip(name, request.href(filters=others)))
    if filters.price_min is not None or filters.price_max is not None:
        low = price_text(filters.price_min, currency)
        high = price_text(filters.price_max, currency)
        label = f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}"
        any_price = replace(filters, price_min=None, price_max=None)
        active.append(Chip(label, request.href(filters=any_price)))
    return tuple(active)


def _without(values: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(value for value in values if value != name)
