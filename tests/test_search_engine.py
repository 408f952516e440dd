"""SearchEngine on a real index with the shipped models."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.job import IndexSettings, build_index
from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import (
    ArtifactError,
    CatalogIndexError,
    EngineUnavailableError,
    SettingsError,
    UnknownIdError,
)
from qtr_rerank.records import Filters, Product
from qtr_rerank.rerank.cascade import StageSettings
from qtr_rerank.rerank.reranker import Reranker
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.search import RetrievalSettings, SearchEngine
from tests.small_index import MODELS, build_small_index, small_catalog, write_catalog

PRODUCTS = small_catalog(600)
BY_ID = {product.id: product for product in PRODUCTS}
CASCADE = (StageSettings("bert2dnn"), StageSettings("bert-bilstm", depth=20))
QUERIES = ["blue running shoes", "usb c cable", "mug", "garden hose 20 m", "kids toy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "index"
    build_small_index(folder, PRODUCTS)
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[SearchEngine]:
    with SearchEngine.open(folder, cascade=CASCADE) as engine:
        yield engine


@pytest.fixture
def changed(folder: Path, tmp_path: Path) -> Path:
    """A copy of the index, to be damaged."""
    shutil.copytree(folder, tmp_path / "changed")
    return tmp_path / "changed"


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_open_engine_reports_its_size_and_kind(engine: SearchEngine) -> None:
    assert len(engine) == len(PRODUCTS)
    assert engine.engine == "embedded"


@pytest.mark.parametrize("query", QUERIES)
def test_a_search_reranks_the_retrieved_candidates(engine: SearchEngine, query: str) -> None:
    retrieved = engine.retrieve(query, candidates=100).candidates()
    result = engine.search(query, 100, candidates=100)
    assert result.query == query
    assert result.candidates == len(retrieved)
    assert not result.degraded
    assert {hit.id for hit in result.hits} == {candidate.id for candidate in retrieved}
    for rank, hit in enumerate(result.hits, start=1):
        assert hit.rank == rank
        assert (hit.id, hit.first_rank, hit.first_score) == (
            retrieved[hit.index].id,
            retrieved[hit.index].rank,
            retrieved[hit.index].score,
        )
    assert [hit.stage for hit in result.hits] == ["bert-bilstm"] * 20 + ["bert2dnn"] * (
        len(result.hits) - 20
    )
    for stage in ("bert-bilstm", "bert2dnn"):
        logits = [hit.logit for hit in result.hits if hit.stage == stage]
        assert logits == sorted(logits, reverse=True)
    assert all(0 <= hit.score <= 1 for hit in result.hits)


def test_every_step_is_timed(engine: SearchEngine) -> None:
    times = engine.search("mug").times_ms
    assert list(times) == [
        "lexical",
        "encode",
        "dense",
        "fuse",
        "bert2dnn",
        "bert-bilstm",
        "total",
    ]
    assert sum(value for name, value in times.items() if name != "total") <= times["total"]


@pytest.mark.parametrize("query", QUERIES)
def test_the_first_stage_is_the_retrieval(engine: SearchEngine, query: str) -> None:
    result = engine.search(query, 10, stage="retrieve", candidates=50)
    retrieved = engine.retrieve(query, candidates=50).candidates()
    assert [(hit.id, hit.first_score) for hit in result.hits] == [
        (candidate.id, candidate.score) for candidate in retrieved[:10]
    ]
    assert all(0 < hit.score <= 1 for hit in result.hits)
    assert {hit.stage for hit in result.hits} == {"retrieve"}


def test_both_retrievers_bring_candidates(engine: SearchEngine) -> None:
    sources = [set(candidate.sources) for candidate in engine.retrieve("mug", candidates=400)]
    assert {"lexical", "dense"} in sources
    assert {"dense"} in sources


def test_an_exact_title_is_found(engine: SearchEngine) -> None:
    for product in PRODUCTS[::100]:
        found = engine.search(product.title, 5, stage="retrieve")
        assert product.title in [BY_ID[hit.id].title for hit in found.hits]


def test_a_search_scores_like_the_reranker(engine: SearchEngine, folder: Path) -> None:
    result = engine.search("usb c cable", 20)
    ids = [hit.id for hit in result.hits]
    for index in (folder, None):
        reranker = Reranker.load("bert-bilstm", index=index)
        ranked = (
            reranker.rerank("usb c cable", engine.products(ids))
            if index is None
            else reranker.rerank_ids("usb c cable", ids)
        )
        expected = {hit.id: hit.logit for hit in ranked}
        assert [hit.logit for hit in result.hits] == pytest.approx(
            [expected[id] for id in ids], abs=1e-3
        )


def test_one_retrieval_gives_both_orders(engine: SearchEngine) -> None:
    retrieval = engine.retrieve("blue running shoes")
    for found, stage in ((retrieval.first(15), "retrieve"), (retrieval.reranked(15), "rerank")):
        alone = engine.search("blue running shoes", 15, stage=stage)
        assert found.hits == alone.hits
        assert list(found.times_ms) == list(alone.times_ms)


@pytest.mark.parametrize("query", QUERIES)
def test_a_hit_explains_its_signals(engine: SearchEngine, query: str) -> None:
    retrieval = engine.retrieve(query, candidates=100)
    sources = {candidate.id: dict(candidate.sources) for candidate in retrieval}
    hits = retrieval.reranked(100).hits
    for hit in hits:
        ranks = {
            name.removesuffix("_rank"): value
            for name, value in hit.explain.items()
            if name in {"lexical_rank", "dense_rank"}
        }
        assert ranks == sources[hit.id]
        assert ("bm25" in hit.explain) == ("lexical" in ranks)
        assert ("cosine" in hit.explain) == ("dense" in ranks)
        assert hit.explain["first_rank"] == hit.first_rank
        assert 0 <= hit.explain[hit.stage] <= 1
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("query", ["", " ", "\t\n", "\u3000"])
def test_a_blank_query_finds_nothing(engine: SearchEngine, query: str) -> None:
    for stage in ("retrieve", "rerank"):
        result = engine.search(query, stage=stage)
        assert (result.hits, result.candidates) == ((), 0)
    assert list(engine.retrieve(query)) == []


@pytest.mark.parametrize(
    "query", ["zxqwv", "!?", "\x00", "'); DROP TABLE", "x" * 20_000, "🫖", "\ud800"]
)
def test_odd_queries_are_accepted(engine: SearchEngine, query: str) -> None:
    assert len(engine.search(query, 3).hits) <= 3


@pytest.mark.parametrize(("k", "candidates", "count"), [(0, 10, 0), (50, 10, 10), (5, 0, 0)])
def test_k_and_candidates_limit_the_hits(
    engine: SearchEngine, k: int, candidates: int, count: int
) -> None:
    assert len(engine.search("mug", k, candidates=candidates).hits) == count


def test_an_unknown_stage_is_refused(engine: SearchEngine) -> None:
    with pytest.raises(SettingsError, match="'teacher'"):
        engine.search("mug", stage="teacher")


def test_after_a_deadline_the_retrieved_order_is_kept(engine: SearchEngine) -> None:
    late = engine.search("mug", 10, deadline_ms=0)
    assert late.degraded
    first = engine.search("mug", 10, stage="retrieve")
    assert [hit.id for hit in late.hits] == [hit.id for hit in first.hits]
    assert {hit.stage for hit in late.hits} == {"retrieve"}
    assert not engine.search("mug", 10, deadline_ms=60_000).degraded


def passes(product: Product, filters: Filters) -> bool:
    return (
        (not filters.brands or product.brand in filters.brands)
        and (not filters.categories or product.category in filters.categories)
        and (filters.price_min is None or (product.price or 0) >= filters.price_min)
        and (filters.price_max is None or (product.price or 0) <= filters.price_max)
    )


CATEGORY = Counter(product.category for product in PRODUCTS).most_common(1)[0][0]
BRAND = Counter(p.brand for p in PRODUCTS if p.category == CATEGORY).most_common(1)[0][0]
FILTERS = [
    Filters(),
    Filters(brands=(BRAND,)),
    Filters(categories=(CATEGORY,)),
    Filters(brands=(BRAND,), categories=(CATEGORY,), price_max=1000.0),
    Filters(price_min=PRODUCTS[0].price, price_max=PRODUCTS[0].price),
    Filters(brands=("Nobody",)),
]


@pytest.mark.parametrize("filters", FILTERS)
def test_filters_hold_for_every_candidate(engine: SearchEngine, filters: Filters) -> None:
    found = engine.retrieve(PRODUCTS[0].title, filters)
    expected = {product.id for product in PRODUCTS if passes(product, filters)}
    # In so small a catalog, dense retrieval finds every product that passes.
    assert {candidate.id for candidate in found} == expected


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("query", ["", "running shoes"])
def test_facets_ignore_their_own_selection(
    engine: SearchEngine, query: str, filters: Filters
) -> None:
    facets = engine.facets(query, filters)
    for field, found in (("brands", facets.brands), ("categories", facets.categories)):
        others = replace(filters, **{field: ()})  # type: ignore[arg-type]
        name = {"brands": "brand", "categories": "category"}[field]
        expected = Counter(getattr(p, name) for p in PRODUCTS if passes(p, others))
        selected = getattr(filters, field)
        expected.update(dict.fromkeys(selected, 0))
        expected.pop("", None)
        assert {each.value: each.count for each in found} == dict(expected)
        assert [each.value for each in found if each.selected] == [
            each.value for each in found if each.value in selected
        ]
        order = [(-each.count, each.value) for each in found]
        assert order == sorted(order)
    prices = [
        product.price
        for product in PRODUCTS
        if passes(product, replace(filters, price_min=None, price_max=None)) and product.price
    ]
    assert facets.price_min == (min(prices) if prices else None)
    assert facets.price_max == (max(prices) if prices else None)


def test_products_are_in_the_order_of_the_ids(engine: SearchEngine) -> None:
    wanted = [PRODUCTS[9], PRODUCTS[2]]
    assert engine.products([product.id for product in wanted]) == wanted
    with pytest.raises(UnknownIdError, match="nowhere"):
        engine.products(["nowhere"])


def test_threads_share_one_engine(engine: SearchEngine) -> None:
    def hits(query: str) -> list[tuple[str, float]]:
        return [(hit.id, hit.logit) for hit in engine.search(query, 10).hits]

    alone = [hits(query) for query in QUERIES]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(hits, QUERIES * 6)) == alone * 6


def test_dense_neighbours_can_be_cut_off(folder: Path) -> None:
    settings = RetrievalSettings(least_cosine=1.1)
    with SearchEngine.open(folder, cascade=(), settings=settings) as engine:
        sources = [set(candidate.sources) for candidate in engine.retrieve("mug")]
        assert sources == [{"lexical"}] * len(sources)
        assert list(engine.retrieve("zxqwv")) == []


def test_another_cascade_can_be_chosen(folder: Path) -> None:
    cascade = (StageSettings("twin", depth=5),)
    with SearchEngine.open(folder, cascade=cascade) as engine:
        hits = engine.search("mug", 10).hits
        assert [hit.stage for hit in hits] == ["twin"] * 5 + ["retrieve"] * 5


def test_another_model_than_the_indexed_one_is_refused(changed: Path) -> None:
    models = json.loads((changed / "index.json").read_text())["models"]
    edit_manifest(changed, models=models | {"bert2dnn": "0" * 64})
    with pytest.raises(CatalogIndexError, match=r"'bert2dnn' of fingerprint 000.*index the cat"):
        SearchEngine.open(changed, cascade=CASCADE)


def test_a_model_without_features_in_the_index_is_refused(changed: Path) -> None:
    edit_manifest(changed, models={"twin": Scorer.load("twin").fingerprint})
    with pytest.raises(CatalogIndexError, match="made for models twin, not 'bert2dnn'"):
        SearchEngine.open(changed, cascade=CASCADE)


def test_an_error_names_a_model_that_is_not_installed(changed: Path) -> None:
    models = json.loads((changed / "index.json").read_text())["models"]
    edit_manifest(changed, models=models | {"no-such-model": "0"})
    with pytest.raises(ArtifactError, match="no-such-model"):
        SearchEngine.open(changed, cascade=(StageSettings("no-such-model"),))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("index.json", "is not an index"),
        ("titles.faiss", "no readable vectors"),
        ("tantivy/meta.json", "no readable lexical index"),
        ("store/ids/order.npy", "order.npy is missing"),
        ("store/features/bert2dnn", "no title features of model 'bert2dnn'"),
    ],
)
def test_an_incomplete_index_is_refused(changed: Path, lost: str, message: str) -> None:
    path = changed / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(CatalogIndexError, match=message):
        SearchEngine.open(changed, cascade=CASCADE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 99}, "schema 99, this version reads 1"),
        ({"count": 7}, "holds 7 products, its store 600"),
        ({"engine": "solr"}, "is damaged"),
        ({"unknown": 1}, "is damaged"),
    ],
)
def test_an_unusable_manifest_is_refused(
    changed: Path, changes: dict[str, object], message: str
) -> None:
    edit_manifest(changed, **changes)
    with pytest.raises(CatalogIndexError, match=message):
        SearchEngine.open(changed, cascade=CASCADE)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00"])
def test_a_broken_manifest_is_refused(changed: Path, content: str) -> None:
    (changed / "index.json").write_text(content)
    with pytest.raises(CatalogIndexError, match="cannot be read"):
        SearchEngine.open(changed)


def test_close_may_be_called_twice(folder: Path) -> None:
    engine = SearchEngine.open(folder, cascade=CASCADE)
    engine.close()
    engine.close()


def test_an_engine_that_is_down_fails_the_request(
    changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        # Bound but not listening: connections fail, and no other process can take the port.
        monkeypatch.setenv("OPENSEARCH_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        edit_manifest(changed, engine="opensearch", alias="shop")
        with SearchEngine.open(changed, cascade=CASCADE) as engine:
            assert engine.search(" ").hits == ()
            for request in (
                lambda: engine.search("mug"),
                lambda: engine.products(["x"]),
                lambda: len(engine),
            ):
                with pytest.raises(EngineUnavailableError):
                    request()


@pytest.mark.opensearch
def test_opensearch_replaces_the_embedded_engine(
    opensearch_settings: OpenSearchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The index stores OpenSearch's address.
    monkeypatch.delenv("OPENSEARCH_URL", raising=False)
    refused = Product(id="x" * 600, title="a mug whose id is too long for OpenSearch")
    products = [*PRODUCTS[:100], refused, *PRODUCTS[100:150]]
    catalog = write_catalog(tmp_path / "shop.jsonl", products)
    settings = IndexSettings(
        catalog=catalog,
        index=tmp_path / "index",
        engine="opensearch",
        alias="qtr-test-search",
        batch=64,
        opensearch=opensearch_settings,
    )
    report = build_index(settings, [Scorer.load(name) for name in MODELS])
    assert report.products == 151
    assert [reason[:3] for reason in report.refused] == ["xxx"]
    with SearchEngine.open(tmp_path / "index", cascade=CASCADE) as engine:
        assert engine.engine == "opensearch"
        assert len(engine) == 150
        result = engine.search(PRODUCTS[7].title, 151)
        assert result.engine == "opensearch"
        assert result.candidates == 150
        assert refused.id not in {hit.id for hit in result.hits}
        ids = [hit.id for hit in result.hits]
        assert engine.products(ids) == [BY_ID[id] for id in ids]
        filtered = engine.retrieve("mug", Filters(brands=(PRODUCTS[7].brand,)), candidates=100)
        assert {BY_ID[hit.id].brand for hit in filtered} == {PRODUCTS[7].brand}


class CountingIndex:
    """A real index that counts its retrievals."""

    def __init__(self, index: Any, method: str) -> None:
        self.calls = 0
        self._index = index
        self._method = method

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._index, name)
        if name == self._method:
            self.calls += 1
        return value

    def __len__(self) -> int:
        return len(self._index)


@pytest.mark.parametrize("filters", FILTERS)
def test_a_page_retrieves_once_and_with_filters_twice(folder: Path, filters: Filters) -> None:
    with SearchEngine.open(folder) as engine:
        lexical = CountingIndex(engine._lexical(), "matches")
        dense = CountingIndex(engine._dense(), "search")
        engine._connected, engine._connected_dense = lexical, dense
        retrieval = engine.retrieve("blue running shoes", filters)
        first, best, facets = retrieval.first(24), retrieval.reranked(24), retrieval.facets()
        assert len(first.hits) == len(best.hits)
        assert facets.brands
    assert (lexical.calls, dense.calls) == ((2, 2) if filters else (1, 1))


def test_a_narrow_filter_does_not_starve_the_facets(folder: Path) -> None:
    # The category has more products than are retrieved, and few of them have the brand.
    filters = Filters(brands=(BRAND,), categories=(CATEGORY,))
    with SearchEngine.open(folder) as engine:
        retrieval = engine.retrieve(CATEGORY, filters, candidates=20)
        facets = retrieval.facets()
    found = {value.value: value.count for value in facets.brands}
    assert found[BRAND] == len(retrieval) > 0
    assert len(found) > 1
