"""Search: one retrieval as a value: its candidates in either order, and their facets.

    retrieval = engine.retrieve("waterproof jacket", Filters(price_max=100.0))
    retrieval.first(24), retrieval.reranked(24), retrieval.facets()

A page needs all three and costs one retrieval of each engine: two where filters are set, because
the counts of a facet do not know its own selection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.records import Candidate, Facets, FacetValue, Filters, SearchResult
from qtr_rerank.rerank.kernel import Arrays, Places, Ranking, Stage, first_order, rank
from qtr_rerank.rerank.kernel import StageScorer as Scorer
from qtr_rerank.retrieve.filter_mask import FilterMask
from qtr_rerank.retrieve.fuse import Fused
from qtr_rerank.runtime.id_table import Positions
from qtr_rerank.runtime.title_store import TitleStore

# What `hit.explain` calls the score and the rank of each retriever.
_SCORE_NAMES = {"lexical": "bm25", "dense": "cosine"}


@dataclass(frozen=True, slots=True)
class StoredStage:
    """A stage of a cascade over an index: `features` are those of all its titles, by position."""

    scorer: Scorer
    features: Arrays
    depth: int | None = None
    prior: float = 0.0

    def over(self, positions: Positions) -> Stage:
        """The stage for the candidates at `positions` (candidates,)."""

        def features(places: Places) -> Arrays:
            rows = positions[places]
            return {name: values[rows] for name, values in self.features.items()}

        return Stage(self.scorer, features, self.depth, self.prior)


class Retrieval:
    """The candidates of one query, fetched once. `SearchEngine.retrieve` makes it.

    `query` and `filters` are the request's; `times_ms` maps each step of retrieval to its wall
    time in milliseconds. Iterating gives `Candidate`s in the first order.
    """

    def __init__(
        self,
        query: str,
        filters: Filters,
        fused: Fused,
        *,
        store: TitleStore,
        mask: FilterMask,
        stages: Sequence[StoredStage],
        sideways: Callable[[int], Positions],
        engine: str,
        started: float,
        times_ms: Mapping[str, float],
    ) -> None:
        """`sideways(fields)` retrieves what fails at most one of the `fields` that are filtered;
        `started` is when the request began, a reading of `time.perf_counter`.
        """
        self.query = query
        self.filters = filters
        self.times_ms = times_ms
        self._fused = fused
        self._store = store
        self._mask = mask
        self._stages = tuple(stages)
        self._sideways = sideways
        self._engine = engine
        self._started = started
        self._retrieve_ms = _ms_since(started)

    def __len__(self) -> int:
        return len(self._fused)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates())

    def candidates(self, k: int | None = None) -> list[Candidate]:
        """The best `k` of the first order, None for all."""
        fused = self._fused
        rows = range(len(fused))[: None if k is None else max(k, 0)]
        ids = self._store.ids(fused.positions[: len(rows)])
        return [
            Candidate(
                id=ids[row],
                score=float(fused.scores[row]),
                rank=row + 1,
                sources={
                    name: int(ranks[row]) for name, ranks in fused.ranks.items() if ranks[row]
                },
            )
            for row in rows
        ]

    def first(self, k: int = 10) -> SearchResult:
        """The best `k` in the order of retrieval."""
        return self._result(self._first_order(), k, time.perf_counter())

    def reranked(self, k: int = 10, *, deadline_ms: float | None = None) -> SearchResult:
        """The best `k` after the cascade.

        `deadline_ms` counts from the start of the request. Past it, candidates that were scored
        stand first and the others behind, in the order they came in; the result is `degraded`.
        """
        started = time.perf_counter()
        deadline = None if deadline_ms is None else self._started + deadline_ms / 1000.0
        stages = [stage.over(self._fused.positions) for stage in self._stages]
        return self._result(rank(self.query, self._first_order(), stages, deadline), k, started)

    def facets(self) -> Facets:
        """Counts over the candidates, or over the whole catalog where the query is blank.

        A selection in a field does not narrow the counts of that field, so that shoppers see what
        else there is. Most frequent first, then by name. With filters this costs one retrieval
        more: of products that fail one of the filtered fields at most ("drill sideways").
        """
        filters, columns = self.filters, self._store.facets
        without = {
            "brand": replace(filters, brands=()),
            "category": replace(filters, categories=()),
            "price": replace(filters, price_min=None, price_max=None),
        }
        pools = self._pools(without)
        brands, categories = pools["brand"], pools["category"]
        prices = columns.prices[pools["price"]]
        known = prices[~np.isnan(prices)]
        return Facets(
            brands=_counts(columns.brand_codes[brands], columns.brands, filters.brands),
            categories=_counts(
                columns.category_codes[categories], columns.categories, filters.categories
            ),
            # str of a float32 is the shortest text that reads back: 19.99, as the shop wrote it.
            price_min=float(str(known.min())) if len(known) else None,
            price_max=float(str(known.max())) if len(known) else None,
        )

    def _pools(self, without: Mapping[str, Filters]) -> dict[str, Positions]:
        """Positions of the products that each facet counts."""
        if not self.query.strip():
            return {name: self._whole_catalog(narrowed) for name, narrowed in without.items()}
        found = self._fused.positions
        selected = [name for name, narrowed in without.items() if narrowed != self.filters]
        pools = dict.fromkeys(without, found)
        if not selected:
            return pools
        others = self._sideways(len(selected))
        if len(selected) > 1:
            # The second list is shared by several facets; what was selected must not run short.
            others = np.union1d(others, found)
        for name in selected:
            pools[name] = others[self._mask.passing(without[name], others)]
        return pools

    def _whole_catalog(self, filters: Filters) -> Positions:
        allowed = self._mask.allowed(filters)
        whole: Positions = np.arange(len(self._mask))
        return whole if allowed is None else np.flatnonzero(allowed)

    def _first_order(self) -> Ranking:
        fused = self._fused
        parts: dict[str, NDArray[np.float64]] = {}
        for name, ranks in fused.ranks.items():
            parts[_SCORE_NAMES.get(name, name)] = fused.list_scores[name]
            parts[f"{name}_rank"] = np.where(ranks > 0, ranks, np.nan)
        scores = np.clip(fused.scores / fused.best_possible, 0.0, 1.0)
        return first_order(len(fused), scores, parts)

    def _result(self, ranking: Ranking, k: int, started: float) -> SearchResult:
        hits = ranking.hits(
            lambda places: self._store.ids(self._fused.positions[places]),
            max(k, 0),
            first_scores=self._fused.scores,
        )
        total = self._retrieve_ms + _ms_since(started)
        return SearchResult(
            query=self.query,
            hits=tuple(hits),
            candidates=len(self),
            times_ms={**self.times_ms, **ranking.times_ms, "total": total},
            engine=self._engine,
            degraded=ranking.degraded,
        )


def _counts(
    codes: NDArray[np.int32], vocabulary: Sequence[str], selected: Sequence[str]
) -> tuple[FacetValue, ...]:
    values, counts = np.unique(codes, return_counts=True)
    found = {
        vocabulary[code]: count
        for code, count in zip(values.tolist(), counts.tolist(), strict=True)
    }
    # Selected values stay visible with a count of 0, so that they can be unselected.
    found |= {value: 0 for value in selected if value not in found}
    found.pop("", None)
    order = sorted(found, key=lambda value: (-found[value], value))
    return tuple(FacetValue(value, found[value], value in selected) for value in order)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0
