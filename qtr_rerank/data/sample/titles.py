"""Titles: how the sample shop names a product: model names, title patterns, descriptions."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qtr_rerank.data.sample.draws import Draws
from qtr_rerank.data.sample.vocabulary import Axis, Choice, Kind

Chosen = Sequence[tuple[Axis, Choice]]

_LINES = (
    "Aria", "Lund", "Solo", "Pico", "Terra", "Nova", "Classic", "Everyday", "Drift", "Harbor",
    "Fjord", "Juno", "Mila", "Cobalt", "Vela", "Pine", "Orbit", "Tempo", "Breeze", "Haven", "Linea",
    "Rondo", "Sierra", "Brio", "Calma", "Onda", "Trek", "Zest", "Willow", "Arc", "Bloom", "Stride",
    "Ember", "Cove", "Metro", "Origin", "Sail", "Quartz", "Luma", "Ridge",
)  # fmt: skip
_BOOK_FIRST = (
    "Salt", "Winter", "Paper", "Quiet", "Copper", "Glass", "Hollow", "Northern", "Last", "Silver",
    "Borrowed", "Crooked", "Midnight", "Amber", "Forgotten", "Wandering",
)  # fmt: skip
_BOOK_LAST = (
    "Lighthouse", "Orchard", "Harbour", "Crown", "Ferry", "Clockmaker", "Garden", "Bridge", "Road",
    "Island", "Archive", "Lanterns", "Tide", "Kingdom", "Owl", "Market",
)  # fmt: skip
_COOK_LAST = ("Kitchen", "Table", "Pantry", "Oven", "Larder", "Supper", "Plate", "Spoon")
_AUTHORS_FIRST = (
    "Mara",
    "Idris",
    "Elin",
    "Tobias",
    "Noor",
    "Hanna",
    "Felix",
    "Oona",
    "Ravi",
    "June",
)
_AUTHORS_LAST = ("Ellwood", "Varga", "Lindqvist", "Okafor", "Marsh", "Delacourt", "Pell", "Hart")
_SMALL_WORDS = {"a", "an", "and", "at", "for", "in", "of", "on", "the", "to", "with", "up"}


def model_name(kind: Kind, brand: str, draws: Draws) -> str:
    """A product line, a model code, the name of a book or game, or nothing, as the kind says."""
    if kind.naming == "none":
        return ""
    if kind.naming == "book":
        last = _COOK_LAST if kind.type == "cookbook" else _BOOK_LAST
        name = f"{draws.pick(_BOOK_FIRST)} {draws.pick(last)}"
        return f"The {name}" if draws.chance(0.6) else name
    if kind.naming == "code":
        consonants = [letter for letter in brand.upper() if letter in "BCDFGKLMNPRSTVXZ"]
        letters = "".join(consonants[:2]) if draws.chance(0.6) else consonants[0]
        number = 10 * (10 + draws.below(90))
        return f"{letters}-{number}" if draws.chance(0.5) else f"{letters}{number}"
    name = draws.pick(_LINES)
    return f"{name} {draws.pick(('Plus', 'S', 'Neo', 'II', 'Pro'))}" if draws.chance(0.2) else name


def author_name(draws: Draws) -> str:
    return f"{draws.pick(_AUTHORS_FIRST)} {draws.pick(_AUTHORS_LAST)}"


def title_case(phrase: str) -> str:
    """As titles write a perk: `a removable crumb tray` -> `Removable Crumb Tray`."""
    words = re.sub(r"^(?:a|an|the) ", "", phrase).split()
    return " ".join(
        # Units stay as they are: "24 g of Protein".
        word
        if before.isdigit() or (before and word in _SMALL_WORDS)
        else word[:1].upper() + word[1:]
        for before, word in zip(["", *words], words, strict=False)
    )


def choose_noun(kind: Kind, chosen: Chosen, draws: Draws) -> str:
    """One of the kind's names that says nothing against the chosen values.

    An axis whose other choice stands in the noun ("True Wireless Earbuds" of a wired pair) rules
    that noun out.
    """
    fitting = [noun for noun in kind.nouns if not _contradicts(noun, chosen)]
    return draws.pick_early(fitting or kind.nouns[:1], 0.5)


def _contradicts(noun: str, chosen: Chosen) -> bool:
    for axis, choice in chosen:
        others = (form for c in axis.choices if c.value != choice.value for form in c.surfaces)
        if any(_has_phrase(noun, form) for form in others) and not any(
            _has_phrase(noun, form) for form in choice.surfaces
        ):
            return True
    return False


def _has_phrase(text: str, phrase: str) -> bool:
    return bool(phrase) and f" {phrase.lower()} " in f" {text.lower()} "


def write_title(
    kind: Kind, brand: str, model: str, noun: str, chosen: Chosen, perk: str, draws: Draws
) -> str:
    """A title in the house style of the brand: each keeps to one pattern for most products."""
    leads: list[str] = []
    tails: list[str] = []
    for axis, choice in chosen:
        form = draws.pick_early(choice.surfaces)
        if not form or axis.place == "hidden" or not draws.chance(axis.shown):
            continue
        if not _has_phrase(f"{noun} {model}", form):
            (leads if axis.place == "lead" else tails).append(form)
    if kind.naming == "book":
        return _book_title(model, noun, leads, tails, draws)
    pattern = Draws("house style", brand).below(5) if draws.chance(0.7) else draws.below(6)
    name = f"{brand} {model}".strip()
    middle = " ".join([*leads, noun])
    tail = ", ".join(tails)
    if draws.chance(0.22) and " with " not in f"{noun} ".lower():
        return _joined(f"{name} {middle} with {title_case(perk)}", tail)
    if pattern == 1 and kind.naming == "code":
        return _joined(f"{brand} {middle} {model}", tail)
    if pattern == 2 and tail:
        return f"{name} {middle} - {tail}"
    if pattern == 3 and len(leads) > 1:
        return _joined(f"{name} {leads[0]} {noun}", ", ".join([*leads[1:], *tails]))
    if pattern == 4 and len(tails) > 1:
        return f"{name} {middle}, {', '.join(tails[:-1])} ({tails[-1]})"
    if pattern == 5 and kind.naming != "none" and not middle[0].isdigit():
        return _joined(f"{brand} {middle} {model}", tail)
    return _joined(f"{name} {middle}", tail)


def _joined(head: str, tail: str) -> str:
    return f"{head}, {tail}" if tail else head


def _book_title(name: str, noun: str, leads: list[str], tails: list[str], draws: Draws) -> str:
    what = " ".join([*leads, noun])
    if draws.chance(0.5):
        return _joined(f"{name}: {what}", ", ".join(tails))
    return f"{name} ({', '.join([what, *tails])})"


_FACTS = {
    "capacity_ml": "capacity", "weight_g": "weight", "storage_gb": "storage",
    "compatible_with": "made", "pack_count": "contents", "wattage_w": "power",
    "screen_in": "screen", "length_cm": "length", "width_cm": "width", "height_cm": "height",
    "diameter_cm": "diameter", "blade_cm": "blade", "drop_cm": "drop",
}  # fmt: skip


def write_description(
    kind: Kind, brand: str, model: str, chosen: Chosen, perks: Sequence[str], draws: Draws
) -> str:
    """One paragraph: what it is like, what comes with it, the facts."""
    name = f"{brand} {model}".strip() if kind.naming != "book" else model
    noun = kind.nouns[0]
    perk_list = f"{', '.join(perks[:-1])} and {perks[-1]}" if len(perks) > 1 else perks[0]
    opener = draws.pick((
        f"{kind.pitch} This {noun} from {brand} comes with {perk_list}.",
        f"{kind.pitch} {name} brings {perk_list}.",
        f"{kind.pitch} Good to know: {perk_list}.",
    ))  # fmt: skip
    facts = [_fact(axis, choice) for axis, choice in chosen]
    details = ", ".join(fact for fact in facts if fact)
    return f"{opener} Details: {details}." if details else opener


def _fact(axis: Axis, choice: Choice) -> str:
    if isinstance(choice.value, bool):
        words = axis.name.replace("_", " ")
        free = words.endswith((" free", "unscented", "unsweetened"))
        return words if choice.value else ("" if free else f"not {words}")
    first = choice.surfaces[0]
    if axis.name in _FACTS:
        return f"{_FACTS[axis.name]} {first}" if first else ""
    label = axis.name.rsplit("_", 1)[0] if axis.name.endswith(("_mm", "_g", "_cm")) else axis.name
    return f"{label.replace('_', ' ')} {choice.value!s}"
