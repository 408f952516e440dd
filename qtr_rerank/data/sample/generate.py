"""Titles: generates the sample catalog, a shop of invented brands, from the departments' data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from qtr_rerank.data.sample.kinds import Choice, Department, Kind
from qtr_rerank.data.sample.reader import shop
from qtr_rerank.data.sample.rng import Rng
from qtr_rerank.data.sample.titles import (
    Chosen,
    author_name,
    choose_noun,
    model_name,
    write_description,
    write_title,
)
from qtr_rerank.errors import SettingsError
from qtr_rerank.records import AttributeValue, Product

CURRENCY = "USD"
# Models generated for each wanted product before giving up on distinct titles.
_TRIES = 40


def sample_catalog(seed: int = 7, products: int = 3600) -> list[Product]:
    """The sample catalog: `products` products with ids P00001, P00002, ...

    The same seed and size give the same catalog on every machine. Titles are unique. Raises
    SettingsError when `products` is below the number of kinds or above 20,000.
    """
    pairs = [(department, kind) for department in shop().departments for kind in department.kinds]
    if not len(pairs) <= products <= 20_000:
        raise SettingsError(
            f"a sample catalog cannot have {products} products; "
            f"choose {len(pairs)} (one of each kind) to 20000"
        )
    counts = _apportion([kind.weight for _, kind in pairs], products)
    titles: set[str] = set()
    generated = [
        product
        for (department, kind), count in zip(pairs, counts, strict=True)
        for product in _products(department, kind, count, seed, titles)
    ]
    # The key is part of the random sequence: another text is another catalog.
    order = Rng(seed, "shelf order").shuffled(generated)
    return [replace(product, id=f"P{number:05d}") for number, product in enumerate(order, start=1)]


def _apportion(weights: Sequence[float], total: int) -> list[int]:
    """Shares of `total` in whole numbers, at least 1 each.

    Largest remainder method; the earlier of two equal remainders comes first.
    """
    spare = total - len(weights)
    exact = [weight * spare / sum(weights) for weight in weights]
    counts = [1 + int(share) for share in exact]
    order = sorted(range(len(exact)), key=lambda place: (int(exact[place]) - exact[place], place))
    for place in order[: total - sum(counts)]:
        counts[place] += 1
    return counts


def _products(
    department: Department, kind: Kind, count: int, seed: int, titles: set[str]
) -> Iterator[Product]:
    """`count` products of one kind: model after model, one to four variants of each."""
    made = 0
    model_number = 0
    while made < count:
        rng = Rng(seed, kind.type, model_number)
        for product in _variants(department, kind, model_number, rng):
            if made < count and product.title not in titles:
                titles.add(product.title)
                made += 1
                yield product
        model_number += 1
        if model_number > _TRIES * (count + 5):
            raise SettingsError(
                f"the sample shop has fewer than {count} distinct titles of '{kind.type}'; "
                f"choose a smaller sample catalog"
            )


def _variants(department: Department, kind: Kind, number: int, rng: Rng) -> Iterator[Product]:
    """The variants of one model. They differ in the axes that vary, in noun and in wording."""
    if kind.models:
        brand, model = kind.models[number % len(kind.models)].split("|")
    else:
        brand = rng.choice(kind.brands or department.brands)
        model = model_name(kind, brand, rng)
    fixed = {axis.name: _choose(axis.choices, rng) for axis in kind.axes}
    perks = rng.shuffled(kind.perks)[: 2 + rng.below(2)]
    quality = rng.random()
    popularity = rng.random()
    base = _base_price(kind, brand, quality)
    author = author_name(rng) if kind.naming == "book" else ""
    for _ in range(1 + rng.below(4)):
        chosen = [
            (axis, _choose(axis.choices, rng) if axis.varies else fixed[axis.name])
            for axis in kind.axes
        ]
        noun = choose_noun(kind, chosen, rng)
        price = base
        for axis, choice in chosen:
            usual = sum(other.price for other in axis.choices) / len(axis.choices)
            price *= choice.price / usual
        yield Product(
            id="",
            title=write_title(kind, brand, model, noun, chosen, perks[0], rng),
            brand=brand,
            category=kind.category,
            price=shop_price(price),
            description=write_description(kind, brand, model, chosen, perks, rng),
            attributes=_attributes(kind, model, author, chosen),
            image=f"kind:{kind.picture}",
            extra={
                "department": department.name,
                "currency": CURRENCY,
                "rating": _rating(quality, rng),
                "rating_count": _rating_count(popularity, rng),
            },
        )


def _choose(choices: tuple[Choice, ...], rng: Rng) -> Choice:
    """One of the choices. Yes (wireless, sugar free) is a little rarer than no."""
    if len(choices) == 2 and choices[0].value is True:
        return choices[0] if rng.bernoulli(0.42) else choices[1]
    return rng.choice(choices)


def _attributes(kind: Kind, model: str, author: str, chosen: Chosen) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {"type": kind.type}
    if author and kind.category not in ("Board Games", "Card Games"):
        attributes["author"] = author
    if model and kind.naming != "book":
        attributes["model"] = model
    attributes.update((axis.name, choice.value) for axis, choice in chosen)
    if kind.accessory_of and "compatible_with" not in attributes:
        attributes["compatible_with"] = kind.accessory_of[0]
    return attributes


def _base_price(kind: Kind, brand: str, quality: float) -> float:
    """A price within the kind's range. It rises with quality and with the brand's standing."""
    low, high = kind.price
    standing = 0.88 + 0.3 * Rng("brand standing", brand).random()
    return (low + (high - low) * quality * quality) * standing


def shop_price(amount: float) -> float:
    """The nearest price with a usual ending: 4.49, 27.99, 349.00, 1299.00."""
    if amount < 10:
        cents = round(amount * 100)
        endings = [
            whole * 100 + end for whole in (cents // 100 - 1, cents // 100) for end in (49, 79, 99)
        ]
        return min(endings, key=lambda price: (abs(price - cents), price)) / 100
    if amount < 200:
        return max(round(amount), 10) - 0.01
    step = 10 if amount < 1000 else 50
    return float(max(round(amount / step), 1) * step - 1)


def _rating(quality: float, rng: Rng) -> float:
    """1 to 5 with one decimal. Most are between 3.8 and 4.8; some are far lower."""
    spread = (rng.random() + rng.random() + rng.random() - 1.5) * 0.5
    centre = 4.05 + 0.4 * quality - (1.3 * rng.random() if rng.bernoulli(0.08) else 0.0)
    return round(min(max(centre + spread, 1.0), 5.0), 1)


def _rating_count(popularity: float, rng: Rng) -> int:
    """A few products have most of the ratings. Variants of one model have similar counts."""
    return int((8 + 30 * rng.random()) * (0.15 + 0.9 / (1.02 - popularity)))
