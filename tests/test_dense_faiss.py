"""Dense retrieval by FAISS, compared with plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.vectors import VectorSettings, write_vectors
from qtr_rerank.errors import CatalogIndexError, SettingsError
from qtr_rerank.retrieve.dense_faiss import FaissDense

Vectors = NDArray[np.float32]
Build = Callable[..., FaissDense]


def unit_vectors(count: int, dimension: int = 16, seed: int = 7) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def nearest(vectors: Vectors, query: Vectors, k: int, allowed: NDArray[np.bool_]) -> list[int]:
    # Row by row, because a matrix product may round equal rows differently.
    scores = (vectors.astype(np.float64) * query).sum(axis=1)
    positions = [position for position in range(len(vectors)) if allowed[position]]
    return sorted(positions, key=lambda position: (-scores[position], position))[:k]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def build(vectors: Vectors, settings: VectorSettings | None = None) -> FaissDense:
        path = tmp_path / "titles.faiss"
        write_vectors(path, vectors, settings)
        return FaissDense.open(path)

    return build


FLAT = VectorSettings(chunk=300)
GRAPH = VectorSettings(exact_up_to=0, chunk=300)


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        pytest.param(FLAT, 1.0, id="flat"),
        pytest.param(VectorSettings(numbers="float16"), 0.95, id="flat float16"),
        pytest.param(VectorSettings(numbers="int8"), 0.9, id="flat int8"),
        pytest.param(GRAPH, 0.95, id="graph"),
        pytest.param(VectorSettings(exact_up_to=0, numbers="float16"), 0.9, id="graph float16"),
        pytest.param(VectorSettings(exact_up_to=0, numbers="int8"), 0.9, id="graph int8"),
    ],
)
@pytest.mark.parametrize("share", [None, 0.5, 0.02])
def test_finds_the_nearest(
    build: Build, settings: VectorSettings, least: float, share: float | None
) -> None:
    vectors, query = unit_vectors(2000), unit_vectors(1, seed=8)[0]
    allowed = None if share is None else np.random.default_rng(1).random(2000) < share
    index = build(vectors, settings)
    assert len(index) == 2000
    found = list(index.search(query, 20, allowed))
    expected = nearest(vectors, query, 20, np.ones(2000, bool) if allowed is None else allowed)
    assert len({position for position, _ in found} & set(expected)) >= least * len(expected)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    tolerance = 2e-2 if settings.numbers == "int8" else 2e-3
    exact = [vectors[position] @ query for position, _ in found]
    assert scores == pytest.approx(exact, abs=tolerance)


@pytest.mark.parametrize("k", [1, 3, 7, 50])
def test_equal_vectors_are_ordered_by_position(build: Build, k: int) -> None:
    vectors = np.repeat(unit_vectors(5), 10, axis=0)
    found = list(build(vectors).search(vectors[25], k))
    assert [position for position, _ in found] == nearest(
        vectors, vectors[25], k, np.ones(50, bool)
    )


@pytest.mark.parametrize("settings", [FLAT, GRAPH])
def test_only_allowed_products_are_found(build: Build, settings: VectorSettings) -> None:
    vectors = unit_vectors(100)
    allowed = np.zeros(100, bool)
    allowed[[3, 98]] = True
    found = list(build(vectors, settings).search(vectors[50], 10, allowed))
    assert {position for position, _ in found} == {3, 98}


@pytest.mark.parametrize(
    ("count", "k", "allowed_count"),
    [(10, 0, 10), (10, 5, 0), (0, 5, 0)],
    ids=["k zero", "nothing allowed", "no products"],
)
def test_no_matches_give_no_hits(build: Build, count: int, k: int, allowed_count: int) -> None:
    index = build(np.zeros((count, 16), np.float32))
    allowed = np.arange(count) < allowed_count
    assert list(index.search(unit_vectors(1)[0], k, allowed)) == []


def test_k_may_exceed_the_catalog(build: Build) -> None:
    assert len(build(unit_vectors(10)).search(unit_vectors(1)[0], 1000)) == 10


def test_the_query_is_not_changed(build: Build) -> None:
    query = unit_vectors(1)[0]
    kept = query.copy()
    build(unit_vectors(50)).search(query, 5)
    assert np.array_equal(query, kept)


def test_threads_share_one_index(build: Build) -> None:
    index, queries = build(unit_vectors(500)), unit_vectors(40, seed=9)
    alone = [list(index.search(query, 10)) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: list(index.search(query, 10)), queries)) == alone


def test_vectors_may_be_memory_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "vector.npy", unit_vectors(100))
    mapped = np.load(tmp_path / "vector.npy", mmap_mode="r")
    write_vectors(tmp_path / "titles.faiss", mapped, VectorSettings(chunk=7))
    assert FaissDense.open(tmp_path / "titles.faiss").search(mapped[42], 1).positions.tolist() == [
        42
    ]


@pytest.mark.parametrize(("numbers", "share"), [("float16", 0.5), ("int8", 0.25)])
def test_fewer_bits_make_a_smaller_file(tmp_path: Path, numbers: Any, share: float) -> None:
    write_vectors(tmp_path / "whole", unit_vectors(1000))
    write_vectors(tmp_path / "coded", unit_vectors(1000), VectorSettings(numbers=numbers))
    assert (tmp_path / "coded").stat().st_size < (share + 0.1) * (tmp_path / "whole").stat().st_size


def test_int8_finds_nearly_the_same_ten(tmp_path: Path) -> None:
    """With wide vectors like a twin's, which are far apart and have small components."""
    vectors, queries = unit_vectors(3000, 192), unit_vectors(50, 192, seed=8)
    for numbers in ("float32", "int8"):
        write_vectors(tmp_path / numbers, vectors, VectorSettings(numbers=numbers))
    whole, coded = FaissDense.open(tmp_path / "float32"), FaissDense.open(tmp_path / "int8")
    shared = [
        len(
            {position for position, _ in whole.search(query, 10)}
            & {position for position, _ in coded.search(query, 10)}
        )
        for query in queries
    ]
    assert np.mean(shared) >= 9.7


def test_int8_keeps_values_outside_the_range_of_the_first_chunks(build: Build) -> None:
    vectors = np.repeat(unit_vectors(1), 50, axis=0) * 0.01
    vectors[-1] *= -100
    index = build(vectors, VectorSettings(numbers="int8", chunk=7))
    assert list(index.search(vectors[-1], 1)) == [(49, pytest.approx(1.0, abs=1e-2))]


def test_a_vector_of_another_length_is_refused(build: Build) -> None:
    with pytest.raises(CatalogIndexError, match=r"shape \(8,\).* vectors of 16"):
        build(unit_vectors(10)).search(np.zeros(8, np.float32), 1)


@pytest.mark.parametrize("content", [None, b"", b"not an index at all"])
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "titles.faiss"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogIndexError, match="index the catalog again"):
        FaissDense.open(path)


def test_a_vector_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    vectors = unit_vectors(10)
    vectors[3, 0] = np.nan
    with pytest.raises(SettingsError, match="products 1 to 10 is not finite"):
        write_vectors(tmp_path / "titles.faiss", vectors)
    assert list(tmp_path.iterdir()) == []


def test_unknown_numbers_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"numbers is 'int4'.*int8"):
        VectorSettings(numbers="int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["links", "build_width", "chunk"])
def test_unusable_settings_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is 0"):
        VectorSettings(**{name: 0})  # type: ignore[arg-type]


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_flat_search_is_exact(count: int, k: int, seed: int) -> None:
    import faiss

    rng = np.random.default_rng(seed)
    # Small integers give many ties and no rounding.
    vectors = rng.integers(-2, 3, (count, 4)).astype(np.float32)
    query = rng.integers(-2, 3, 4).astype(np.float32)
    allowed = rng.random(count) < 0.7
    flat = faiss.IndexFlatIP(4)
    flat.add(vectors)
    found = [position for position, _ in FaissDense(flat).search(query, k, allowed)]
    assert found == nearest(vectors, query, k, allowed)
