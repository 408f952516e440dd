"""The ranking kernel: one order, one meaning of score, one rule for a deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.__main__ import DEFAULT_MODELS
from qtr_rerank.errors import SettingsError
from qtr_rerank.records import Ranked
from qtr_rerank.rerank.cascade import DEFAULT_CASCADE, StageSettings
from qtr_rerank.rerank.kernel import (
    BLOCK,
    Places,
    Ranking,
    Stage,
    first_order,
    rank,
    reordered,
)


@dataclass
class StoredScorer:
    """A model whose logits are its title features."""

    name: str

    def encode_queries(self, queries: Sequence[str]) -> dict[str, NDArray[Any]]:
        return {"length": np.array([[len(query)] for query in queries], np.float32)}

    def score(
        self, query: dict[str, NDArray[Any]], titles: dict[str, NDArray[Any]]
    ) -> NDArray[np.float32]:
        return np.asarray(titles["logit"], np.float32)

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        return probabilities


def stage(name: str, logits: Sequence[float], depth: int | None = None) -> Stage:
    return with_scorer(StoredScorer(name), logits, depth)


def with_scorer(scorer: StoredScorer, logits: Sequence[float], depth: int | None = None) -> Stage:
    stored = np.array(logits, np.float32)

    def features(places: Places) -> dict[str, NDArray[Any]]:
        return {"logit": stored[places]}

    return Stage(scorer, features, depth)


def given_order(count: int) -> Ranking:
    """Documents with the scores 1, 1/2, 1/3, ..."""
    return first_order(count, 1.0 / np.arange(1, count + 1))


def hits_of(ranking: Ranking, limit: int | None = None) -> list[Ranked]:
    return ranking.hits(lambda places: [f"p{place}" for place in places], limit)


def order(count: int, *stages: Stage) -> list[int]:
    places: list[int] = rank("q", given_order(count), stages).order.tolist()
    return places


def test_without_stages_the_order_is_that_of_retrieval() -> None:
    ranking = rank("q", given_order(3), ())
    assert [(hit.id, hit.rank, hit.stage, hit.score, hit.logit) for hit in hits_of(ranking)] == [
        ("p0", 1, "retrieve", 1.0, 0.0),
        ("p1", 2, "retrieve", 0.5, 0.0),
        ("p2", 3, "retrieve", 1 / 3, 0.0),
    ]
    assert not ranking.degraded
    assert ranking.times_ms == {}


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        pytest.param([stage("a", [1, 3, 2, 0])], [1, 2, 0, 3], id="one stage"),
        pytest.param([stage("a", [1, 1, 2, 1])], [2, 0, 1, 3], id="equal logits keep the order"),
        pytest.param([stage("a", [0, 1, 9, 9], 2)], [1, 0, 2, 3], id="below the depth all stays"),
        pytest.param(
            [stage("a", [1, 3, 2, 0]), stage("b", [9, 1, 2, 8], 2)],
            [2, 1, 0, 3],
            id="a later stage reads the top of the former",
        ),
        pytest.param([stage("a", [0, 1, 2, 3], 99)], [3, 2, 1, 0], id="depth above the count"),
    ],
)
def test_orders(stages: list[Stage], expected: list[int]) -> None:
    assert order(4, *stages) == expected


def test_each_hit_names_the_stage_that_decided_its_rank() -> None:
    stages = [stage("a", [0, 1, 2, 3], 3), stage("b", [7, 8, 6, 9], 1)]
    ranking = rank("q", given_order(4), stages)
    hits = hits_of(ranking)
    assert [(hit.id, hit.stage, hit.logit) for hit in hits] == [
        ("p2", "b", 6.0),
        ("p1", "a", 1.0),
        ("p0", "a", 0.0),
        ("p3", "retrieve", 0.0),
    ]
    assert set(ranking.times_ms) == {"a", "b"}
    assert hits[0].score == pytest.approx(1 / (1 + np.exp(-6)))
    assert hits[0].first_rank == 3
    assert not ranking.degraded


def test_hit_explains_its_score_by_signal() -> None:
    first = first_order(
        3,
        np.array([0.9, 0.5, 0.1]),
        {"bm25": np.array([12.0, np.nan, 3.0]), "dense_rank": np.array([1.0, 2.0, np.nan])},
    )
    ranking = rank("q", first, [replace(stage("a", [0.0, 1.0, 9.0], 2), prior=2.0)])
    explained = {hit.id: dict(hit.explain) for hit in hits_of(ranking)}
    assert explained["p0"] == {
        "bm25": 12.0,
        "dense_rank": 1.0,
        "a": 0.5,
        "prior": 0.0,
        "first_rank": 1,
    }
    # The model's own probability, without the prior.
    assert explained["p1"]["a"] == pytest.approx(1 / (1 + np.exp(-1.0)))
    assert explained["p1"]["prior"] == pytest.approx(-2.0 * math.log(12 / 11))
    assert "bm25" not in explained["p1"]
    assert explained["p2"] == {"bm25": 3.0, "first_rank": 3}


def test_saturated_probabilities_do_not_tie() -> None:
    assert order(2, stage("a", [90.0, 99.0])) == [1, 0]


def test_results_are_plain_numbers() -> None:
    [hit] = hits_of(rank("q", given_order(1), [stage("a", [1.0])]))
    values = [hit.score, hit.logit, hit.first_score, hit.rank, hit.index, hit.explain["a"]]
    assert [type(each) for each in values] == [float, float, float, int, int, float]


def test_a_deadline_that_passed_keeps_the_order_of_retrieval() -> None:
    ranking = rank("q", given_order(3), [stage("a", [0, 1, 2])], deadline=time.perf_counter())
    assert ranking.degraded
    assert [(hit.index, hit.stage) for hit in hits_of(ranking)] == [
        (0, "retrieve"),
        (1, "retrieve"),
        (2, "retrieve"),
    ]


def test_past_the_deadline_scored_documents_stand_first_and_the_others_keep_their_order() -> None:
    class Slow(StoredScorer):
        """Reaches the deadline in its first block, on any machine."""

        def score(
            self, query: dict[str, NDArray[Any]], titles: dict[str, NDArray[Any]]
        ) -> NDArray[np.float32]:
            while time.perf_counter() < deadline:
                pass
            return super().score(query, titles)

    count = BLOCK + 3
    rising = [float(each) for each in range(count)]
    # Stage a puts the last document first; stage b has time for one block of that order.
    stages = [stage("a", rising), with_scorer(Slow("b"), rising[::-1])]
    deadline = time.perf_counter() + 0.2
    ranking = rank("q", given_order(count), stages, deadline)
    assert ranking.degraded
    block = list(range(3, count))
    assert ranking.order.tolist() == [*block, 2, 1, 0]
    assert [hit.stage for hit in hits_of(ranking)] == ["b"] * BLOCK + ["a"] * 3


def test_a_distant_deadline_changes_nothing() -> None:
    late = time.perf_counter() + 3600
    ranking = rank("q", given_order(3), [stage("a", [0, 1, 2])], deadline=late)
    assert ranking.order.tolist() == [2, 1, 0]
    assert not ranking.degraded


def test_unreadable_documents_stand_last_behind_unscored_ones() -> None:
    first = first_order(4, unreadable=np.array([False, True, False, False]))
    assert first.order.tolist() == [0, 2, 3, 1]
    logits = np.array([1.0, np.nan, np.nan, 2.0], np.float32)
    ranking = reordered(first, StoredScorer("a"), logits)
    assert ranking.order.tolist() == [3, 0, 2, 1]
    assert ranking.degraded
    complete = reordered(first, StoredScorer("a"), np.array([1, np.nan, 0, 2], np.float32))
    assert complete.order.tolist() == [3, 0, 2, 1]
    assert not complete.degraded


def test_no_documents_no_hits() -> None:
    ranking = rank("q", given_order(0), [stage("a", [])])
    assert hits_of(ranking) == []
    assert ranking.times_ms == {}


def test_an_empty_query_scores_every_title_0_and_keeps_the_order() -> None:
    ranking = rank(" ", given_order(3), [stage("a", [0, 1, 2])])
    assert ranking.order.tolist() == [0, 1, 2]
    assert ranking.logits.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("depth", [0, -1])
def test_a_depth_below_one_is_refused(depth: int) -> None:
    with pytest.raises(SettingsError, match=f"'a' has depth {depth}"):
        StageSettings("a", depth)


@pytest.mark.parametrize("prior", [-0.1, float("inf"), float("nan")])
def test_a_prior_below_0_or_without_end_is_refused(prior: float) -> None:
    with pytest.raises(SettingsError, match="'a' has prior"):
        StageSettings("a", prior=prior)


def test_a_prior_makes_the_first_order_count() -> None:
    logits = [0.0, 0.1, 0.0, 3.0]
    plain = stage("a", logits)
    assert order(4, plain) == [3, 1, 0, 2]
    # It outweighs small differences, not large ones, and decides between equals as before.
    weighed = replace(plain, prior=2.0)
    assert order(4, weighed) == [3, 0, 1, 2]
    by_index = {hit.index: hit.logit for hit in hits_of(rank("q", given_order(4), [weighed]))}
    assert by_index[0] == 0.0
    assert by_index[3] == pytest.approx(3.0 - 2.0 * np.log(14 / 11))


few_logits = st.lists(st.integers(-3, 3), min_size=1, max_size=40)
logit_lists = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40)
stage_settings = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 50), st.sampled_from([0.0, 0.5, 2.0])), max_size=3
)


def shuffled_stages(
    logits: Sequence[float], settings: Sequence[tuple[int, int, float]]
) -> list[Stage]:
    return [
        replace(
            stage(f"s{seed}", np.random.default_rng(seed).permutation(logits).tolist(), depth),
            prior=prior,
        )
        for seed, depth, prior in settings
    ]


@given(few_logits, stage_settings)
def test_reranking_is_a_permutation(
    logits: list[int], settings: list[tuple[int, int, float]]
) -> None:
    found = order(len(logits), *shuffled_stages(logits, settings))
    assert sorted(found) == list(range(len(logits)))


@given(logit_lists, stage_settings, st.floats(0, 1), st.data())
def test_scores_lie_in_0_to_1_and_never_rise(
    logits: list[float], settings: list[tuple[int, int, float]], weight: float, data: st.DataObject
) -> None:
    count = len(logits)
    first = sorted(data.draw(st.lists(st.floats(0, 1), min_size=count, max_size=count)))[::-1]
    unreadable = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    ranking = first_order(count, np.array(first), unreadable=unreadable)
    ranking = rank("q", ranking, shuffled_stages(logits, settings))
    scored = np.array(logits, np.float32)
    scored[data.draw(st.lists(st.integers(0, count - 1), max_size=5))] = np.nan
    scored[unreadable] = np.nan
    signal = [None if value < 0 else value for value in logits]
    ranking = reordered(
        ranking, StoredScorer("last"), scored, blend={"sold": weight}, signals={"sold": signal}
    )
    scores = [hit.score for hit in hits_of(ranking)]
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert all(above >= below for above, below in pairwise(scores))


@given(few_logits, st.integers(1, 50))
def test_a_stage_sorts_its_top_stably(logits: list[int], depth: int) -> None:
    top = sorted(range(len(logits))[:depth], key=lambda place: -logits[place])
    assert order(len(logits), stage("a", logits, depth)) == [*top, *range(len(logits))[depth:]]


@given(few_logits, st.integers(0, 50))
def test_a_limit_cuts_the_same_order(logits: list[int], limit: int) -> None:
    ranking = rank("q", given_order(len(logits)), [stage("a", logits)])
    assert hits_of(ranking, limit) == hits_of(ranking)[:limit]


def test_default_index_has_the_models_of_the_default_cascade() -> None:
    assert {stage.model for stage in DEFAULT_CASCADE} <= set(DEFAULT_MODELS.split(","))
