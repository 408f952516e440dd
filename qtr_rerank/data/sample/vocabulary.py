"""Titles: the words the sample catalog is written with; what a kind of product can vary in.

A `Kind` is one type of product of one department. Its axes (colour, capacity, gender, ...) give
each product canonical attribute values, and each value the surface forms that titles write it in:
`capacity_ml = 2000` reads "2 L", "2000 ml" or "68 oz". Grades follow from the values, so the same
wish in other words has the same right answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qtr_rerank.records import AttributeValue

Place = Literal["lead", "tail", "hidden"]
Naming = Literal["line", "code", "none", "book"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of an axis: how titles write it ("" = they leave it out), and its price factor."""

    value: AttributeValue
    surfaces: tuple[str, ...]
    price: float = 1.0


@dataclass(frozen=True, slots=True)
class Axis:
    """An attribute that products of a kind differ in.

    `place` says whether titles write it before the noun or after it; `shown` is the share of
    titles that do; variants of one model differ in the axes that `varies`.
    """

    name: str
    choices: tuple[Choice, ...]
    place: Place = "tail"
    shown: float = 1.0
    varies: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of product: `type` is the canonical name that intents and grades refer to.

    `nouns` are its names in titles, most common first. `accessory_of` names the types it belongs
    to; kinds with the same non-empty `family` are near substitutes. `models` ("Brand|Model") fixes
    which models exist where accessories refer to them.
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
    """A department of the shop with its brands and its kinds of product."""

    name: str
    brands: tuple[str, ...]
    kinds: tuple[Kind, ...]


COLOURS: Mapping[str, tuple[str, ...]] = {
    "black": ("Black", "Matte Black", "Jet Black"),
    "white": ("White", "Pure White", "Pearl White"),
    "grey": ("Grey", "Gray", "Charcoal Grey"),
    "silver": ("Silver", "Brushed Silver"),
    "blue": ("Blue", "Ocean Blue", "Cobalt Blue"),
    "navy": ("Navy", "Navy Blue"),
    "red": ("Red", "Cherry Red"),
    "green": ("Green", "Forest Green", "Sage Green"),
    "teal": ("Teal", "Deep Teal"),
    "pink": ("Pink", "Blush Pink"),
    "purple": ("Purple", "Lilac Purple"),
    "yellow": ("Yellow", "Mustard Yellow"),
    "orange": ("Orange", "Burnt Orange"),
    "brown": ("Brown", "Chestnut Brown"),
    "beige": ("Beige", "Sand Beige"),
    "cream": ("Cream", "Ivory"),
    "gold": ("Gold", "Champagne Gold"),
    "oak": ("Oak", "Natural Oak", "Oak Effect"),
    "walnut": ("Walnut", "Dark Walnut"),
}


def colours(*names: str, shown: float = 0.94, place: Place = "tail") -> Axis:
    choices = tuple(Choice(name, COLOURS[name]) for name in names)
    return Axis("colour", choices, place, shown, varies=True)


def _number(value: float) -> str:
    return f"{value:g}" if value < 10_000 else f"{value:.0f}"


def _graded(
    name: str,
    values: Sequence[int | float],
    surfaces: Sequence[tuple[str, ...]],
    span: float,
    varies: bool = True,
    place: Place = "tail",
    shown: float = 1.0,
) -> Axis:
    """Numeric values in rising order; the price rises by `span` from the first to the last."""
    steps = max(len(values) - 1, 1)
    choices = tuple(
        Choice(value, forms, 1.0 + span * step / steps)
        for step, (value, forms) in enumerate(zip(values, surfaces, strict=True))
    )
    return Axis(name, choices, place, shown, varies)


def capacity(*millilitres: int, span: float = 0.5, place: Place = "tail") -> Axis:
    """Volumes, kept as `capacity_ml`; titles write litres, millilitres or fluid ounces."""
    surfaces = [
        (
            f"{_number(ml / 1000)} L" if ml >= 1000 else f"{ml} ml",
            f"{ml} ml" if ml < 5000 else f"{_number(ml / 1000)} Litre",
            f"{_number(ml / 1000)} Litre" if ml >= 1000 else f"{_number(ml / 1000)} L",
            f"{round(ml / 29.5735)} oz" if ml < 8000 else f"{_number(ml / 1000)}L",
        )
        for ml in millilitres
    ]
    return _graded("capacity_ml", millilitres, surfaces, span, place=place)


def grams(*values: int, span: float = 1.5) -> Axis:
    """Net weights, kept as `weight_g`; titles write grams, kilograms, ounces or pounds."""
    surfaces = [
        (
            f"{_number(g / 1000)} kg" if g >= 1000 else f"{g} g",
            f"{_number(g / 1000)}kg" if g >= 1000 else f"{g}g",
            f"{_number(round(g / 453.592, 1))} lb" if g >= 454 else f"{round(g / 28.3495, 1):g} oz",
        )
        for g in values
    ]
    return _graded("weight_g", values, surfaces, span)


def screen(*inches: float, span: float = 1.0, centimetres: bool = False) -> Axis:
    """Screen diagonals, kept as `screen_in`."""
    surfaces = [
        (f"{i:g}-Inch", f'{i:g}"', f"{i:g} Inch", *([f"{round(i * 2.54)} cm"] * centimetres))
        for i in inches
    ]
    return _graded("screen_in", inches, surfaces, span, varies=False, place="lead")


def storage(*gigabytes: int, span: float = 0.8) -> Axis:
    """Storage, kept as `storage_gb`; from 1,000 GB titles also write terabytes."""
    surfaces = [
        (f"{gb // 1000} TB", f"{gb} GB", f"{gb // 1000}TB")
        if gb >= 1000
        else (f"{gb} GB", f"{gb}GB")
        for gb in gigabytes
    ]
    return _graded("storage_gb", gigabytes, surfaces, span)


def watts(*values: int, span: float = 0.4, shown: float = 0.8) -> Axis:
    surfaces = [(f"{w} W", f"{w}W", f"{w} Watt") for w in values]
    return _graded("wattage_w", values, surfaces, span, varies=False, shown=shown)


def length(name: str, *centimetres: int, span: float = 0.5) -> Axis:
    """Lengths, kept in centimetres; titles write metres, centimetres, feet or inches."""
    surfaces = [
        (
            f"{_number(cm / 100)} m" if cm >= 100 else f"{cm} cm",
            f"{cm} cm",
            f"{round(cm / 30.48)} ft" if cm >= 180 else f"{round(cm / 2.54)} in",
        )
        for cm in centimetres
    ]
    return _graded(name, centimetres, surfaces, span)


def kilograms(*values: int, span: float = 2.0) -> Axis:
    """Training weights, kept as `weight_g`."""
    surfaces = [(f"{kg} kg", f"{kg}kg", f"{round(kg * 2.20462)} lb") for kg in values]
    return _graded("weight_g", [kg * 1000 for kg in values], surfaces, span)


def pack(*counts: int, span: float = 1.0) -> Axis:
    surfaces = [(f"Pack of {n}", f"{n}-Pack", f"{n} Pack") if n > 1 else ("",) for n in counts]
    return _graded("pack_count", counts, surfaces, span)


def persons(*counts: int, noun: str = "Person", span: float = 1.0) -> Axis:
    surfaces = [(f"{n}-{noun}", f"{n} {noun}") for n in counts]
    return _graded("capacity_persons", counts, surfaces, span, varies=False, place="lead")


def seats(*counts: int) -> Axis:
    surfaces = [(f"{n}-Seater", f"{n} Seater", f"{n}-Seat") for n in counts]
    return _graded("seats", counts, surfaces, 0.6, varies=False, place="lead")


def pieces(*counts: int, noun: str = "Piece", span: float = 1.0) -> Axis:
    surfaces = [(f"{n}-{noun}", f"{n} {noun}") for n in counts]
    return _graded("pieces", counts, surfaces, span, varies=False, place="lead")


def either(name: str, yes: tuple[str, ...], no: tuple[str, ...], premium: float = 1.15) -> Axis:
    """A yes/no attribute written before the noun; titles may leave one side out ("")."""
    return Axis(name, (Choice(True, yes, premium), Choice(False, no)), "lead")


def _capitals(value: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in value.split())


def option(
    name: str, values: Mapping[str, tuple[str, ...]], place: Place = "lead", shown: float = 1.0
) -> Axis:
    """A named choice, e.g. a material or a flavour; no surface forms = the value's own words.

    Whole numbers become ints, but for sizes: those are text ("8", "XL") in every department.
    What stands after the noun (flavour, size, format) differs between variants of one model.
    """
    choices = tuple(
        Choice(
            int(value) if value.isdecimal() and name != "size" else value,
            surfaces or (_capitals(value),),
        )
        for value, surfaces in values.items()
    )
    return Axis(name, choices, place, shown, varies=place == "tail")


def material(*names: str, place: Place = "lead", shown: float = 0.85) -> Axis:
    choices = tuple(Choice(name, (_capitals(name),)) for name in names)
    return Axis("material", choices, place, shown)


GENDER = Axis(
    "gender",
    (
        Choice("women", ("Women's", "Ladies'", "Womens")),
        Choice("men", ("Men's", "Mens", "Men's")),
    ),
    "lead",
)
MEN = Axis("gender", (Choice("men", ("Men's", "Mens")),), "lead")
WOMEN = Axis("gender", (Choice("women", ("Women's", "Ladies'", "Womens")),), "lead")
KIDS = Axis("gender", (Choice("kids", ("Kids'", "Children's", "Kids")),), "lead")
CLOTHES_SIZE = Axis(
    "size",
    tuple(
        Choice(size, (f"Size {size}", size, name))
        for size, name in (
            ("S", "Small"),
            ("M", "Medium"),
            ("L", "Large"),
            ("XL", "X-Large"),
            ("XXL", "2XL"),
        )
    ),
    "tail",
    1.0,
    varies=True,
)


def shoe_size(*sizes: float) -> Axis:
    choices = tuple(Choice(f"{s:g}", (f"Size {s:g}", f"US {s:g}", f"Size {s:g}")) for s in sizes)
    return Axis("size", choices, "tail", 1.0, varies=True)


def compatible(*models: str) -> Axis:
    """What an accessory fits, kept as `compatible_with`; "Brand|Model" as in `Kind.models`."""
    names = [model.replace("|", " ") for model in models]
    choices = tuple(Choice(name, (f"for {name}", f"fits {name}")) for name in names)
    return Axis("compatible_with", choices, "tail", 1.0, varies=True)
