"""Titles: the judged queries of the sample shop, read from `queries.toml`.

The file holds what shoppers type and what they want. `judge.grade` derives which products answer
it, and how well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qtr_rerank.data.sample.entries import Entry, is_number
from qtr_rerank.data.sample.judge import Constraint, Intent, Judge, JudgedQuery, same_value
from qtr_rerank.data.sample.kinds import Kind, Shop
from qtr_rerank.data.sample.reader import FOLDER, shop
from qtr_rerank.records import AttributeValue, Product

QUERY_KINDS = (
    "plain", "misspelt", "synonym", "unit", "negation", "accessory", "brand", "colour", "size",
    "long tail",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class JudgedIntent:
    """The text of a judged query, its class of difficulty (one of QUERY_KINDS), its intent."""

    text: str
    kind: str
    intent: Intent


def sample_judgments(catalog: Iterable[Product]) -> list[JudgedQuery]:
    """The judged queries with their grades in a sample catalog, in a fixed order."""
    judge = Judge(catalog)
    return [
        JudgedQuery(query.text, query.kind, judge.ratings(query.text, query.intent))
        for query in judged_intents()
    ]


@cache
def judged_intents() -> tuple[JudgedIntent, ...]:
    """The judged queries as shipped, read once."""
    return read_queries(FOLDER / "queries.toml")


def read_queries(path: Path) -> tuple[JudgedIntent, ...]:
    """Read queries in the order of the file.

    Raises DataError, with the query's text, for an entry that no product of the shop can meet.
    """
    root = Entry.of_file(path)
    queries = [
        JudgedIntent(text, kind, _intent(root.table(kind).table(text)))
        for kind in QUERY_KINDS
        for text in root.table(kind).names()
    ]
    root.finish()
    return tuple(queries)


def _intent(entry: Entry) -> Intent:
    kinds = shop().kinds
    types = entry.texts("types")
    for wanted in types:
        if wanted not in kinds:
            entry.refuse(f"the sample shop has no type {wanted!r}")
    constraints = tuple(
        Constraint(name, _value(table, name, types), negated=key == "unwanted")
        for key in ("wanted", "unwanted")
        if entry.has(key)
        for table in [entry.table(key)]
        for name in table.names()
    )
    entry.finish()
    return Intent(types, constraints)


def _value(wanted: Entry, name: str, types: tuple[str, ...]) -> AttributeValue:
    """The value of one attribute. Products of the types can have it."""
    value = wanted.raw(name)
    possible = _possible_values(name, [shop().kinds[each] for each in types])
    if not (isinstance(value, str | bool) or is_number(value)) or not any(
        same_value(name, one, value) for one in possible
    ):
        wanted.refuse(f"{name} = {value!r}; products of the types have {possible or 'none'}")
    return value


def _possible_values(name: str, kinds: list[Kind]) -> list[AttributeValue]:
    if name == "brand":
        return list(dict.fromkeys(brand for kind in kinds for brand in _brands(kind, shop())))
    values = (
        choice.value
        for kind in kinds
        for axis in kind.axes
        if axis.name == name
        for choice in axis.choices
    )
    return list(dict.fromkeys(values))


def _brands(kind: Kind, shop: Shop) -> Iterable[str]:
    if kind.models:
        return [model.partition("|")[0] for model in kind.models]
    return kind.brands or next(one.brands for one in shop.departments if kind in one.kinds)
