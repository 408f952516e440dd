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
from qtr_rerank.data.sample.units import UNITS, Unit, usual_unit

Choices = tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names of attributes, colours with their written forms, shared attributes."""

    attributes: tuple[str, ...]
    colours: Mapping[str, tuple[str, ...]]
    shared: Entry


def read_attribute(
    name: str, attributes: Entry, vocabulary: Vocabulary, models: Mapping[str, tuple[str, ...]]
) -> Axis:
    """The attribute `name` of the table `attributes`. `models` are those of the kinds above.

    Raises DataError, with file and entry, for anything that cannot be used.
    """
    if name not in vocabulary.attributes:
        attributes.refuse(f"vocabulary.toml does not list the attribute '{name}'")
    content = attributes.raw(name)
    if isinstance(content, str):
        if not vocabulary.shared.has(content):
            attributes.refuse(f"{name} = {content!r}: vocabulary.toml has no such shared attribute")
        content = vocabulary.shared.raw(content)
    if isinstance(content, list):
        content = {"values": content}
    entry = Entry(f"{attributes.where}, {name}", content)
    choices, place, shown, varies = _choices(name, entry, vocabulary, models)
    values = [choice.value for choice in choices]
    if not values or len(set(values)) < len(values):
        entry.refuse(f"values = {values}; expected one or more, all different")
    place = cast(Place, entry.one_of("place", get_args(Place), place))
    if varies is None:
        # Variants of one model differ in what titles write after the noun: size, flavour, format.
        varies = place == "tail"
    shown = entry.number("shown", shown, high=1.0)
    varies = entry.flag("varies", varies)
    entry.finish()
    return Axis(name, choices, place, shown, varies)


def _choices(
    name: str, entry: Entry, vocabulary: Vocabulary, models: Mapping[str, tuple[str, ...]]
) -> tuple[Choices, Place, float, bool | None]:
    """The choices, and the defaults of `place`, `shown` and `varies` (None: if in the tail)."""
    if entry.has("yes"):
        return _yes_or_no(entry), "lead", 1.0, None
    if entry.has("written"):
        return _written(name, entry.table("written")), "lead", 1.0, None
    if name == "colour":
        return _coloured(entry, vocabulary), "tail", 0.94, None
    if name == "compatible_with":
        return _fitting(entry, models), "tail", 1.0, None
    usual = usual_unit(name)
    if usual is not None:
        unit = UNITS[entry.one_of("unit", tuple(UNITS), usual)]
        return _measured(entry, unit), unit.place, unit.shown, unit.varies
    words = tuple(Choice(value, (_capitals(value),)) for value in entry.texts("values"))
    return words, "lead", 0.85 if name == "material" else 1.0, None


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
    """The devices that an accessory fits: names, or the models of a kind above it."""
    if not entry.has("models_of"):
        names = entry.texts("values")
    else:
        of = entry.text("models_of")
        if not models.get(of):
            entry.refuse(f"models_of = {of!r}; expected a kind above it that lists models")
        names = tuple(model.replace("|", " ") for model in models[of])
    return tuple(Choice(name, (f"for {name}", f"fits {name}")) for name in names)


def _measured(entry: Entry, unit: Unit) -> Choices:
    """Values in rising order. The price rises by `span` from the first to the last."""
    content = entry.raw("values")
    values = [one for one in content if is_number(one)] if isinstance(content, list) else []
    if not values or values != content or values != sorted(values) or values[0] <= 0:
        entry.refuse(f"values = {content!r}; expected rising numbers above 0")
    span = entry.number("span", unit.span)
    steps = max(len(values) - 1, 1)
    return tuple(
        Choice(value, unit.forms(value), 1.0 + span * step / steps)
        for step, value in enumerate(values)
    )


def _capitals(value: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in value.split())
