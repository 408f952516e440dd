"""TitleCache: right features, never above its capacity, and no title encoded twice."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank import Reranker
from qtr_rerank.errors import SettingsError
from qtr_rerank.rerank.title_cache import LONGEST, TitleCache
from qtr_rerank.runtime.session import Arrays

TITLES = ["Phone case, clear", "USB-C charger 20 W", "Garden hose 20 m", "", "Mug", "Phone case"]


class CountingEncoder:
    """Encodes titles that are numbers as features of that number, and records them."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def __call__(self, titles: Sequence[str]) -> Arrays:
        self.encoded += titles
        numbers = [float(title) for title in titles]
        return {
            "vector": np.array([[number, -number] for number in numbers]).reshape(-1, 2),
            "ids": np.array(numbers, dtype=np.int32),
        }


def _is_right(titles: Sequence[str], features: Arrays) -> bool:
    numbers = [float(title) for title in titles]
    return (
        features["ids"].tolist() == numbers
        and features["vector"].tolist() == [[number, -number] for number in numbers]
        and features["ids"].dtype == np.int32
    )


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(st.lists(st.integers(0, 12).map(str), max_size=10), min_size=1, max_size=12),
)
def test_features_do_not_depend_on_earlier_requests(
    capacity: int, requests: list[list[str]]
) -> None:
    cache, encoder = TitleCache(capacity), CountingEncoder()
    for titles in requests:
        assert _is_right(titles, cache.features(titles, encoder))
        assert len(cache) <= capacity


def test_a_cached_title_is_not_encoded_again() -> None:
    cache, encoder = TitleCache(3), CountingEncoder()
    cache.features(["1", "2", "1"], encoder)
    cache.features(["2", "3", "1"], encoder)
    assert encoder.encoded == ["1", "2", "3"]


def test_the_least_recently_used_title_is_evicted() -> None:
    cache, encoder = TitleCache(2), CountingEncoder()
    for title in ("1", "2", "1", "3"):
        cache.features([title], encoder)
    encoder.encoded.clear()
    cache.features(["1", "3"], encoder)
    assert encoder.encoded == []
    cache.features(["2"], encoder)
    assert encoder.encoded == ["2"]


def test_a_long_title_is_encoded_but_not_cached() -> None:
    cache, encoder = TitleCache(5), CountingEncoder()
    long = "1".rjust(LONGEST + 1, "0")
    for _ in range(2):
        assert _is_right([long], cache.features([long], encoder))
    assert encoder.encoded == [long, long]
    assert len(cache) == 0


def test_threads_share_a_cache() -> None:
    cache = TitleCache(7)

    def request(number: int) -> bool:
        titles = [str((number * step) % 23) for step in range(1, 9)]
        return _is_right(titles, cache.features(titles, CountingEncoder()))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(request, range(2_000)))
    assert len(cache) == 7


@pytest.mark.parametrize("model", ["match", "bert-bilstm", "bert2dnn", "twin"])
def test_a_model_scores_the_same_with_a_cache(model: str) -> None:
    plain, cached = Reranker.load(model), Reranker.load(model, cache=4)
    for titles in (TITLES, TITLES[::-1], TITLES[:2] * 3, [*TITLES[2:], "new"]):
        for query in ("phone case", "hose"):
            np.testing.assert_array_equal(cached.logits(query, titles), plain.logits(query, titles))


def test_equal_titles_keep_their_order_if_one_is_cached() -> None:
    for seed, padding in enumerate(
        ("a", "a rather long title of ten words or so, with more of it")
    ):
        cached = Reranker.load("match", cache=100)
        cached.logits("x", [padding, f"USB-C cable {seed}"])
        documents = [f"usb-c CABLE {seed}", f"USB-C cable {seed}", f"usb-c cable {seed}"]
        assert [hit.index for hit in cached.rerank("usb cable", documents)] == [0, 1, 2]


@pytest.mark.parametrize("capacity", [-1, 0])
def test_a_capacity_below_1_is_refused(capacity: int) -> None:
    with pytest.raises(SettingsError, match=f"for {capacity} titles; expected 1 or more"):
        TitleCache(capacity)
