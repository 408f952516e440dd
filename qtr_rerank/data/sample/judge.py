"""Titles: judged queries of the sample catalog; every grade follows from attributes by one rule.

3  a product of the wished type that meets every constraint;
2  of the wished type with one soft constraint missed (another colour, another size);
1  of the wished type with more missed, or a hard one (brand, gender, what it fits, sugar free
   or not); an accessory of it; a near substitute of the same family;
0  everything else, the phone included when a phone case was asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from qtr_rerank.data.sample.draws import Draws
from qtr_rerank.data.sample.generate import KINDS
from qtr_rerank.errors import SettingsError
from qtr_rerank.records import AttributeValue, Product
from qtr_rerank.text import words

_HARD = {"brand", "gender", "compatible_with"}
_LIST_LENGTH = 150
_ZEROS = 40


@dataclass(frozen=True, slots=True)
class Constraint:
    """A wish about one attribute ("brand" reads the product's brand).

    With `negated` the value is what the shopper does not want.
    """

    name: str
    value: AttributeValue
    negated: bool = False

    @property
    def hard(self) -> bool:
        """Missing it is worse than another colour: yes/no wishes, exclusions, brand, fit."""
        return self.negated or isinstance(self.value, bool) or self.name in _HARD

    def met_by(self, product: Product) -> bool:
        found = product.brand if self.name == "brand" else product.attributes.get(self.name)
        return (found is not None and _same(self.name, found, self.value)) != self.negated


@dataclass(frozen=True, slots=True)
class Intent:
    """What a shopper wants: one of these types of product, with these constraints."""

    types: tuple[str, ...]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        for wished in self.types:
            if wished not in KINDS:
                raise SettingsError(
                    f"the sample catalog has no type '{wished}'; choose from: "
                    f"{', '.join(sorted(KINDS))}"
                )


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query as typed, its class ("misspelt", "unit", ...), and grades 0 to 3 by product id."""

    query: str
    kind: str
    ratings: Mapping[str, int]


def _same(name: str, found: AttributeValue, wished: AttributeValue) -> bool:
    if isinstance(found, str) or isinstance(wished, str) or not name.endswith(("_ml", "_g")):
        return found == wished
    # Ounces and pounds are rounded in shops: 64 oz is what they call 2 litres.
    return abs(found - wished) <= 0.06 * wished


def grade(product: Product, intent: Intent) -> int:
    """How well a product answers the intent, 0 to 3 (see the module's docstring)."""
    offered = str(product.attributes.get("type", ""))
    if offered not in intent.types:
        return int(offered in related_types(intent.types))
    missed = [wish for wish in intent.constraints if not wish.met_by(product)]
    if not missed:
        return 3
    return 2 if len(missed) == 1 and not missed[0].hard else 1


@cache
def related_types(types: tuple[str, ...]) -> frozenset[str]:
    """Accessories of the types and the rest of their families."""
    families = {KINDS[wished].family for wished in types} - {""}
    return frozenset(
        kind.type
        for kind in KINDS.values()
        if kind.type not in types
        and (kind.family in families or any(wished in kind.accessory_of for wished in types))
    )


class Judge:
    """Grades the products of one catalog; looks only at those that can matter to an intent."""

    def __init__(self, catalog: Iterable[Product]) -> None:
        self._by_type: defaultdict[str, list[Product]] = defaultdict(list)
        self._by_department: defaultdict[str, list[Product]] = defaultdict(list)
        self._by_word: defaultdict[str, list[Product]] = defaultdict(list)
        self._catalog = list(catalog)
        for product in self._catalog:
            self._by_type[str(product.attributes.get("type", ""))].append(product)
            self._by_department[str(product.extra.get("department", ""))].append(product)
            for word in dict.fromkeys(words(product.title)):
                self._by_word[word].append(product)

    def ratings(self, query: str, intent: Intent) -> Mapping[str, int]:
        """The judged list: all products graded 1 or more, and some zeros that look alike.

        Best grades first. Beyond 150 products the list keeps all of grade 2 and 3 and drops
        some of grade 1.
        """
        draws = Draws("judged list", query)
        related = sorted(related_types(intent.types))
        graded = [
            (product.id, grade(product, intent))
            for offered in [*intent.types, *related]
            for product in self._by_type[offered]
        ]
        wanted = sorted((pair for pair in graded if pair[1] >= 2), key=lambda pair: -pair[1])
        weak = draws.shuffled([pair for pair in graded if pair[1] == 1])
        room = max(_LIST_LENGTH - _ZEROS - len(wanted), 0)
        zeros = self._zeros(query, intent, draws, {product_id for product_id, _ in graded})
        return MappingProxyType(dict([*wanted, *weak[:room], *zeros]))

    def _zeros(
        self, query: str, intent: Intent, draws: Draws, graded: set[str]
    ) -> list[tuple[str, int]]:
        """Hard ones first: products that share words with the query; then the department's."""
        alike = [product for word in words(query) for product in self._by_word[word]]
        departments = dict.fromkeys(
            str(product.extra["department"])
            for wished in intent.types
            for product in self._by_type[wished][:1]
        )
        near = [product for name in departments for product in self._by_department[name]]
        picked = [
            draws.pick(pool).id
            for pool, share in ((alike, _ZEROS), (near, _ZEROS), (self._catalog, 2 * _ZEROS))
            for _ in range(share if pool else 0)
        ]
        distinct = dict.fromkeys(one for one in picked if one not in graded)
        return [(product_id, 0) for product_id in distinct][:_ZEROS]
