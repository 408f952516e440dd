"""Titles: the judged queries of the sample shop, read from `queries.toml`.

The file holds what shoppers type and what they want. `judge.grade` derives which products answer
it, and how well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qtr_rerank.data.sample.entries import Entry, is_number
from qtr_rerank.data.sample.judge import Constraint, Intent, Judge, JudgedQuery, same_value
from qtr_rerank.data.sample.kinds import Kind
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
    queries: dict[str, JudgedIntent] = {}
    for kind in QUERY_KINDS:
        table = root.table(kind)
        for text in table.names():
            if text in queries:
                table.refuse(f"'{text}' is also in {queries[text].kind}")
            queries[text] = JudgedIntent(text, kind, _intent(table.table(text)))
    root.finish()
    return tuple(queries.values())


def _intent(entry: Entry) -> Intent:
    types = entry.texts("types")
    for type_ in types:
        if type_ not in shop().kinds:
            entry.refuse(f"the sample shop has no type {type_!r}")
    kinds = [shop().kinds[type_] for type_ in types]
    constraints = (
        *_constraints(entry, "wanted", kinds),
        *_constraints(entry, "unwanted", kinds),
    )
    entry.finish()
    return Intent(types, constraints)


def _constraints(entry: Entry, key: str, kinds: list[Kind]) -> Iterator[Constraint]:
    """The constraints of one table. Some product of the kinds can have each value."""
    if not entry.has(key):
        return
    table = entry.table(key)
    for name in table.names():
        value = table.raw(name)
        possible = list(dict.fromkeys(_possible_values(name, kinds)))
        if not (isinstance(value, str | bool) or is_number(value)) or not any(
            same_value(name, one, value) for one in possible
        ):
            table.refuse(f"{name} = {value!r}; products of the types have {possible or 'none'}")
        yield Constraint(name, value, negated=key == "unwanted")


def _possible_values(name: str, kinds: list[Kind]) -> Iterator[AttributeValue]:
    for kind in kinds:
        if name == "brand":
            yield from _brands(kind)
        for axis in kind.axes:
            if axis.name == name:
                yield from (choice.value for choice in axis.choices)


def _brands(kind: Kind) -> Iterable[str]:
    if kind.models:
        return [model.partition("|")[0] for model in kind.models]
    return kind.brands or next(one.brands for one in shop().departments if kind in one.kinds)
