"""Titles: grades products of the sample catalog for an intent, from their attributes.

3  the right type, and every constraint is met;
2  the right type, and one soft constraint is missed (another colour, another size);
1  the right type, and a hard constraint (brand, gender, compatibility, yes/no) or several are
   missed; or an accessory of the right type; or a near substitute, of the same family;
0  everything else: also the phone for the query "phone case".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from qtr_rerank.data.sample.reader import shop
from qtr_rerank.data.sample.rng import Rng
from qtr_rerank.errors import SettingsError
from qtr_rerank.records import AttributeValue, Product
from qtr_rerank.text import words

_HARD = {"brand", "gender", "compatible_with"}
_LIST_LENGTH = 150
_ZEROS = 40


@dataclass(frozen=True, slots=True)
class Constraint:
    """A wanted value of one attribute, or an unwanted one if `negated`.

    The name "brand" stands for the product's brand.
    """

    name: str
    value: AttributeValue
    negated: bool = False

    @property
    def hard(self) -> bool:
        """Whether missing it costs two grades: yes/no values, exclusions, brand, gender, fit."""
        return self.negated or isinstance(self.value, bool) or self.name in _HARD

    def met_by(self, product: Product) -> bool:
        value = product.brand if self.name == "brand" else product.attributes.get(self.name)
        return (value is not None and same_value(self.name, value, self.value)) != self.negated


@dataclass(frozen=True, slots=True)
class Intent:
    """What a shopper wants: a product of one of the types that meets the constraints.

    Raises SettingsError for a type that the sample shop does not have.
    """

    types: tuple[str, ...]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        kinds = shop().kinds
        for wanted in self.types:
            if wanted not in kinds:
                raise SettingsError(
                    f"the sample catalog has no type '{wanted}'; choose from: "
                    f"{', '.join(sorted(kinds))}"
                )


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query, its class ("misspelt", "unit", ...), and its grades 0 to 3 by product id."""

    query: str
    kind: str
    ratings: Mapping[str, int]


def same_value(name: str, value: AttributeValue, wanted: AttributeValue) -> bool:
    """Whether a product's value of an attribute is the wanted one."""
    if isinstance(value, str) or isinstance(wanted, str) or not name.endswith(("_ml", "_g")):
        return value == wanted
    # Shops round ounces and pounds: a bottle of 2 litres is sold as 64 oz.
    return abs(value - wanted) <= 0.06 * wanted


def grade(product: Product, intent: Intent) -> int:
    """The grade of a product for an intent, 0 to 3 (see the module's docstring)."""
    offered = str(product.attributes.get("type", ""))
    if offered not in intent.types:
        return int(offered in related_types(intent.types))
    missed = [constraint for constraint in intent.constraints if not constraint.met_by(product)]
    if not missed:
        return 3
    return 2 if len(missed) == 1 and not missed[0].hard else 1


@cache
def related_types(types: tuple[str, ...]) -> frozenset[str]:
    """The accessories of the types, and the other types of their families."""
    kinds = shop().kinds
    families = {kinds[wanted].family for wanted in types} - {""}
    return frozenset(
        kind.type
        for kind in kinds.values()
        if kind.type not in types
        and (kind.family in families or any(wanted in kind.accessory_of for wanted in types))
    )


class Judge:
    """Grades the products of one catalog. Reads only those that an intent can grade above 0."""

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
        """Grades by product id, best first: all products of grade 1 to 3, and up to 40 zeros.

        A list longer than 150 keeps all products of grade 2 and 3 and drops some of grade 1.
        """
        rng = Rng("judged list", query)
        related = sorted(related_types(intent.types))
        graded = [
            (product.id, grade(product, intent))
            for offered in [*intent.types, *related]
            for product in self._by_type[offered]
        ]
        wanted = sorted((pair for pair in graded if pair[1] >= 2), key=lambda pair: -pair[1])
        weak = rng.shuffled([pair for pair in graded if pair[1] == 1])
        room = max(_LIST_LENGTH - _ZEROS - len(wanted), 0)
        zeros = self._zeros(query, intent, rng, {product_id for product_id, _ in graded})
        return MappingProxyType(dict([*wanted, *weak[:room], *zeros]))

    def _zeros(
        self, query: str, intent: Intent, rng: Rng, graded: set[str]
    ) -> list[tuple[str, int]]:
        """Products of grade 0, hard ones first: with words of the query, then of the department."""
        alike = [product for word in words(query) for product in self._by_word[word]]
        departments = dict.fromkeys(
            str(product.extra["department"])
            for wanted in intent.types
            for product in self._by_type[wanted][:1]
        )
        near = [product for name in departments for product in self._by_department[name]]
        picked = [
            rng.choice(pool).id
            for pool, share in ((alike, _ZEROS), (near, _ZEROS), (self._catalog, 2 * _ZEROS))
            for _ in range(share if pool else 0)
        ]
        distinct = dict.fromkeys(one for one in picked if one not in graded)
        return [(product_id, 0) for product_id in distinct][:_ZEROS]
