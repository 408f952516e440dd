"""Recipe: a catalog and its judgments, checked before anything is trained on them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from qtr_rerank.data.catalog_formats import product_texts
from qtr_rerank.data.splits import query_key, split_of
from qtr_rerank.errors import DataError
from qtr_rerank.records import Judgment, Product
from qtr_rerank.teacher.transfer_pairs import generate_query
from qtr_rerank.template import ProductText

LEAST_PRODUCTS = 100
LEAST_JUDGED_QUERIES = 20
_TRIES_A_QUERY = 20


@dataclass(frozen=True, slots=True)
class Shop:
    """`products` can be read again; `texts` maps their ids to what models read of them.

    `judgments` are those of known products, `unknown` counts the others. `fingerprints` change
    with any product and any judgment.
    """

    name: str
    products: Iterable[Product]
    texts: dict[str, str]
    reads: ProductText
    judgments: tuple[Judgment, ...]
    unknown: int
    fingerprints: dict[str, str]

    def judged_queries(self, side: str) -> list[str]:
        """The distinct judged queries of one side of the split, in order."""
        queries = dict.fromkeys(judgment.query for judgment in self.judgments)
        return [query for query in queries if split_of(query) == side]


def read_shop(
    name: str, products: Iterable[Product], judgments: Sequence[Judgment], reads: ProductText
) -> Shop:
    """Read the catalog once. Raises DataError where there is too little to learn from, or most
    judgments are of other products.
    """
    catalog, judged = hashlib.sha256(), hashlib.sha256()
    texts = product_texts(_digested(products, catalog), reads)
    if len(texts) < LEAST_PRODUCTS:
        raise DataError(
            f"{name} holds {len(texts)} products; at least {LEAST_PRODUCTS} are needed to learn "
            "from: use the models of the package ('qtr models')"
        )
    known = tuple(judgment for judgment in judgments if judgment.product_id in texts)
    for judgment in judgments:
        judged.update(json.dumps([judgment.query, judgment.product_id, judgment.rating]).encode())
    shop = Shop(
        name=name,
        products=products,
        texts=texts,
        reads=reads,
        judgments=known,
        unknown=len(judgments) - len(known),
        fingerprints={"catalog": catalog.hexdigest(), "judgments": judged.hexdigest()},
    )
    if judgments:
        _check_judgments(shop, judgments)
    return shop


def _check_judgments(shop: Shop, judgments: Sequence[Judgment]) -> None:
    if shop.unknown * 2 > len(judgments):
        stranger = next(each for each in judgments if each.product_id not in shop.texts)
        raise DataError(
            f"{shop.unknown:,} of {len(judgments):,} judgments are of products that {shop.name} "
            f"does not hold (the first: {stranger.product_id!r}); give judgments by its ids"
        )
    kept, held_out = shop.judged_queries("train"), shop.judged_queries("dev")
    if len(kept) + len(held_out) < LEAST_JUDGED_QUERIES or not kept or not held_out:
        raise DataError(
            f"the judgments are of {len(kept) + len(held_out)} queries; at least "
            f"{LEAST_JUDGED_QUERIES} are needed to learn from some and to measure on the others: "
            "judge more, or leave out --judgments"
        )
    lowest = min(judgment.rating for judgment in shop.judgments)
    if not any(one.rating > lowest and split_of(one.query) == "dev" for one in shop.judgments):
        raise DataError(
            f"all judgments of the {len(held_out)} queries kept aside have the lowest rating, "
            f"{lowest:g}, so no order is better than another: judge more, or leave out --judgments"
        )


def held_out_queries(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Queries made from texts as those of the transfer set are, no two with one key; fewer than
    `count` where the texts do not give as many.
    """
    # Another stream of chance than that of the transfer set, which starts from the seed itself.
    chance = random.Random(f"held out {seed}")
    found: dict[str, str] = {}
    for _ in range(count * _TRIES_A_QUERY):
        if len(found) == count:
            break
        query = generate_query(chance.choice(texts), chance, max_words=4)
        if query:
            found.setdefault(query_key(query), query)
    return list(found.values())


def _digested(products: Iterable[Product], digest: hashlib._Hash) -> Iterator[Product]:
    for product in products:
        digest.update(json.dumps(product.to_dict(), sort_keys=True).encode())
        yield product
