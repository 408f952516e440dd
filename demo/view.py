"""Page: products and result lists become what the templates show. Pure: no Flask, no I/O.

Beside it stand `facets` (filters), `orders` (the side-by-side view, times) and `home`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from demo.orders import times
from demo.request import DEPTH, SORTS, PageRequest
from qtr_rerank.records import Facets, Product, Ranked, SearchResult
from qtr_rerank.text import normalise

# A best hit below this probability, carrying no word of the query, is no answer to it.
HOPELESS_SCORE = 0.3
# See `good_hits`.
GOOD_SHARE = 1 / 2

_LETTERS = re.compile(r"[^\W_]+")
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}
_WHOLE_CURRENCIES = {"JPY", "KRW", "HUF", "ISK", "CLP"}
# The unit that ends an attribute's name (`capacity_ml`), as people write it behind the value.
_UNITS = {unit.lower(): unit for unit in ("ml", "l", "g", "kg", "mm", "cm", "m", "W", "V", "GB")}
_UNITS |= {"mah": "mAh", "in": "in", "inch": "in", "mp": "MP", "persons": "persons"}


@dataclass(frozen=True, slots=True)
class Rating:
    """Stars from 0 to 5, and how many people gave them (None where the catalog does not say)."""

    stars: float
    count: int | None

    @property
    def label(self) -> str:
        """What a screen reader says."""
        if self.count is None:
            return f"Rated {self.stars:.1f} out of 5"
        people = "review" if self.count == 1 else "reviews"
        return f"Rated {self.stars:.1f} out of 5 by {self.count:,} {people}"


@dataclass(frozen=True, slots=True)
class Card:
    """One product as the result grid and the product page show it."""

    id: str
    title: str
    brand: str
    category: str
    price: str
    rating: Rating | None


@dataclass(frozen=True, slots=True)
class PageLink:
    """One entry of the pager; `number` is None for the gap between far pages."""

    number: int | None
    href: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class Pager:
    """The pages of a result list. Empty `links` where one page holds everything."""

    page: int
    pages: int
    first: int
    last: int
    links: tuple[PageLink, ...] = ()
    previous: str = ""
    following: str = ""


def price_text(price: float | None, currency: str = "") -> str:
    """A price as shops write it: €12.99, ¥1,299, 12.99 SEK, or empty where it is unknown."""
    if price is None or not math.isfinite(price):
        return ""
    code = currency.strip().upper()
    amount = f"{price:,.0f}" if code in _WHOLE_CURRENCIES else f"{price:,.2f}"
    if code in _SYMBOLS:
        return f"{_SYMBOLS[code]}{amount}"
    return f"{amount} {code}".rstrip()


def currency_of(products: Iterable[Product]) -> str:
    """The currency of the first product that names one; empty where none does."""
    named = (str(product.extra.get("currency") or "") for product in products)
    return next(filter(None, named), "")


def rating_of(product: Product) -> Rating | None:
    """The rating in a product's extra fields, None where there is none that can be read."""
    stars = _number(product.extra.get("rating"))
    if stars is None or not 0 <= stars <= 5:
        return None
    count = _number(product.extra.get("rating_count"))
    return Rating(stars, int(count) if count is not None and count >= 0 else None)


def product_card(product: Product) -> Card:
    """A product by itself, outside of any result list."""
    return Card(
        id=product.id,
        title=product.title,
        brand=product.brand,
        category=product.category,
        price=price_text(product.price, str(product.extra.get("currency") or "")),
        rating=rating_of(product),
    )


def page_count(results: int, size: int) -> int:
    """How many pages hold `results`; an empty list has one, which is empty."""
    return max(1, math.ceil(results / size))


def pager(request: PageRequest, total: int) -> Pager:
    """The pages of `total` results. A page beyond the last one becomes the last."""
    within = min(total, DEPTH)
    pages = page_count(within, request.size)
    page = min(request.page, pages)
    if pages == 1:
        return Pager(1, 1, min(1, within), within)
    near = {1, pages, page - 1, page, page + 1}
    numbers = sorted(number for number in near if 1 <= number <= pages)
    links: list[PageLink] = []
    for number in numbers:
        skipped = number - (links[-1].number or 0) - 1 if links else 0
        if skipped == 1:  # a gap of one page takes no less room than the page itself
            links.append(PageLink(number - 1, request.href(page=number - 1)))
        elif skipped > 1:
            links.append(PageLink(None))
        links.append(PageLink(number, request.href(page=number), current=number == page))
    return Pager(
        page,
        pages,
        first=(page - 1) * request.size + 1,
        last=min(page * request.size, within),
        links=tuple(links),
        previous=request.href(page=page - 1) if page > 1 else "",
        following=request.href(page=page + 1) if page < pages else "",
    )


def good_hits(hits: Sequence[Ranked], share: float = GOOD_SHARE) -> tuple[Ranked, ...]:
    """The hits that score at least `share` of what the best-scoring one does.

    Any other order than by relevance is among these: the cheapest of all that was found for
    "kettle" is no kettle.
    """
    if not hits:
        return ()
    least = max(hit.score for hit in hits) * share
    return tuple(hit for hit in hits if hit.score >= least)


def in_order(
    hits: Sequence[Ranked], products: Mapping[str, Product], sort: str
) -> tuple[Ranked, ...]:
    """`hits` sorted as asked. Ties and products that lack the value keep the order of relevance,
    the latter behind all others.
    """
    if sort == "best":
        return tuple(hits)
    key = _SORT_KEYS[sort]
    return tuple(sorted(hits, key=lambda hit: key(products[hit.id])))


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


def sort_choices(request: PageRequest, facets: Facets, cards: Sequence[Card]) -> dict[str, str]:
    """The sorts that mean something here: none by price in a catalog without prices."""
    usable = {"best", request.sort}
    if facets.price_min is not None:
        usable |= {"price-asc", "price-desc"}
    if any(card.rating for card in cards):
        usable.add("rating")
    return {name: label for name, label in SORTS.items() if name in usable}


def browsing_title(request: PageRequest) -> str:
    """The heading of a list that was picked, not searched for."""
    return request.department or ", ".join(request.filters.categories or request.filters.brands)


def fit(asked: PageRequest, result: SearchResult, best: Iterable[Product]) -> str:
    """How well the `best` products found fit the query.

    "good": one of them carries a word of it. "nearest": none does, as with a misspelt word, and
    meaning alone found them. "hopeless": neither words nor the model's own estimate speak for them.
    """
    if not asked.query:
        return "good"
    wanted = _stems(asked.query)
    texts = (f"{each.title} {each.brand} {each.category} {each.description}" for each in best)
    if any(wanted & _stems(text) for text in texts):
        return "good"
    if asked.filters:  # picked from a list of results: the answer is a list again
        return "nearest"
    unlikely = asked.stage == "rerank" and max(hit.score for hit in result.hits) < HOPELESS_SCORE
    return "hopeless" if unlikely or not wanted else "nearest"


def _stems(text: str) -> set[str]:
    """The words of a text as the eye compares them: 9-piece has two, and boxes are a box."""
    found = _LETTERS.findall(normalise(text))
    return {word.removesuffix("s").removesuffix("e") for word in found}


def summary(result: SearchResult, pager: Pager | None = None, among: int | None = None) -> str:
    """The line under the heading: 1–24 of 312 results · retrieved in 3.1 ms · engine: embedded.

    `among` is how many of them a sort by something else than relevance took in.
    """
    count = f"{result.candidates:,} result{'' if result.candidates == 1 else 's'}"
    if among is not None and among < result.candidates:
        count = f"the {among:,} best of {count}"
    if pager and pager.pages > 1:
        count = f"{pager.first}–{pager.last} of {count}"
    return f"{count} · {times(result.times_ms).sentence} · engine: {result.engine}"


def attribute_rows(product: Product) -> tuple[tuple[str, str], ...]:
    """The attributes of a product as a table: (name, value), both fit to read."""
    rows = []
    for name, value in product.attributes.items():
        if not str(value).strip():
            continue
        parts = name.split("_")
        text = _attribute_text(value)
        if len(parts) > 1 and parts[-1].lower() in _UNITS and not isinstance(value, bool | str):
            text = f"{text} {_UNITS[parts.pop().lower()]}"
        rows.append((" ".join(filter(None, parts)).capitalize(), text))
    return tuple(rows)


def _attribute_text(value: object) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def _number(value: object) -> float | None:
    """A finite number, also where a CSV left it as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
