"""The contract of dense indices, for FAISS in process and OpenSearch's k-NN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.bulk import TitleVectors, bulk_load
from indexer.job import IndexSettings, build_index
from indexer.vectors import write_vectors
from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import CatalogIndexError, SettingsError
from qtr_rerank.records import Filters, Product
from qtr_rerank.retrieve.client_opensearch import connect
from qtr_rerank.retrieve.dense_faiss import FaissDense
from qtr_rerank.retrieve.dense_opensearch import OpenSearchDense
from qtr_rerank.retrieve.filter_mask import FilteredFaiss, FilterMask
from qtr_rerank.retrieve.schema import DenseIndex
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.runtime.title_store import TitleStore, TitleStoreWriter
from qtr_rerank.search import SearchEngine
from tests.small_index import MODELS, small_catalog, write_catalog

COUNT, DIMENSION = 300, 16
BRANDS = ("Arctis", "Boreal", "Corvus")


def _vectors() -> NDArray[np.float32]:
    drawn = np.random.default_rng(7).standard_normal((COUNT, DIMENSION))
    unit: NDArray[np.float64] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    unit[5] = unit[3] = unit[4]  # ties
    return unit.astype(np.float32)


VECTORS = _vectors()
PRODUCTS = [
    Product(id=f"p{n}", title=f"thing {n}", brand=BRANDS[n % 3], price=float(n) if n % 2 else None)
    for n in range(COUNT)
]


@pytest.fixture(
    scope="module", params=["faiss", pytest.param("opensearch", marks=pytest.mark.opensearch)]
)
def dense(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DenseIndex]:
    if request.param == "faiss":
        folder = tmp_path_factory.mktemp("dense")
        with TitleStoreWriter(folder / "store") as store:
            store.add_products(PRODUCTS)
        write_vectors(folder / "titles.faiss", VECTORS)
        facets = TitleStore.open(folder / "store").facets
        yield FilteredFaiss(
            FaissDense.open(folder / "titles.faiss"),
            FilterMask(facets),
        )
        return
    settings: OpenSearchSettings = request.getfixturevalue("opensearch_settings")
    alias = f"qtr-test-{uuid4().hex}"
    bulk_load(settings, alias, PRODUCTS, vectors=TitleVectors(VECTORS))
    with closing(OpenSearchDense.connect(settings, alias)) as found:
        yield found
    with closing(connect(settings)) as client:
        client.indices.delete(index=f"{alias}-*")


def _nearest(query: NDArray[np.float32], k: int, passes: Any) -> list[int]:
    scores = (VECTORS.astype(np.float64) * query).sum(axis=1)
    places = [place for place in range(COUNT) if passes(PRODUCTS[place])]
    return sorted(places, key=lambda place: (-scores[place], place))[:k]


@pytest.mark.parametrize("k", [1, 10, 60])
@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (None, lambda product: True),
        (Filters(), lambda product: True),
        (Filters(brands=("Boreal",)), lambda product: product.brand == "Boreal"),
        (
            Filters(brands=("Arctis", "Corvus"), price_min=20, price_max=99),
            lambda p: p.brand != "Boreal" and p.price is not None and 20 <= p.price <= 99,
        ),
    ],
)
def test_nearest_that_pass_the_filters_are_in_order_of_score(
    dense: DenseIndex, k: int, filters: Filters | None, passes: Any
) -> None:
    for place in (0, 7, 4):
        found = list(dense.search(VECTORS[place], k, filters))
        expected = _nearest(VECTORS[place], k, passes)
        # A graph search is approximate.
        shared = len({position for position, _ in found} & set(expected))
        assert len(found) == len(expected)
        assert shared >= 0.95 * len(expected)
        for position, score in found:
            assert score == pytest.approx(float(VECTORS[position] @ VECTORS[place]), abs=1e-3)
        assert found == sorted(found, key=lambda hit: (-hit[1], hit[0]))


def test_equal_vectors_are_ordered_by_position(dense: DenseIndex) -> None:
    assert [position for position, _ in dense.search(VECTORS[4], 3)] == [3, 4, 5]
    assert [position for position, _ in dense.search(VECTORS[4], 2)] == [3, 4]


def test_limits_of_k(dense: DenseIndex) -> None:
    assert list(dense.search(VECTORS[0], 0)) == []
    assert len(dense.search(VECTORS[0], 5 * COUNT)) == COUNT
    assert list(dense.search(VECTORS[0], 5, Filters(brands=("nobody",)))) == []
    assert len(dense.search(VECTORS[0], 5, Filters(brands=("nobody",)), misses=1)) == 5
    assert len(dense) == COUNT


def test_product_may_fail_one_of_the_filtered_fields(dense: DenseIndex) -> None:
    filters = Filters(brands=("Boreal",), price_min=1.0)
    found = {position for position, _ in dense.search(VECTORS[0], COUNT, filters, misses=1)}
    either = {n for n, p in enumerate(PRODUCTS) if p.brand == "Boreal" or p.price is not None}
    assert found <= either
    assert len(found) >= 0.95 * len(either)


def test_search_with_vectors_in_the_cluster_is_the_same(
    opensearch_settings: OpenSearchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With filters, too; and there is no titles.faiss."""
    monkeypatch.setenv("OPENSEARCH_URL", opensearch_settings.url)
    catalog = write_catalog(tmp_path / "catalog.jsonl", small_catalog(200))
    aliases = {where: f"qtr-test-{uuid4().hex}" for where in ("faiss", "opensearch")}
    found = {}
    for where, alias in aliases.items():
        build_index(
            IndexSettings(
                catalog=catalog,
                index=tmp_path / where,
                engine="opensearch",
                alias=alias,
                dense=where,
                opensearch=opensearch_settings,
            ),
            [Scorer.load(name) for name in MODELS[:2]],
        )
        with SearchEngine.open(tmp_path / where) as engine:
            brand = engine.facets("").brands[0].value
            found[where] = [
                [hit.id for hit in engine.search(query, 20, filters=filters).hits]
                for query in ("waterproof jacket", "2 l kettle")
                for filters in (None, Filters(brands=(brand,)))
            ]
    assert not (tmp_path / "opensearch" / "titles.faiss").exists()
    assert found["opensearch"] == found["faiss"]
    with closing(connect(opensearch_settings)) as client:
        for alias in aliases.values():
            client.indices.delete(index=f"{alias}-*")


def test_products_without_vectors_are_explained(
    opensearch_settings: OpenSearchSettings,
) -> None:
    alias = f"qtr-test-{uuid4().hex}"
    bulk_load(opensearch_settings, alias, PRODUCTS[:3])
    with pytest.raises(CatalogIndexError, match="index them with --dense opensearch"):
        OpenSearchDense.connect(opensearch_settings, alias)
    with closing(connect(opensearch_settings)) as client:
        client.indices.delete(index=f"{alias}-*")


def test_vectors_in_opensearch_need_products_in_opensearch(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs --engine opensearch"):
        IndexSettings(tmp_path / "c.csv", tmp_path / "i", dense="opensearch")
