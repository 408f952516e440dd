"""Titles: the records of the sample shop: departments, kinds of product, their attributes.

`reader` fills them from the data files, `generate` makes products of them, `judge` grades those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from qtr_rerank.records import AttributeValue

Place = Literal["lead", "tail", "hidden"]
Naming = Literal["line", "code", "none", "book"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an axis.

    `surfaces` are the forms that titles write the value in ("" = they leave it out): 2000 ml reads
    "2 L", "2000 ml" or "68 oz". `price` multiplies the product's price.
    """

    value: AttributeValue
    surfaces: tuple[str, ...]
    price: float = 1.0


@dataclass(frozen=True, slots=True)
class Axis:
    """An attribute in which products of a kind differ.

    Titles write it before the noun (`place` "lead"), after it ("tail") or never ("hidden").
    `shown` is the share of titles that write it. With `varies`, variants of one model differ in it.
    """

    name: str
    choices: tuple[Choice, ...]
    place: Place = "tail"
    shown: float = 1.0
    varies: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of product.

    `type` is its canonical name in intents and grades. `nouns` are its names in titles, the most
    common first. `picture` names its drawing. `price` is the range of the base price in US dollars.
    `accessory_of` names the types that it belongs to. Kinds of one non-empty `family` are near
    substitutes. `models` ("Brand|Model") fixes the models where accessories refer to them.
    `weight` is its share of the catalog, relative to the others.
    """

    type: str
    category: str
    picture: str
    nouns: tuple[str, ...]
    price: tuple[float, float]
    axes: tuple[Axis, ...]
    perks: tuple[str, ...]
    pitch: str
    naming: Naming = "line"
    accessory_of: tuple[str, ...] = ()
    family: str = ""
    brands: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Department:
    """A department of the shop, its brands and its kinds of product."""

    name: str
    brands: tuple[str, ...]
    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """The words that names of models, books and authors are made of."""

    lines: tuple[str, ...]
    line_endings: tuple[str, ...]
    book_first: tuple[str, ...]
    book_last: tuple[str, ...]
    cookbook_last: tuple[str, ...]
    author_first: tuple[str, ...]
    author_last: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shop:
    """The data that the catalog is generated from. Another order of departments is another shop.

    `kinds` holds the kinds of all departments by type. `facts` maps attributes to the words that
    descriptions name them by.
    """

    departments: tuple[Department, ...]
    kinds: Mapping[str, Kind]
    names: Names
    facts: Mapping[str, str]
