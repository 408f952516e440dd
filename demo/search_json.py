"""Page: the JSON response of /api/search. Pure: plain JSON types, no Flask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from demo.page_request import PageRequest
from qtr_rerank.records import Facets, FacetValue, Product, Ranked, SearchResult


def result_json(
    request: PageRequest,
    result: SearchResult,
    hits: Sequence[Ranked],
    products: Mapping[str, Product],
    facets: Facets,
) -> dict[str, Any]:
    """The response to one request; `hits` are those of the requested page."""
    return {
        "query": result.query,
        "total": result.candidates,
        "page": request.page,
        "size": request.size,
        "sort": request.sort,
        "stage": request.stage,
        "hits": [hit_json(hit, products[hit.id]) for hit in hits],
        "facets": facets_json(facets),
        "times_ms": dict(result.times_ms),
        "engine": result.engine,
        "degraded": result.degraded,
    }


def hit_json(hit: Ranked, product: Product) -> dict[str, Any]:
    """One hit with its product's main fields."""
    return {
        "id": hit.id,
        "title": product.title,
        "brand": product.brand,
        "category": product.category,
        "price": product.price,
        "currency": str(product.extra.get("currency") or "") or None,
        "rank": hit.rank,
        "score": hit.score,
        "first_rank": hit.first_rank,
        "first_score": hit.first_score,
        "stage": hit.stage,
        "explain": dict(hit.explain),
    }


def facets_json(facets: Facets) -> dict[str, Any]:
    """Facet values with their counts, and the range of prices."""

    def values(counted: Sequence[FacetValue]) -> list[dict[str, Any]]:
        return [{"value": v.value, "count": v.count, "selected": v.selected} for v in counted]

    return {
        "brand": values(facets.brands),
        "category": values(facets.categories),
        "price": {"min": facets.price_min, "max": facets.price_max},
    }
