"""Page: results sorted by price or rating, among the good hits only. Pure: no Flask."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from demo.page_request import SORTS, PageRequest
from demo.product_view import Card, rating_of
from qtr_rerank.records import Facets, Product, Ranked

# See `good_hits`.
GOOD_SHARE = 1 / 2


def good_hits(hits: Sequence[Ranked], share: float = GOOD_SHARE) -> tuple[Ranked, ...]:
    """The hits that the model gives at least `share` of the best hit's probability.

    Only these are sorted by price or rating: the cheapest of all candidates for "kettle" is not
    a kettle.
    """
    if not hits:
        return ()
    threshold = max(map(_own_score, hits)) * share
    return tuple(hit for hit in hits if _own_score(hit) >= threshold)


def sorted_hits(
    hits: Sequence[Ranked], products: Mapping[str, Product], sort: str
) -> tuple[Ranked, ...]:
    """`hits` sorted by `sort`, a key of SORTS. Ties keep the order of relevance.

    Products without the value come last.
    """
    if sort == "best":
        return tuple(hits)
    key = _SORT_KEYS[sort]
    return tuple(sorted(hits, key=lambda hit: key(products[hit.id])))


def sort_choices(request: PageRequest, facets: Facets, cards: Sequence[Card]) -> dict[str, str]:
    """The sorts that apply here, by name: none by price for a catalog without prices."""
    usable = {"best", request.sort}
    if facets.price_min is not None:
        usable |= {"price-asc", "price-desc"}
    if any(card.rating for card in cards):
        usable.add("rating")
    return {name: label for name, label in SORTS.items() if name in usable}


def _own_score(hit: Ranked) -> float:
    """The model's own score; the first stage's score if no model scored the hit."""
    return hit.explain.get(hit.stage, hit.score)


def _by_price(product: Product) -> tuple[float, ...]:
    return (math.inf,) if product.price is None else (product.price,)


def _by_price_down(product: Product) -> tuple[float, ...]:
    return (math.inf,) if product.price is None else (-product.price,)


def _by_rating(product: Product) -> tuple[float, ...]:
    rating = rating_of(product)
    return (1.0, 0.0) if rating is None else (-rating.stars, -float(rating.count or 0))


_SORT_KEYS: dict[str, Callable[[Product], tuple[float, ...]]] = {
    "price-asc": _by_price,
    "price-desc": _by_price_down,
    "rating": _by_rating,
}
