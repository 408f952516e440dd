"""Fixtures of the tests of `qtr judge`: runs, a pool, and a shop to judge in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from qtr_rerank.evaluate.runs import Run
from qtr_rerank.judge.pool import Pool, Ratings, pooled
from qtr_rerank.records import Product
from qtr_rerank.trec import trec_id, trec_query_id
from tests.small_index import build_small_index

QUERIES = ("red shoe", "kettle", "usb cable")
PRODUCTS = tuple(f"P{number}" for number in range(12))

rankings = st.fixed_dictionaries(
    {
        trec_query_id(query): st.permutations(PRODUCTS).map(lambda ids: tuple(ids[:7]))
        for query in QUERIES
    }
)
ratings = st.dictionaries(
    st.sampled_from([trec_query_id(query) for query in QUERIES]),
    st.dictionaries(st.sampled_from(PRODUCTS), st.integers(0, 3), max_size=6),
)


def make_run(name: str, by_query: Mapping[str, Iterable[str]]) -> Run:
    """A run of queries given as text."""
    found = {
        trec_query_id(query): tuple(map(trec_id, documents))
        for query, documents in by_query.items()
    }
    return Run(name, Path(f"{name}.trec"), found)


def make_pool(*runs: Run, judged: Ratings | None = None, depth: int = 5, seed: int = 0) -> Pool:
    """The pool of runs over an index that holds everything."""
    return pooled(runs, judged or {}, lambda ids: [True] * len(ids), depth=depth, seed=seed)


@dataclass(frozen=True)
class JudgeShop:
    """An index of a few products, two runs over it, and judgments of a part of them."""

    folder: Path
    index: Path
    runs: tuple[Path, Path]
    qrels: Path

    @property
    def arguments(self) -> list[str]:
        """The arguments of `qtr judge`, but for -o."""
        return [*map(str, self.runs), "--qrels", str(self.qrels), "--index", str(self.index)]


HOSTILE = '<script>alert(1)</script> Kettle & "Co"'


def judge_shop(folder: Path) -> JudgeShop:
    """Build it in `folder`: 12 products, two queries, of which the qrels judge one pair."""
    products = [
        Product(
            id=f"P{number}",
            title=f"Kettle number {number}, {number + 1} litres",
            brand="Boil & Co",
            category="Kettles",
            price=10.0 + number,
            description="It boils water. " * (number + 1),
            attributes={"colour": "red", "power_w": 2000},
            image="kind:kettle",
            extra={"currency": "EUR"},
        )
        for number in range(10)
    ]
    products.append(
        Product(
            id="x/<b>", title=HOSTILE, brand="<i>x</i>", description="<img src=x onerror=alert(2)>"
        )
    )
    products.append(Product(id="bare", title="Bare"))
    build_small_index(folder / "index", products, models=("twin", "match"))
    ids = [product.id for product in products]
    queries = ("kettle", "<u>2 l</u> kettle")
    names = ("one", "two")
    for name, order in zip(names, (ids, ids[::-1]), strict=True):
        lines = [
            f"{trec_query_id(query)} Q0 {trec_id(id)} {rank} {len(order) - rank} {name}\n"
            for query in queries
            for rank, id in enumerate(order, 1)
        ]
        (folder / f"{name}.trec").write_text("".join(lines))
    (folder / "qrels.csv").write_text("query,docid,rating\nkettle,P0,3\n")
    one, two = (folder / f"{name}.trec" for name in names)
    return JudgeShop(folder, folder / "index", (one, two), folder / "qrels.csv")
