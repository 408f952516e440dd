"""Page: a product as text for the templates: card, price, rating, attributes. Pure: no Flask."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from qtr_rerank.records import Product

_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}
_WHOLE_CURRENCIES = {"JPY", "KRW", "HUF", "ISK", "CLP"}
# The unit at the end of an attribute's name (`capacity_ml`), spelt as it follows a number.
_UNITS = {unit.lower(): unit for unit in ("ml", "l", "g", "kg", "mm", "cm", "m", "W", "V", "GB")}
_UNITS |= {"mah": "mAh", "in": "in", "inch": "in", "mp": "MP", "persons": "persons"}


@dataclass(frozen=True, slots=True)
class Rating:
    """Stars from 0 to 5 and the number of reviews; None if the catalog does not give it."""

    stars: float
    count: int | None

    @property
    def label(self) -> str:
        """The text for screen readers."""
        if self.count is None:
            return f"Rated {self.stars:.1f} out of 5"
        reviews = "review" if self.count == 1 else "reviews"
        return f"Rated {self.stars:.1f} out of 5 by {self.count:,} {reviews}"


@dataclass(frozen=True, slots=True)
class Card:
    """A product as the result grid and the product page show it."""

    id: str
    title: str
    brand: str
    category: str
    price: str
    rating: Rating | None


def product_card(product: Product) -> Card:
    """The card of a product."""
    return Card(
        id=product.id,
        title=product.title,
        brand=product.brand,
        category=product.category,
        price=price_text(product.price, str(product.extra.get("currency") or "")),
        rating=rating_of(product),
    )


def price_text(price: float | None, currency: str = "") -> str:
    """A price in the usual notation: €12.99, ¥1,299, 12.99 SEK. Empty if it is unknown."""
    if price is None or not math.isfinite(price):
        return ""
    code = currency.strip().upper()
    amount = f"{price:,.0f}" if code in _WHOLE_CURRENCIES else f"{price:,.2f}"
    if code in _SYMBOLS:
        return f"{_SYMBOLS[code]}{amount}"
    return f"{amount} {code}".rstrip()


def currency_of(products: Iterable[Product]) -> str:
    """The currency of the first product that names one; empty if none does."""
    currencies = (str(product.extra.get("currency") or "") for product in products)
    return next(filter(None, currencies), "")


def rating_of(product: Product) -> Rating | None:
    """The rating in a product's extra fields; None if there is none or it is not a number."""
    stars = _number(product.extra.get("rating"))
    if stars is None or not 0 <= stars <= 5:
        return None
    count = _number(product.extra.get("rating_count"))
    return Rating(stars, int(count) if count is not None and count >= 0 else None)


def attribute_rows(product: Product) -> tuple[tuple[str, str], ...]:
    """The product's attributes as readable (name, value) rows."""
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
    """A finite number; text is parsed, because a CSV reader leaves numbers as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
