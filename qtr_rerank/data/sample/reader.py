"""Titles: reads the sample shop from its data files and checks every entry.

`vocabulary.toml` holds what departments share and their order. Each `departments/NAME.toml` is one
department: its name, its brands, and a [[kind]] table for each kind of product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import cast, get_args

from qtr_rerank.data.sample.attributes import Vocabulary, read_attribute
from qtr_rerank.data.sample.entries import Entry, is_number
from qtr_rerank.data.sample.kinds import Department, Kind, Names, Naming, Shop
from qtr_rerank.errors import DataError

FOLDER = Path(__file__).parent


@cache
def shop() -> Shop:
    """The sample shop as shipped, read once."""
    return read_shop(FOLDER)


def read_shop(folder: Path) -> Shop:
    """Read `vocabulary.toml` and the departments that it lists.

    Raises DataError for a file or entry that cannot be used; the message names both.
    """
    root = Entry.of_file(folder / "vocabulary.toml")
    order = root.texts("departments")
    there = {path.stem for path in (folder / "departments").glob("*.toml")}
    if len(set(order)) < len(order) or set(order) != there:
        wrong = sorted(set(order) ^ there) or sorted(order)
        root.refuse(f"departments must list each file of departments/ once; see {wrong}")
    colours = root.table("colours")
    vocabulary = Vocabulary(
        attributes=root.texts("attributes"),
        colours={name: colours.texts(name) for name in colours.names()},
        shared=root.table("shared"),
    )
    words = root.table("names")
    names = Names(**{field.name: words.texts(field.name) for field in fields(Names)})
    words.finish()
    facts = root.table("facts")
    labels = {name: facts.text(name) for name in facts.names()}
    root.finish()
    departments = tuple(
        _department(Entry.of_file(folder / "departments" / f"{name}.toml"), vocabulary)
        for name in order
    )
    return Shop(departments, _kinds_by_type(departments), names, labels)


def _department(root: Entry, vocabulary: Vocabulary) -> Department:
    contents = root.raw("kind")
    if not isinstance(contents, list):
        root.refuse("no [[kind]] tables")
    kinds: list[Kind] = []
    for number, content in enumerate(contents, start=1):
        models = {kind.type: kind.models for kind in kinds}
        kinds.append(_kind(Entry(f"{root.where}, kind {number}", content), vocabulary, models))
    department = Department(root.text("name"), root.texts("brands"), tuple(kinds))
    root.finish()
    return department


def _kind(entry: Entry, vocabulary: Vocabulary, models: Mapping[str, tuple[str, ...]]) -> Kind:
    """One kind of product. `models` are those of the kinds above it."""
    type_ = entry.text("type")
    entry.where += f" ({type_})"
    attributes = entry.table("attributes")
    kind = Kind(
        type=type_,
        category=entry.text("category"),
        picture=entry.text("picture"),
        nouns=entry.texts("nouns"),
        price=_price_range(entry),
        axes=tuple(
            read_attribute(name, attributes, vocabulary, models) for name in attributes.names()
        ),
        perks=entry.texts("perks", least=2),
        pitch=entry.text("pitch"),
        naming=cast(Naming, entry.one_of("naming", get_args(Naming), "line")),
        accessory_of=entry.texts("accessory_of", least=0),
        family=entry.text("family", default=""),
        brands=entry.texts("brands", least=0),
        models=entry.texts("models", least=0),
        weight=entry.number("weight", 1.0, low=0.01),
    )
    if not all(model.count("|") == 1 for model in kind.models):
        entry.refuse(f"models = {list(kind.models)}; expected each as 'Brand|Model'")
    entry.finish()
    return kind


def _price_range(entry: Entry) -> tuple[float, float]:
    match entry.raw("price"):
        case [low, high] if is_number(low) and is_number(high) and 0 < low < high:
            return low, high
    return entry.refuse(f"price = {entry.raw('price')!r}; expected [lowest, highest]")


def _kinds_by_type(departments: Iterable[Department]) -> Mapping[str, Kind]:
    """Checks on the way: types are unique, accessories and families refer to other kinds."""
    kinds: dict[str, Kind] = {}
    for kind in (kind for department in departments for kind in department.kinds):
        if kind.type in kinds:
            raise DataError(f"two kinds of the sample shop have the type '{kind.type}'")
        kinds[kind.type] = kind
    families = Counter(kind.family for kind in kinds.values())
    for kind in kinds.values():
        if kind.family and families[kind.family] == 1:
            raise DataError(
                f"the kind '{kind.type}' is alone in its family '{kind.family}'; drop the family"
            )
        for main in kind.accessory_of:
            if main not in kinds:
                raise DataError(
                    f"the kind '{kind.type}' has accessory_of = '{main}'; no kind has that type"
                )
    return kinds
