"""Titles: reads what a kind of product can vary in: one attribute of a department's file.

An attribute is written in one of these forms:

    colour = ["black", "red"]                                values in their usual written forms
    capacity_ml = { values = [1000, 2000], span = 0.3 }      the same with further settings
    wireless = { yes = ["Wireless"], no = [""] }             yes or no; "" = titles leave it out
    roast = { written = { light = ["Light Roast"] } }        values with written forms of their own
    gender = "women and men"                                 a shared attribute of vocabulary.toml
    compatible_with = { models_of = "smartphone" }           the models of a kind above

Every attribute can set `place`, `shown` and `varies` (see `Axis`); a measured one `unit` (see
`units`) and `span`; a yes/no one `premium`, the price factor of yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from qtr_rerank.data.sample.entries import Entry, is_number
from qtr_rerank.data.sample.kinds import Axis, Choice, Place
from qtr_rerank.data.sample.units import UNITS, usual_unit

Choices = tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What attributes refer to: colours with their written forms, and shared attributes."""

    colours: Mapping[str, tuple[str, ...]]
    shared: Entry


def read_attribute(
    name: str, attributes: Entry, vocabulary: Vocabulary, models: Mapping[str, tuple[str, ...]]
) -> Axis:
    """The attribute `name` of the table `attributes`. `models` are those of the kinds above.

    Raises DataError, with file and entry, for anything that cannot be used.
    """
    content = attributes.raw(name)
    if isinstance(content, str):
        if not vocabulary.shared.has(content):
            attributes.refuse(f"{name} = {content!r}: vocabulary.toml has no such shared attribute")
        content = vocabulary.shared.raw(content)
    if isinstance(content, list):
        content = {"values": content}
    entry = Entry(f"{attributes.where}, {name}", content)
    place: Place = "lead"
    shown = 1.0
    varies: bool | None = None
    if entry.has("yes"):
        choices = _yes_or_no(entry)
    elif entry.has("written"):
        choices = _written(name, entry.table("written"))
    elif name == "colour":
        place, shown = "tail", 0.94
        choices = _coloured(entry, vocabulary)
    elif name == "compatible_with":
        place = "tail"
        choices = _fitting(entry, models)
    elif (usual := usual_unit(name)) is not None:
        unit = UNITS[entry.one_of("unit", tuple(UNITS), usual)]
        place, shown, varies = unit.place, unit.shown, unit.varies
        numbers = _numbers(entry)
        span = entry.number("span", unit.span)
        steps = max(len(numbers) - 1, 1)
        choices = tuple(
            Choice(value, unit.forms(value), 1.0 + span * step / steps)
            for step, value in enumerate(numbers)
        )
    else:
        shown = 0.85 if name == "material" else 1.0
        choices = tuple(Choice(value, (_capitals(value),)) for value in entry.texts("values"))
    place = cast(Place, entry.one_of("place", get_args(Place), place))
    axis = Axis(
        name,
        choices,
        place,
        entry.number("shown", shown, high=1.0),
        # Variants of one model differ in what titles write after the noun: size, flavour, format.
        entry.flag("varies", place == "tail" if varies is None else varies),
    )
    entry.finish()
    values = [choice.value for choice in choices]
    if len(set(values)) < len(values):
        entry.refuse(f"repeats a value in {values}")
    return axis


def _yes_or_no(entry: Entry) -> Choices:
    yes, no = (entry.texts(side, blank=True) for side in ("yes", "no"))
    return Choice(True, yes, entry.number("premium", 1.15)), Choice(False, no)


def _written(name: str, forms: Entry) -> Choices:
    """Values with their written forms; none = the value's own words in capitals.

    Keys of TOML are texts. Whole numbers become ints, except sizes, which are texts everywhere
    ("8", "XL").
    """
    return tuple(
        Choice(
            int(value) if value.isdecimal() and name != "size" else value,
            forms.texts(value, least=0, blank=True) or (_capitals(value),),
        )
        for value in forms.names()
    )


def _coloured(entry: Entry, vocabulary: Vocabulary) -> Choices:
    names = entry.texts("values")
    for name in names:
        if name not in vocabulary.colours:
            entry.refuse(f"vocabulary.toml has no colour {name!r}")
    return tuple(Choice(name, vocabulary.colours[name]) for name in names)


def _fitting(entry: Entry, models: Mapping[str, tuple[str, ...]]) -> Choices:
    """What an accessory fits: a list of names, or the models of a kind above it."""
    if not entry.has("models_of"):
        names = entry.texts("values")
    else:
        of = entry.text("models_of")
        if not models.get(of):
            entry.refuse(f"models_of = {of!r}; expected a kind above it that lists models")
        names = tuple(model.replace("|", " ") for model in models[of])
    return tuple(Choice(name, (f"for {name}", f"fits {name}")) for name in names)


def _numbers(entry: Entry) -> list[float]:
    """Measured values in rising order: the price rises with them."""
    content = entry.raw("values")
    values = [one for one in content if is_number(one)] if isinstance(content, list) else []
    if not values or values != content or values != sorted(values) or values[0] <= 0:
        entry.refuse(f"values = {content!r}; expected rising numbers above 0")
    return values


def _capitals(value: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in value.split())
