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
_TRIES_PER_QUERY = 20


@dataclass(frozen=True, slots=True)
class Shop:
    """A catalog and its judgments.

    `products` can be iterated more than once; `texts` maps product ids to what models read.
    `judgments` are those of products in the catalog, `unknown` counts the others. `fingerprints`
    change with any product and any judgment.
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
    """Read the catalog once.

    Raises DataError if there are too few products or judged queries to train on, or if most
    judgments are of products that the catalog lacks.
    """
    catalog, judged = hashlib.sha256(), hashlib.sha256()
    texts = product_texts(_digested(products, catalog), reads)
    if len(texts) < LEAST_PRODUCTS:
        raise DataError(
            f"{name} holds {len(texts)} products; training needs at least {LEAST_PRODUCTS}: "
            "use the models of the package ('qtr models')"
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
        first = next(each for each in judgments if each.product_id not in shop.texts)
        raise DataError(
            f"{shop.unknown:,} of {len(judgments):,} judgments are of products that {shop.name} "
            f"does not hold (the first: {first.product_id!r}); give judgments by its ids"
        )
    train, held_out = shop.judged_queries("train"), shop.judged_queries("dev")
    if len(train) + len(held_out) < LEAST_JUDGED_QUERIES or not train or not held_out:
        raise DataError(
            f"the judgments are of {len(train) + len(held_out)} queries; expected at least "
            f"{LEAST_JUDGED_QUERIES}, to train on some and measure on the others: "
            "judge more, or leave out --judgments"
        )
    lowest = min(judgment.rating for judgment in shop.judgments)
    if not any(one.rating > lowest and split_of(one.query) == "dev" for one in shop.judgments):
        raise DataError(
            f"all judgments of the {len(held_out)} held-out queries have the lowest rating, "
            f"{lowest:g}, so all orders measure the same: judge more, or leave out --judgments"
        )


def held_out_queries(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Generate queries from `texts` as the transfer set does, no two with the same key.

    Fewer than `count` if the texts do not yield as many.
    """
    # The transfer set seeds with `seed` itself; another seed here gives other queries.
    rng = random.Random(f"held out {seed}")
    queries: dict[str, str] = {}
    for _ in range(count * _TRIES_PER_QUERY):
        if len(queries) == count:
            break
        query = generate_query(rng.choice(texts), rng, max_words=4)
        if query:
            queries.setdefault(query_key(query), query)
    return list(queries.values())


def _digested(products: Iterable[Product], digest: hashlib._Hash) -> Iterator[Product]:
    for product in products:
        digest.update(json.dumps(product.to_dict(), sort_keys=True).encode())
        yield product
