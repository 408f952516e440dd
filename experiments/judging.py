"""How many judgments settle a comparison: the most useful pair first, against a random order.

    python -m experiments.judging QTR_DATA_DIR/icecat [--index DIR] [-o results/judging.json]

A simulated judge of Icecat: the published judgments are known, and the added ones of
`qtr_rerank.data.icecat` are hidden. Two runs over a sample of the queries are compared; the judge
gives the hidden grades one by one, in the orders of `qtr judge` and in others, until no grades of
what is left can turn the order of the runs; in the order that is drawn by chance, also until the
estimate is clear. Medians over samples of queries.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from statistics import median

import click

from indexer.job import IndexSettings, build_index
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.icecat import ADDED_JUDGMENTS, CATALOG_FILES, JUDGMENT_FILES
from qtr_rerank.evaluate.qrels import read_qrels
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.judge.comparison import Comparison
from qtr_rerank.judge.drawing import Drawing
from qtr_rerank.judge.pool import Pair, Pool, Ratings, pooled
from qtr_rerank.judge.session import next_useful
from qtr_rerank.rerank.cascade import StageSettings
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.runtime.manifest import is_index
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.search import SearchEngine
from qtr_rerank.trec import from_trec_id, trec_id

DEPTH = 10
QUERIES = 50
SAMPLES = 20
# A quarter of an hour, at five seconds a pair.
QUARTER = 180
Choice = Callable[[Comparison, Drawing, Collection[Pair], str | None], Pair]


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--index", type=click.Path(path_type=Path), default=Path("runs/judging/index"))
@click.option("--samples", default=SAMPLES, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("results/judging.json"))
def main(folder: Path, index: Path, samples: int, out: Path) -> None:
    published = read_qrels(first_file(folder, JUDGMENT_FILES)).ratings
    hidden = read_qrels(ADDED_JUDGMENTS).ratings
    if not is_index(index):
        catalog = first_file(folder, CATALOG_FILES)
        build_index(
            IndexSettings(catalog=catalog, index=index, format="icecat"),
            [Scorer.load(name) for name in ("twin", "match")],
        )
    found, left_out = graded_runs(index, published, hidden)
    report = {
        "queries": QUERIES,
        "samples": samples,
        "products left out, graded by nobody": left_out,
        "comparisons": [
            compared(pair, published, hidden, samples) for pair in combinations(found, 2)
        ],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(report, indent=2))


def graded_runs(index: Path, *graded: Ratings) -> tuple[list[Run], int]:
    """The runs without what nobody graded, and how many products that leaves out: the searches have
    changed a little since their first pages were graded.
    """
    queries = list(graded[0])
    kept, left_out = [], 0
    for run in runs(index, queries):
        rankings = {
            query: tuple(
                document
                for document in ranking
                if any(document in ratings.get(query, {}) for ratings in graded)
            )
            for query, ranking in run.rankings.items()
        }
        left_out += sum(len(run.rankings[query]) - len(rankings[query]) for query in queries)
        kept.append(Run(run.name, run.path, rankings))
    return kept, left_out


def runs(index: Path, queries: Sequence[str]) -> list[Run]:
    """The first pages of the searches whose pages the added judgments grade."""
    lexical = TantivyLexical.open(index / "tantivy")
    rankings: dict[str, dict[str, tuple[str, ...]]] = {
        "lexical": {
            query: tuple(trec_id(hit.id) for hit in lexical.search(from_trec_id(query), DEPTH))
            for query in queries
        }
    }
    for prior in (2.0, 0.0):
        with SearchEngine.open(index, cascade=(StageSettings("match", prior=prior),)) as engine:
            orders = {"lexical + dense": "retrieve"} if prior else {}
            for name, stage in {**orders, f"match, prior {prior:g}": "rerank"}.items():
                rankings[name] = {
                    query: tuple(
                        trec_id(hit.id)
                        for hit in engine.search(from_trec_id(query), DEPTH, stage=stage).hits
                    )
                    for query in queries
                }
    return [Run(name, index, ranking) for name, ranking in rankings.items()]


def compared(
    pair: Sequence[Run], published: Ratings, hidden: Ratings, samples: int
) -> dict[str, object]:
    """Medians over samples of queries: pairs until settled, by order."""
    likely: list[int] = []
    settled: dict[str, list[int]] = {name: [] for name in ORDERS}
    changes: dict[str, list[int]] = {name: [] for name in ORDERS}
    pools, wrong = [], 0
    for seed in range(samples):
        queries = random.Random(seed).sample(sorted(published), QUERIES)
        sampled = [
            Run(run.name, run.path, {query: run.rankings.get(query, ()) for query in queries})
            for run in pair
        ]
        pool = pooled(sampled, published, lambda ids: [True] * len(ids), depth=DEPTH, seed=seed)
        pools.append(len(pool.open))
        for name, choose in ORDERS.items():
            course = judged(pool, published, hidden, choose, seed)
            settled[name].append(len(course.asked))
            changes[name].append(
                sum(one.query != other.query for one, other in pairwise(course.asked))
            )
            if name == "drawn":
                likely.append(course.likely)
                wrong += course.is_wrong
    return {
        "runs": [run.name for run in pair],
        "difference, all queries": round(difference(pair, published, hidden), 4),
        "unjudged pairs": median(pools),
        "pairs until likely settled, drawn": {"median": median(likely), "most": max(likely)},
        "samples likely settled wrongly": wrong,
        f"samples likely settled by {QUARTER} pairs": sum(count <= QUARTER for count in likely),
        "pairs until settled": {name: median(values) for name, values in settled.items()},
        f"samples settled by {QUARTER} pairs": {
            name: sum(value <= QUARTER for value in values) for name, values in settled.items()
        },
        "changes of query": {name: median(values) for name, values in changes.items()},
    }


def difference(pair: Sequence[Run], published: Ratings, hidden: Ratings) -> float:
    """nDCG of the second run minus that of the first, with every grade."""
    ratings = {query: {**rated, **hidden.get(query, {})} for query, rated in published.items()}
    pool = pooled(pair, ratings, lambda ids: [True] * len(ids), depth=DEPTH)
    return Comparison(pool, ratings).difference(0, 1)[0]


@dataclass(frozen=True)
class Course:
    """What was judged until the comparison was settled; after how many pairs it was likely settled
    first, and whether the better run was then another than it is with all grades.
    """

    asked: list[Pair]
    likely: int
    is_wrong: bool


def judged(pool: Pool, known: Ratings, hidden: Ratings, choose: Choice, seed: int) -> Course:
    """Judge pairs as `choose` says until the comparison is settled."""
    comparison = Comparison(pool, known)
    drawing = Drawing(comparison, seed)
    left = list(pool.open)
    asked: list[Pair] = []
    likely: tuple[int, float] | None = None
    while left and not comparison.settled:
        if likely is None and choose is drawn:
            estimate = drawing.estimate(comparison, 0, 1)
            if estimate is not None and estimate.is_clear:
                likely = len(asked), estimate.difference
        pair = choose(comparison, drawing, left, asked[-1].query if asked else None)
        left.remove(pair)
        asked.append(pair)
        comparison.judge(pair, hidden[pair.query][pair.document])
    count, estimated = likely or (len(asked), 0.0)
    least, greatest = comparison.difference(0, 1)
    return Course(asked, count, estimated * (least + greatest) < 0)


def drawn(
    comparison: Comparison, drawing: Drawing, left: Collection[Pair], query: str | None
) -> Pair:
    return min(left, key=drawing.place.__getitem__)


def useful_alone(
    comparison: Comparison, drawing: Drawing, left: Collection[Pair], query: str | None
) -> Pair:
    return next_useful(comparison, drawing, left, None)


def in_pool_order(
    comparison: Comparison, drawing: Drawing, left: Collection[Pair], query: str | None
) -> Pair:
    return next(iter(left))


def query_by_query(
    comparison: Comparison, drawing: Drawing, left: Collection[Pair], query: str | None
) -> Pair:
    return next((pair for pair in left if pair.query == query), next(iter(left)))


ORDERS: Mapping[str, Choice] = {
    "drawn": drawn,
    "useful": next_useful,
    "useful, whatever the query": useful_alone,
    "random": in_pool_order,
    "random, query by query": query_by_query,
}

if __name__ == "__main__":
    main()
