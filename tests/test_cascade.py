"""The cascade: stages over a shrinking top."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.__main__ import DEFAULT_MODELS
from qtr_rerank.errors import SettingsError
from qtr_rerank.records import Candidate
from qtr_rerank.rerank.cascade import BLOCK, DEFAULT_CASCADE, Stage, StageSettings, run_cascade


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

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def stage(name: str, logits: Sequence[float], depth: int | None = None) -> Stage:
    return Stage(StoredScorer(name), {"logit": np.array(logits, np.float32)}, depth)


def candidates(count: int) -> list[Candidate]:
    return [
        Candidate(id=f"p{place}", score=1.0 / (place + 1), rank=place + 1) for place in range(count)
    ]


def order(count: int, *stages: Stage, positions: Sequence[int] | None = None) -> list[int]:
    places = np.arange(count) if positions is None else np.array(positions)
    return [hit.index for hit in run_cascade("q", candidates(count), places, stages).ranked]


def test_without_stages_the_order_is_that_of_retrieval() -> None:
    done = run_cascade("q", candidates(3), np.arange(3), ())
    assert [(hit.id, hit.rank, hit.stage, hit.score, hit.logit) for hit in done.ranked] == [
        ("p0", 1, "retrieve", 1.0, 1.0),
        ("p1", 2, "retrieve", 0.5, 0.5),
        ("p2", 3, "retrieve", 1 / 3, 1 / 3),
    ]
    assert not done.degraded
    assert done.times_ms == {}


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


def test_features_are_read_at_the_candidates_positions() -> None:
    assert order(3, stage("a", [5, 0, 9, 0, 1]), positions=[4, 0, 2]) == [2, 1, 0]


def test_each_place_names_the_stage_that_decided_it() -> None:
    stages = [stage("a", [0, 1, 2, 3], 3), stage("b", [7, 8, 6, 9], 1)]
    done = run_cascade("q", candidates(4), np.arange(4), stages)
    assert [(hit.id, hit.stage, hit.logit) for hit in done.ranked] == [
        ("p2", "b", 6.0),
        ("p1", "a", 1.0),
        ("p0", "a", 0.0),
        ("p3", "retrieve", 0.25),
    ]
    assert set(done.times_ms) == {"a", "b"}
    assert done.ranked[0].score == pytest.approx(1 / (1 + np.exp(-6)))
    assert (done.ranked[0].first_rank, done.ranked[0].first_score) == (3, 1 / 3)


def test_saturated_probabilities_do_not_tie() -> None:
    # Both probabilities are 1.0 in float32.
    assert order(2, stage("a", [40.0, 50.0])) == [1, 0]


def test_results_are_plain_numbers() -> None:
    [hit] = run_cascade("q", candidates(1), np.arange(1), [stage("a", [1.0])]).ranked
    assert [type(each) for each in (hit.score, hit.logit, hit.rank, hit.index)] == [
        float,
        float,
        int,
        int,
    ]


def test_a_deadline_that_passed_leaves_the_order_of_retrieval() -> None:
    done = run_cascade(
        "q", candidates(3), np.arange(3), [stage("a", [0, 1, 2])], deadline=time.perf_counter()
    )
    assert done.degraded
    assert [(hit.index, hit.stage) for hit in done.ranked] == [
        (0, "retrieve"),
        (1, "retrieve"),
        (2, "retrieve"),
    ]


def test_a_deadline_within_a_stage_leaves_the_order_of_the_stage_before() -> None:
    class Slow(StoredScorer):
        """Reaches the deadline in its first block, on any machine."""

        def score(
            self, query: dict[str, NDArray[Any]], titles: dict[str, NDArray[Any]]
        ) -> NDArray[np.float32]:
            while time.perf_counter() < deadline:
                pass
            return super().score(query, titles)

    count = BLOCK + 1
    logits = np.arange(count, dtype=np.float32)
    stages = [stage("a", [float(each) for each in logits]), Stage(Slow("b"), {"logit": -logits})]
    deadline = time.perf_counter() + 0.2
    done = run_cascade("q", candidates(count), np.arange(count), stages, deadline=deadline)
    assert done.degraded
    assert {hit.stage for hit in done.ranked} == {"a"}
    assert [hit.index for hit in done.ranked] == list(reversed(range(count)))
    assert set(done.times_ms) == {"a", "b"}


def test_a_distant_deadline_changes_nothing() -> None:
    stages = [stage("a", [0, 1, 2])]
    late = time.perf_counter() + 3600
    done = run_cascade("q", candidates(3), np.arange(3), stages, deadline=late)
    assert [hit.index for hit in done.ranked] == [2, 1, 0]
    assert not done.degraded


def test_no_candidates_no_results() -> None:
    done = run_cascade("q", [], np.arange(0), [stage("a", [])])
    assert done.ranked == ()
    assert done.times_ms == {}


@pytest.mark.parametrize("depth", [0, -1])
def test_a_depth_below_one_is_refused(depth: int) -> None:
    with pytest.raises(SettingsError, match=f"'a' has depth {depth}"):
        StageSettings("a", depth)


@pytest.mark.parametrize("prior", [-0.1, float("inf"), float("nan")])
def test_a_prior_that_is_no_weight_is_refused(prior: float) -> None:
    with pytest.raises(SettingsError, match="'a' has prior"):
        StageSettings("a", prior=prior)


def test_a_prior_lets_the_first_order_count() -> None:
    logits = [0.0, 0.1, 0.0, 3.0]
    plain = stage("a", logits)
    assert order(4, plain) == [3, 1, 0, 2]
    # Between equals it decides as before; it outweighs small differences, not large ones.
    weighed = replace(plain, prior=2.0)
    assert order(4, weighed) == [3, 0, 1, 2]
    ranked = run_cascade("q", candidates(4), np.arange(4), [weighed]).ranked
    by_place = {hit.index: hit.logit for hit in ranked}
    assert by_place[0] == 0.0
    assert by_place[3] == pytest.approx(3.0 - 2.0 * np.log(14 / 11))


few_logits = st.lists(st.integers(-3, 3), min_size=1, max_size=40)


@given(few_logits, st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50)), max_size=3))
def test_reranking_is_a_permutation(logits: list[int], stages: list[tuple[int, int]]) -> None:
    made = [
        stage(f"s{seed}", np.random.default_rng(seed).permutation(logits).tolist(), depth)
        for seed, depth in stages
    ]
    assert sorted(order(len(logits), *made)) == list(range(len(logits)))


@given(few_logits, st.integers(1, 50))
def test_a_stage_sorts_its_top_stably(logits: list[int], depth: int) -> None:
    top = sorted(range(len(logits))[:depth], key=lambda place: -logits[place])
    assert order(len(logits), stage("a", logits, depth)) == [*top, *range(len(logits))[depth:]]


@given(few_logits, st.integers(0, 50))
def test_a_limit_cuts_the_same_order(logits: list[int], limit: int) -> None:
    places, stages = np.arange(len(logits)), [stage("a", logits)]
    everything = run_cascade("q", candidates(len(logits)), places, stages).ranked
    cut = run_cascade("q", candidates(len(logits)), places, stages, limit=limit).ranked
    assert cut == everything[:limit]


def test_an_index_made_by_default_has_what_the_default_cascade_reads() -> None:
    assert {stage.model for stage in DEFAULT_CASCADE} <= set(DEFAULT_MODELS.split(","))
