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

from qtr_rerank.environment import OpenSearchSettings, Settings, opensearch_is_named
from qtr_rerank.errors import CatalogIndexError, SettingsError
from qtr_rerank.records import Facets, Filters, Product, SearchResult
from qtr_rerank.rerank.cascade import DEFAULT_CASCADE, StageSettings
from qtr_rerank.retrieval import Retrieval, StoredStage
from qtr_rerank.retrieve.dense_faiss import FaissDense
from qtr_rerank.retrieve.filter_mask import FilteredFaiss, FilterMask
from qtr_rerank.retrieve.fuse import Fused, reciprocal_rank_fusion
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.retrieve.positions import ById
from qtr_rerank.retrieve.schema import DenseIndex, Matches, PositionIndex
from qtr_rerank.runtime.id_table import Positions
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.runtime.title_store import TitleStore

STAGES = ("retrieve", "rerank")


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """How the lexical and the dense list become one.

    `constant` and `weights` are those of reciprocal rank fusion. The dense list leaves out
    products whose title vector has a cosine below `least_cosine` with the query's.
    """

    constant: int = 60
    weights: Mapping[str, float] = field(default_factory=dict)
    least_cosine: float = -1.0


class SearchEngine:
    """An index with its models, opened for searching. Safe to share between threads."""

    def __init__(
        self,
        manifest: IndexManifest,
        connect: Callable[[], PositionIndex],
        connect_dense: Callable[[], DenseIndex],
        store: TitleStore,
        mask: FilterMask,
        retriever: Scorer,
        stages: Sequence[StoredStage],
        settings: RetrievalSettings,
    ) -> None:
        self.manifest = manifest
        self._connect = connect
        self._connected: PositionIndex | None = None
        self._lock = threading.Lock()
        self._connect_dense = connect_dense
        self._connected_dense: DenseIndex | None = None
        self._store = store
        self._mask = mask
        self._retriever = retriever
        self._stages = tuple(stages)
        self._settings = settings

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

        Where the engine is OpenSearch, the first request connects to it: at OPENSEARCH_URL, or at
        the address that the catalog was loaded to.
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
        mask = FilterMask(store.facets, manifest.refused)
        faiss = FaissDense.open(folder / "titles.faiss") if manifest.dense == "faiss" else None
        engine = cls(
            manifest,
            lambda: _lexical(manifest, folder, store),
            lambda: _knn(manifest) if faiss is None else FilteredFaiss(faiss, mask),
            store,
            mask,
            scorers[manifest.retriever],
            [
                StoredStage(
                    scorers[stage.model], store.features(stage.model), stage.depth, stage.prior
                )
                for stage in cascade
            ],
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

        `deadline_ms` counts from the call; see `Retrieval.reranked` for what happens past it.
        A blank query finds nothing. Raises EngineUnavailableError, SettingsError for an unknown
        stage.
        """
        if stage not in STAGES:
            raise SettingsError(f"the stage is {stage!r}; expected one of {list(STAGES)}")
        retrieval = self.retrieve(query, filters, candidates=candidates)
        if stage == "retrieve":
            return retrieval.first(k)
        return retrieval.reranked(k, deadline_ms=deadline_ms)

    def retrieve(
        self, query: str, filters: Filters | None = None, *, candidates: int = 1000
    ) -> Retrieval:
        """The candidates for `query`: lexical and dense lists of `candidates` each, fused and cut.

        The value gives them in either order, and their facets, without another retrieval.
        Raises EngineUnavailableError, SettingsError for filters that are none.
        """
        if filters is not None and not isinstance(filters, Filters):
            raise SettingsError(
                f"the filters are {filters!r}; expected Filters, such as Filters(price_max=50.0)"
            )
        filters = filters or Filters()
        started = time.perf_counter()
        times: dict[str, float] = {}
        return Retrieval(
            query,
            filters,
            self._fused(query, candidates, filters, 0, times),
            store=self._store,
            mask=self._mask,
            stages=self._stages,
            sideways=lambda fields: self._sideways(query, candidates * fields, filters),
            engine=self.engine,
            started=started,
            times_ms=times,
        )

    def products(self, ids: Sequence[str]) -> list[Product]:
        """The products of `ids`, in that order. Raises UnknownIdError naming the first missing."""
        return self._lexical().products(ids)

    def facets(self, query: str, filters: Filters | None = None, candidates: int = 1000) -> Facets:
        """`Retrieval.facets` of a new retrieval; of the whole catalog for a blank query."""
        return self.retrieve(query, filters, candidates=candidates).facets()

    def __len__(self) -> int:
        return len(self._lexical())

    def close(self) -> None:
        """Release files and connections. Closing twice is allowed."""
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

    def _lexical(self) -> PositionIndex:
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

    def _fused(
        self, query: str, limit: int, filters: Filters, misses: int, times: dict[str, float]
    ) -> Fused:
        """One retrieval of each engine, fused. `times` gets the milliseconds of each step."""
        lexical = dense = Matches.none()
        if query.strip() and limit > 0:
            clock = _Clock(times)
            lexical = self._lexical().matches(query, limit, filters, misses)
            clock.note("lexical")
            vector = self._retriever.encode_queries([query])["vector"][0]
            clock.note("encode")
            near = self._dense().search(vector, limit, filters, misses)
            close_enough = near.scores >= self._settings.least_cosine
            dense = near.first(int(np.count_nonzero(close_enough)))
            clock.note("dense")
        else:
            clock = _Clock({})
        fused = reciprocal_rank_fusion(
            {"lexical": lexical, "dense": dense},
            limit,
            self._store.id_keys,
            self._settings.constant,
            self._settings.weights,
        )
        clock.note("fuse")
        return fused

    def _sideways(self, query: str, limit: int, filters: Filters) -> Positions:
        """Positions of products that fail one of the filtered fields at most."""
        return self._fused(query, limit, filters, 1, {}).positions


class _Clock:
    """Notes the milliseconds between its readings."""

    def __init__(self, times: dict[str, float]) -> None:
        self._times = times
        self._last = time.perf_counter()

    def note(self, step: str) -> None:
        now = time.perf_counter()
        self._times[step] = (now - self._last) * 1000.0
        self._last = now


def open_lexical(folder: Path) -> PositionIndex:
    """The lexical index of an index folder alone, without its models: to read its products.

    Raises CatalogIndexError where there is no whole index, EngineUnavailableError where its
    OpenSearch does not respond.
    """
    return _lexical(IndexManifest.load(folder), folder, TitleStore.open(folder / "store"))


def _lexical(manifest: IndexManifest, folder: Path, store: TitleStore) -> PositionIndex:
    if manifest.engine == "embedded":
        return TantivyLexical.open(folder / "tantivy")
    # Imported here, so that the embedded engine does not need opensearch-py.
    from qtr_rerank.retrieve.lexical_opensearch import OpenSearchLexical

    connected = OpenSearchLexical.connect(_cluster(manifest), manifest.alias or "")
    return ById(connected, store.positions)


def _knn(manifest: IndexManifest) -> DenseIndex:
    from qtr_rerank.retrieve.dense_opensearch import OpenSearchDense

    return OpenSearchDense.connect(_cluster(manifest), manifest.alias or "")


def _cluster(manifest: IndexManifest) -> OpenSearchSettings:
    """The cluster that the environment names, else the one that the catalog was loaded into."""
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
