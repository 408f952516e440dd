"""Titles: queries generated from a sample catalog, for training.

Each query describes a product of the catalog by its type and some of its attributes. The grades
follow from these by `judge.grade`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qtr_rerank.data.sample.judge import Constraint, Intent, Judge
from qtr_rerank.data.sample.kinds import Axis, Kind
from qtr_rerank.data.sample.queries import judged_intents
from qtr_rerank.data.sample.reader import shop
from qtr_rerank.data.sample.rng import Rng
from qtr_rerank.data.sample.titles import choose_noun
from qtr_rerank.records import Product
from qtr_rerank.text import normalise


@dataclass(frozen=True, slots=True)
class GeneratedQuery:
    """A query, its intent, and its grades 0 to 3 by product id."""

    query: str
    intent: Intent
    ratings: Mapping[str, int]


def generated_queries(catalog: Iterable[Product], n: int, seed: int) -> list[GeneratedQuery]:
    """Up to `n` distinct queries, each describing a product of the catalog.

    A query names the product's type and up to four of its attributes, not always in the words of
    its title. None has the text or the intent of a judged query. There are fewer than `n` if the
    catalog yields no more.
    """
    products = list(catalog)
    judge = Judge(products)
    texts = {normalise(query.text) for query in judged_intents()}
    judged = {_meaning(query.intent) for query in judged_intents()}
    made: list[GeneratedQuery] = []
    rng = Rng(seed, "generated queries")
    for _ in range(6 * n if products else 0):
        text, intent = _describe(rng.choice(products), rng)
        if text in texts or _meaning(intent) in judged:
            continue
        texts.add(text)
        made.append(GeneratedQuery(text, intent, judge.ratings(text, intent)))
        if len(made) == n:
            break
    return made


def _meaning(intent: Intent) -> tuple[frozenset[str], frozenset[Constraint]]:
    return frozenset(intent.types), frozenset(intent.constraints)


def _describe(product: Product, rng: Rng) -> tuple[str, Intent]:
    """A query for something like this product, and its intent."""
    kind = shop().kinds[str(product.attributes["type"])]
    leads: list[str] = []
    tails: list[str] = []
    constraints: list[Constraint] = []
    if rng.bernoulli(0.25):
        leads.append(product.brand)
        constraints.append(Constraint("brand", product.brand))
    limit = rng.choice((0, 1, 1, 1, 2, 2, 3, 4))
    for axis in rng.shuffled(kind.axes):
        form = _form(axis, product, rng)
        if form and len(constraints) < limit:
            constraints.append(Constraint(axis.name, product.attributes[axis.name]))
            (leads if axis.place == "lead" or rng.bernoulli(0.4) else tails).append(form)
    text = normalise(" ".join([*leads, _noun(kind, constraints, rng), *tails]))
    if rng.bernoulli(0.12):
        text = _misspelt(text, rng)
    return text, Intent((kind.type,), tuple(constraints))


def _form(axis: Axis, product: Product, rng: Rng) -> str:
    """A written form of the product's value on the axis; can be ""."""
    value = product.attributes[axis.name]
    plain = axis.name.replace("_", " ")
    if value is True and plain.endswith(" free") and rng.bernoulli(0.4):
        return f"without {plain.removesuffix(' free')}"
    if value is False and axis.name in ("wireless", "cordless", "solar") and rng.bernoulli(0.4):
        return f"not {plain}"
    forms = next(choice.surfaces for choice in axis.choices if choice.value == value)
    return rng.choice(forms)


def _noun(kind: Kind, constraints: list[Constraint], rng: Rng) -> str:
    chosen = [
        (axis, choice)
        for constraint in constraints
        for axis in kind.axes
        if axis.name == constraint.name
        for choice in axis.choices
        if choice.value == constraint.value
    ]
    return choose_noun(kind, chosen, rng)


def _misspelt(text: str, rng: Rng) -> str:
    """Drop, double or swap (with the next) one inner letter of a word of five or more letters."""
    parts = text.split()
    long = [place for place, word in enumerate(parts) if len(word) >= 5 and word.isalpha()]
    if not long:
        return text
    place = rng.choice(long)
    word = parts[place]
    at = 1 + rng.below(len(word) - 2)
    parts[place] = rng.choice((
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    ))  # fmt: skip
    return " ".join(parts)
