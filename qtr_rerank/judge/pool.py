"""Judge: the pairs to grade, pooled from the first documents of all runs without saying whose.

Ids are TREC's, as runs and qrels have them; `Queries` gives the text of a query.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.judge.guidelines import BEST
from qtr_rerank.trec import from_trec_id, trec_query_id

Ratings = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a product, by their TREC ids."""

    query: str
    document: str


@dataclass(frozen=True, slots=True)
class Pool:
    """What the runs show in their first `depth` ranks.

    `shown` are the runs' first documents by query: one mapping a run, in the order of the runs.
    `open` are the pairs without a rating, in an order that a seed draws. `unknown` are pairs whose
    product the index does not hold: they cannot be shown to anybody.
    """

    depth: int
    queries: tuple[str, ...]
    shown: tuple[Mapping[str, tuple[str, ...]], ...]
    open: tuple[Pair, ...]
    unknown: tuple[Pair, ...]

    def documents(self, query: str) -> set[str]:
        """The documents that any run shows for `query`."""
        return {document for run in self.shown for document in run.get(query, ())}


def pooled(
    runs: Sequence[Run],
    ratings: Ratings,
    is_known: Callable[[Sequence[str]], Sequence[bool]],
    *,
    depth: int = 10,
    seed: int = 0,
) -> Pool:
    """The pool of `runs`, without the pairs that `ratings` have.

    `is_known` says of each product id whether the index holds it. A query that a run lacks counts
    as one without results. Raises SettingsError for a depth below 1, DataError where two runs
    share no query or where the index holds nothing of a run.
    """
    if depth < 1:
        raise SettingsError(f"the depth is {depth}; at least the first document must be pooled")
    _check_queries(runs)
    queries = tuple(dict.fromkeys(query for run in runs for query in run.rankings))
    shown = tuple(
        {query: ranking[:depth] for query, ranking in run.rankings.items()} for run in runs
    )
    held = _held(runs, shown, is_known)
    pairs = dict.fromkeys(
        Pair(query, document)
        for query in queries
        for run in shown
        for document in run.get(query, ())
        if document not in ratings.get(query, {})
    )
    found = [pair for pair in pairs if pair.document in held]
    # Sorted first, so that the order says nothing about the runs.
    found.sort(key=lambda pair: (pair.query, pair.document))
    random.Random(seed).shuffle(found)
    unknown = tuple(pair for pair in pairs if pair.document not in held)
    return Pool(depth, queries, shown, tuple(found), unknown)


def _check_queries(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if not run.rankings.keys() & first.rankings.keys():
            raise DataError(
                f"{first.path} and {run.path} share no query: their ids look like "
                f"{next(iter(first.rankings))!r} and {next(iter(run.rankings))!r}; give runs of "
                "the same queries"
            )


def _held(
    runs: Sequence[Run],
    shown: Sequence[Mapping[str, tuple[str, ...]]],
    is_known: Callable[[Sequence[str]], Sequence[bool]],
) -> set[str]:
    held: set[str] = set()
    for run, rankings in zip(runs, shown, strict=True):
        own = list(dict.fromkeys(one for ranking in rankings.values() for one in ranking))
        known = is_known([from_trec_id(document) for document in own])
        if own and not any(known):
            raise DataError(
                f"the index holds none of the {len(own):,} products of {run.path}, such as "
                f"{from_trec_id(own[0])!r}; give the index of the catalog that the run searched"
            )
        held.update(one for one, is_held in zip(own, known, strict=True) if is_held)
    return held


class QueryTexts:
    """The text of each query id.

    Without `texts` a query's id is the query itself, as `qtr search` writes it.
    """

    def __init__(self, queries: Sequence[str], texts: Mapping[str, str] | None = None) -> None:
        """Raises DataError where `texts` lack a query, or where ids cannot be queries."""
        if texts is None:
            if queries and all(query.isdecimal() for query in queries):
                raise DataError(
                    f"the query ids are numbers, such as {queries[0]!r}; give their texts by "
                    "--queries FILE, a table with the columns qid and query"
                )
            texts = {query: from_trec_id(query) for query in queries}
        missing = [query for query in queries if query not in texts]
        if missing:
            raise DataError(
                f"--queries has no text for {len(missing)} of the {len(queries)} queries in the "
                f"runs, such as {from_trec_id(missing[0])!r}; its ids look like "
                f"{next(iter(texts), '')!r}; give the file that the runs were made from"
            )
        self.texts = {query: texts[query] for query in queries}
        self.are_ids = all(trec_query_id(text) == query for query, text in self.texts.items())
        """Whether each id is its query, so that a file of judgments needs no column of ids."""


def check_scale(name: str, ratings: Ratings) -> str:
    """A warning if the ratings of the qrels `name` look like another scale than 0 to 3, else "".

    Raises DataError for a rating outside of 0 to 3.
    """
    worst = max((rating for rated in ratings.values() for rating in rated.values()), default=BEST)
    if worst > BEST:
        raise DataError(
            f"{name} has the rating {worst:g}; judgments here are 0 to {BEST}, and both must be on "
            "one scale: divide its ratings"
        )
    if worst <= 1:
        return (
            f"{name} has no rating above {worst:g}, and judgments here go to {BEST}: a relevant "
            "product of that file will count less than an exact one of yours"
        )
    return ""
