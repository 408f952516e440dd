"""Search: retrieve -> rerank, one request on one screen.

with SearchEngine.open("runs/shop") as engine:
    for hit in engine.search("waterproof jacket", k=10).hits: ...
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.environment import OpenSearchSettings, Settings, opensearch_is_named
from qtr_rerank.errors import CatalogIndexError, SettingsError
from qtr_rerank.records import (
    Candidate,
    Facets,
    FacetValue,
    Filters,
    Product,
    SearchResult,
)
from qtr_rerank.rerank.cascade import DEFAULT_CASCADE, Stage, StageSettings, run_cascade
from qtr_rerank.retrieve.dense_faiss import FaissDense
from qtr_rerank.retrieve.dense_filtered import FilteredFaiss
from qtr_rerank.retrieve.fuse import reciprocal_rank_fusion
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.retrieve.schema import DenseIndex, LexicalIndex
from qtr_rerank.runtime.id_table import Positions
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.runtime.title_store import TitleStore

STAGES = ("retrieve", "rerank")


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """How the lexical and the dense list become one.

    `constant` and `weights` are those of reciprocal rank fusion. Products whose title vector is
    less like the query's than `least_cosine` are not fetched for it.
    """

    constant: int = 60
    weights: Mapping[str, float] = field(default_factory=dict)
    least_cosine: float = -1.0


@dataclass(frozen=True, slots=True)
class TwoOrders:
    """One retrieval in both orders; its times stand in both."""

    first: SearchResult
    reranked: SearchResult


@dataclass(frozen=True, slots=True)
class _Retrieval:
    query: str
    found: Sequence[Candidate]
    started: float
    ms: float
    times_ms: Mapping[str, float]


class SearchEngine:
    """An index with its models, opened for searching. Safe to share between threads."""

    def __init__(
        self,
        manifest: IndexManifest,
        connect: Callable[[], LexicalIndex],
        connect_dense: Callable[[], DenseIndex],
        store: TitleStore,
        retriever: Scorer,
        stages: Sequence[Stage],
        settings: RetrievalSettings,
    ) -> None:
        self.manifest = manifest
        self._connect = connect
        self._connected: LexicalIndex | None = None
        self._lock = threading.Lock()
        self._connect_dense = connect_dense
        self._connected_dense: DenseIndex | None = None
        self._store = store
        self._retriever = retriever
        self._stages = tuple(stages)
        self._settings = settings
        self._searchable: NDArray[np.bool_] | None = None
        if manifest.refused:
            self._searchable = np.ones(len(store), dtype=np.bool_)
            self._searchable[list(manifest.refused)] = False

    @classmethod
    def open(
        cls,
        path: Path | str,
        threads: int = 1,
        *,
        cascade: Sequence[StageSettings] = DEFAULT_CASCADE,
        settings: RetrievalSettings | None = None,
    ) -> SearchEngine:
        """Open the index folder at `path`; each request runs on `threads` threads.

        OpenSearch, where it is the engine, is connected to by the first request: OPENSEARCH_URL,
        or the address that the catalog was loaded to.
        Raises CatalogIndexError where there is no whole index, or it was made by other models than
        those installed, ArtifactError where a model is not installed.
        """
        folder = Path(path)
        manifest = IndexManifest.load(folder)
        store = TitleStore.open(folder / "store")
        if len(store) != manifest.count:
            raise CatalogIndexError(
                f"{folder} says it holds {manifest.count:,} products, its store {len(store):,}; "
                "index the catalog again"
            )
        names = dict.fromkeys([manifest.retriever, *(stage.model for stage in cascade)])
        scorers = {name: _scorer(manifest, name, threads) for name in names}
        faiss = FaissDense.open(folder / "titles.faiss") if manifest.dense == "faiss" else None
        stages = [
            Stage(scorers[stage.model], store.features(stage.model), stage.depth, stage.prior)
            for stage in cascade
        ]
        engine = cls(
            manifest,
            lambda: _lexical(manifest, folder),
            lambda: engine._filtered(faiss) if faiss is not None else _knn(manifest),
            store,
            scorers[manifest.retriever],
            stages,
            settings or RetrievalSettings(),
        )
        if manifest.engine == "embedded":
            engine._lexical()
        return engine

    @property
    def engine(self) -> str:
        """Where words are searched: "embedded" or "opensearch"."""
        return self.manifest.engine

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        filters: Filters | None = None,
        stage: str = "rerank",
        candidates: int = 1000,
        deadline_ms: float | None = None,
    ) -> SearchResult:
        """The best `k` products for `query`: retrieved, and unless `stage` is "retrieve", reranked.

        `deadline_ms` counts from the call; past it the order so far is the answer, `degraded`.
        A query of nothing but white space finds nothing. Raises EngineUnavailableError,
        SettingsError for an unknown stage.
        """
        if stage not in STAGES:
            raise SettingsError(f"the stage is {stage!r}; expected one of {list(STAGES)}")
        retrieval = self._begin(query, candidates, filters)
        return self._finish(retrieval, k, self._stages if stage == "rerank" else (), deadline_ms)

    def orders(
        self,
        query: str,
        k: int = 10,
        *,
        filters: Filters | None = None,
        candidates: int = 1000,
        deadline_ms: float | None = None,
    ) -> TwoOrders:
        """The best `k` of each order, first stage and reranked, from one retrieval."""
        retrieval = self._begin(query, candidates, filters)
        reranked = self._finish(retrieval, k, self._stages, deadline_ms)
        return TwoOrders(first=self._finish(retrieval, k, ()), reranked=reranked)

    def retrieve(
        self, query: str, candidates: int = 1000, filters: Filters | None = None
    ) -> list[Candidate]:
        """The first stage alone: lexical and dense lists of `candidates` each, fused and cut."""
        return self._retrieve(query, candidates, filters, {})

    def products(self, ids: Sequence[str]) -> list[Product]:
        """The products of `ids`, in that order. Raises UnknownIdError naming the first missing."""
        return self._lexical().products(ids)

    def facets(self, query: str, filters: Filters | None = None, candidates: int = 1000) -> Facets:
        """Counts over the query's candidates (the whole catalog where the query is blank).

        What is selected in a field does not narrow the counts of that same field, so that a
        shopper sees what else there is. Most frequent first, then by name.
        """
        filters = filters or Filters()
        columns = self._store.facets
        found: dict[Filters, Positions] = {}

        def candidates_of(narrowed: Filters) -> Positions:
            if narrowed not in found:
                found[narrowed] = self._positions(query, candidates, narrowed)
            return found[narrowed]

        brands = candidates_of(replace(filters, brands=()))
        categories = candidates_of(replace(filters, categories=()))
        prices = columns.prices[candidates_of(replace(filters, price_min=None, price_max=None))]
        known = prices[~np.isnan(prices)]
        return Facets(
            brands=_counts(columns.brand_codes[brands], columns.brands, filters.brands),
            categories=_counts(
                columns.category_codes[categories], columns.categories, filters.categories
            ),
            # A float32 19.99 is 19.9899997...: shortest text first, as the shop wrote it.
            price_min=float(str(known.min())) if len(known) else None,
            price_max=float(str(known.max())) if len(known) else None,
        )

    def __len__(self) -> int:
        return len(self._lexical())

    def close(self) -> None:
        """Release files and connections. Calling it twice is no fault."""
        with self._lock:
            for connected in (self._connected, self._connected_dense):
                if connected is not None:
                    connected.close()

    def __enter__(self) -> SearchEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _lexical(self) -> LexicalIndex:
        if self._connected is None:
            with self._lock:
                if self._connected is None:
                    self._connected = self._connect()
        return self._connected

    def _dense(self) -> DenseIndex:
        if self._connected_dense is None:
            with self._lock:
                if self._connected_dense is None:
                    self._connected_dense = self._connect_dense()
        return self._connected_dense

    def _filtered(self, faiss: FaissDense) -> DenseIndex:
        return FilteredFaiss(faiss, self._allowed)

    def _begin(self, query: str, candidates: int, filters: Filters | None) -> _Retrieval:
        started = time.perf_counter()
        times: dict[str, float] = {}
        found = self._retrieve(query, candidates, filters, times)
        return _Retrieval(query, found, started, _since(started), times)

    def _finish(
        self,
        retrieval: _Retrieval,
        k: int,
        stages: Sequence[Stage],
        deadline_ms: float | None = None,
    ) -> SearchResult:
        started = time.perf_counter()
        deadline = None if deadline_ms is None else retrieval.started + deadline_ms / 1000.0
        positions = self._store.positions([candidate.id for candidate in retrieval.found])
        done = run_cascade(retrieval.query, retrieval.found, positions, stages, max(k, 0), deadline)
        times = {**retrieval.times_ms, **done.times_ms, "total": retrieval.ms + _since(started)}
        return SearchResult(
            query=retrieval.query,
            hits=done.ranked,
            candidates=len(retrieval.found),
            times_ms=times,
            engine=self.engine,
            degraded=done.degraded,
        )

    def _retrieve(
        self, query: str, limit: int, filters: Filters | None, times: dict[str, float]
    ) -> list[Candidate]:
        if filters is not None and not isinstance(filters, Filters):
            raise SettingsError(
                f"the filters are {filters!r}; expected Filters, such as Filters(price_max=50.0)"
            )
        if not query.strip() or limit < 1:
            return []
        started = time.perf_counter()
        lexical = self._lexical().search(query, limit, filters)
        times["lexical"] = _since(started)

        started = time.perf_counter()
        vector = self._retriever.encode_queries([query])["vector"][0]
        times["encode"] = _since(started)

        started = time.perf_counter()
        near = self._dense().search(vector, limit, filters)
        near = [hit for hit in near if hit[1] >= self._settings.least_cosine]
        ids = self._store.ids([position for position, _ in near])
        dense = [
            Candidate(id=id, score=score, rank=rank)
            for rank, (id, (_, score)) in enumerate(zip(ids, near, strict=True), start=1)
        ]
        times["dense"] = _since(started)

        started = time.perf_counter()
        fused = reciprocal_rank_fusion(
            {"lexical": lexical, "dense": dense},
            limit,
            self._settings.constant,
            self._settings.weights,
        )
        times["fuse"] = _since(started)
        return fused

    def _allowed(self, filters: Filters | None) -> NDArray[np.bool_] | None:
        if not filters:
            return self._searchable
        passing = self._store.facets.matching(filters)
        return passing if self._searchable is None else passing & self._searchable

    def _positions(self, query: str, candidates: int, filters: Filters) -> Positions:
        if not query.strip():
            allowed = self._allowed(filters)
            return np.arange(len(self._store)) if allowed is None else np.flatnonzero(allowed)
        return self._store.positions(
            [candidate.id for candidate in self.retrieve(query, candidates, filters)]
        )


def _lexical(manifest: IndexManifest, folder: Path) -> LexicalIndex:
    if manifest.engine == "embedded":
        return TantivyLexical.open(folder / "tantivy")
    # Here, so that the embedded engine needs no client of another.
    from qtr_rerank.retrieve.lexical_opensearch import OpenSearchLexical

    return OpenSearchLexical.connect(_cluster(manifest), manifest.alias or "")


def _knn(manifest: IndexManifest) -> DenseIndex:
    from qtr_rerank.retrieve.dense_opensearch import OpenSearchDense

    return OpenSearchDense.connect(_cluster(manifest), manifest.alias or "")


def _cluster(manifest: IndexManifest) -> OpenSearchSettings:
    """The cluster that the environment names; else the one that the catalog was loaded into."""
    settings = Settings.from_environment().opensearch
    if manifest.url is None or opensearch_is_named():
        return settings
    return replace(settings, url=manifest.url)


def _scorer(manifest: IndexManifest, name: str, threads: int) -> Scorer:
    indexed = manifest.models.get(name)
    if indexed is None:
        raise CatalogIndexError(
            f"the index was made for models {', '.join(sorted(manifest.models))}, not {name!r}; "
            f"index the catalog again with --models naming {name} too"
        )
    scorer = Scorer.load(manifest.model_folders.get(name, name), threads)
    if scorer.fingerprint != indexed:
        raise CatalogIndexError(
            f"the index was made with model {name!r} of fingerprint {indexed[:12]}, the one "
            f"installed has {scorer.fingerprint[:12]}; index the catalog again, "
            "or install the model that made it"
        )
    return scorer


def _counts(
    codes: NDArray[np.int32], vocabulary: Sequence[str], selected: Sequence[str]
) -> tuple[FacetValue, ...]:
    values, counts = np.unique(codes, return_counts=True)
    found = {
        vocabulary[code]: count
        for code, count in zip(values.tolist(), counts.tolist(), strict=True)
    }
    # What was selected stays in sight with a count of 0, or it could not be unselected.
    found |= {value: 0 for value in selected if value not in found}
    found.pop("", None)
    order = sorted(found, key=lambda value: (-found[value], value))
    return tuple(FacetValue(value, found[value], value in selected) for value in order)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0
