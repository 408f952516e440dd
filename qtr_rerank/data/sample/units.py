"""Titles: how titles of the sample shop write a measured value.

A product keeps one canonical value (`capacity_ml = 2000`); titles write it in several units and
spellings ("2 L", "2000 ml", "68 oz"). Grades compare canonical values, so a query in other units
has the same right answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qtr_rerank.data.sample.kinds import Place

Forms = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """The written forms of a value, the usual first, and defaults for attributes in this unit.

    `span` is the rise of the price from the lowest value to the highest (0.5 = by half).
    """

    forms: Callable[[float], Forms]
    span: float = 1.0
    place: Place = "tail"
    shown: float = 1.0
    varies: bool = True


def _number(value: float) -> str:
    return f"{value:g}" if value < 10_000 else f"{value:.0f}"


def _litres(ml: float) -> Forms:
    litres = _number(ml / 1000)
    return (
        f"{litres} L" if ml >= 1000 else f"{ml} ml",
        f"{ml} ml" if ml < 5000 else f"{litres} Litre",
        f"{litres} Litre" if ml >= 1000 else f"{litres} L",
        f"{round(ml / 29.5735)} oz" if ml < 8000 else f"{litres}L",
    )


def _grams(g: float) -> Forms:
    kilograms = _number(g / 1000)
    return (
        f"{kilograms} kg" if g >= 1000 else f"{g} g",
        f"{kilograms}kg" if g >= 1000 else f"{g}g",
        f"{_number(round(g / 453.592, 1))} lb" if g >= 454 else f"{round(g / 28.3495, 1):g} oz",
    )


def _kilograms(g: float) -> Forms:
    kilograms = _number(g / 1000)
    return f"{kilograms} kg", f"{kilograms}kg", f"{round(g / 1000 * 2.20462)} lb"


def _inches(inches: float) -> Forms:
    return f"{inches:g}-Inch", f'{inches:g}"', f"{inches:g} Inch"


def _gigabytes(gb: float) -> Forms:
    if gb >= 1000:
        terabytes = int(gb // 1000)
        return f"{terabytes} TB", f"{gb} GB", f"{terabytes}TB"
    return f"{gb} GB", f"{gb}GB"


def _centimetres(cm: float) -> Forms:
    return (
        f"{_number(cm / 100)} m" if cm >= 100 else f"{cm} cm",
        f"{cm} cm",
        f"{round(cm / 30.48)} ft" if cm >= 180 else f"{round(cm / 2.54)} in",
    )


def _counted(noun: str) -> Callable[[float], Forms]:
    return lambda count: (f"{count}-{noun}", f"{count} {noun}")


UNITS: Mapping[str, Unit] = {
    "litres": Unit(_litres, 0.5),
    "grams": Unit(_grams, 1.5),
    "kilograms": Unit(_kilograms, 2.0),
    "centimetres": Unit(_centimetres, 0.5),
    "inches": Unit(_inches, 1.0, "lead", varies=False),
    "inches and centimetres": Unit(
        lambda inches: (*_inches(inches), f"{round(inches * 2.54)} cm"), 1.0, "lead", varies=False
    ),
    "gigabytes": Unit(_gigabytes, 0.8),
    "watts": Unit(lambda w: (f"{w} W", f"{w}W", f"{w} Watt"), 0.4, shown=0.8, varies=False),
    "packs": Unit(lambda n: (f"Pack of {n}", f"{n}-Pack", f"{n} Pack") if n > 1 else ("",)),
    "pieces": Unit(_counted("Piece"), 1.0, "lead", varies=False),
    "persons": Unit(_counted("Person"), 1.0, "lead", varies=False),
    "players": Unit(_counted("Player"), 1.0, "lead", varies=False),
    "diners": Unit(_counted("Seater"), 1.0, "lead", varies=False),
    "seats": Unit(lambda n: (f"{n}-Seater", f"{n} Seater", f"{n}-Seat"), 0.6, "lead", varies=False),
}

_USUAL: Mapping[str, str] = {
    "capacity_ml": "litres",
    "weight_g": "grams",
    "screen_in": "inches",
    "storage_gb": "gigabytes",
    "wattage_w": "watts",
    "pack_count": "packs",
    "pieces": "pieces",
    "capacity_persons": "persons",
    "seats": "seats",
}


def usual_unit(attribute: str) -> str | None:
    """The unit that titles write an attribute in, by its name. None: it is not measured."""
    return "centimetres" if attribute.endswith("_cm") else _USUAL.get(attribute)
