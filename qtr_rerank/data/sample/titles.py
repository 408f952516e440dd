"""Titles: model names, titles and descriptions of the sample shop's products."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qtr_rerank.data.sample.kinds import Axis, Choice, Kind
from qtr_rerank.data.sample.reader import shop
from qtr_rerank.data.sample.rng import Rng

Chosen = Sequence[tuple[Axis, Choice]]

_SMALL_WORDS = {"a", "an", "and", "at", "for", "in", "of", "on", "the", "to", "with", "up"}


def model_name(kind: Kind, brand: str, rng: Rng) -> str:
    """A product line, a model code, the title of a book or game, or "", as `kind.naming` says."""
    names = shop().names
    if kind.naming == "none":
        return ""
    if kind.naming == "book":
        last = names.cookbook_last if kind.type == "cookbook" else names.book_last
        name = f"{rng.choice(names.book_first)} {rng.choice(last)}"
        return f"The {name}" if rng.bernoulli(0.6) else name
    if kind.naming == "code":
        consonants = [letter for letter in brand.upper() if letter in "BCDFGKLMNPRSTVXZ"]
        letters = "".join(consonants[:2]) if rng.bernoulli(0.6) else consonants[0]
        number = 10 * (10 + rng.below(90))
        return f"{letters}-{number}" if rng.bernoulli(0.5) else f"{letters}{number}"
    line = rng.choice(names.lines)
    return f"{line} {rng.choice(names.line_endings)}" if rng.bernoulli(0.2) else line


def author_name(rng: Rng) -> str:
    names = shop().names
    return f"{rng.choice(names.author_first)} {rng.choice(names.author_last)}"


def title_case(phrase: str) -> str:
    """A perk as titles write it: `a removable crumb tray` -> `Removable Crumb Tray`."""
    words = re.sub(r"^(?:a|an|the) ", "", phrase).split()
    return " ".join(
        # Units keep their case: "24 g of Protein".
        word
        if before.isdigit() or (before and word in _SMALL_WORDS)
        else word[:1].upper() + word[1:]
        for before, word in zip(["", *words], words, strict=False)
    )


def choose_noun(kind: Kind, chosen: Chosen, rng: Rng) -> str:
    """One of the kind's nouns that does not contradict the chosen values.

    A noun is ruled out if it contains another choice of an axis: "True Wireless Earbuds" for a
    wired pair.
    """
    fitting = [noun for noun in kind.nouns if not _contradicts(noun, chosen)]
    return rng.mostly_first(fitting or kind.nouns[:1], 0.5)


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
    kind: Kind, brand: str, model: str, noun: str, chosen: Chosen, perk: str, rng: Rng
) -> str:
    """A title. Each brand has a house style: one pattern for most of its products."""
    leads: list[str] = []
    tails: list[str] = []
    for axis, choice in chosen:
        form = rng.mostly_first(choice.surfaces)
        if not form or axis.place == "hidden" or not rng.bernoulli(axis.shown):
            continue
        if not _has_phrase(f"{noun} {model}", form):
            (leads if axis.place == "lead" else tails).append(form)
    if kind.naming == "book":
        return _book_title(model, noun, leads, tails, rng)
    pattern = Rng("house style", brand).below(5) if rng.bernoulli(0.7) else rng.below(6)
    name = f"{brand} {model}".strip()
    middle = " ".join([*leads, noun])
    tail = ", ".join(tails)
    if rng.bernoulli(0.22) and " with " not in f"{noun} ".lower():
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


def _book_title(name: str, noun: str, leads: list[str], tails: list[str], rng: Rng) -> str:
    what = " ".join([*leads, noun])
    if rng.bernoulli(0.5):
        return _joined(f"{name}: {what}", ", ".join(tails))
    return f"{name} ({', '.join([what, *tails])})"


def write_description(
    kind: Kind, brand: str, model: str, chosen: Chosen, perks: Sequence[str], rng: Rng
) -> str:
    """One paragraph: the pitch, the perks, the attribute values."""
    name = f"{brand} {model}".strip() if kind.naming != "book" else model
    noun = kind.nouns[0]
    perk_list = f"{', '.join(perks[:-1])} and {perks[-1]}" if len(perks) > 1 else perks[0]
    opener = rng.choice((
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
        without = words.endswith((" free", "unscented", "unsweetened"))
        return words if choice.value else ("" if without else f"not {words}")
    usual_form = choice.surfaces[0]
    label = shop().facts.get(axis.name)
    if label is not None:
        return f"{label} {usual_form}" if usual_form else ""
    label = axis.name.rsplit("_", 1)[0] if axis.name.endswith(("_mm", "_g", "_cm")) else axis.name
    return f"{label.replace('_', ' ')} {choice.value!s}"
