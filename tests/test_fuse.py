"""Reciprocal rank fusion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.errors import SettingsError
from qtr_rerank.records import Candidate
from qtr_rerank.retrieve.fuse import reciprocal_rank_fusion


def ranked(*ids: str) -> list[Candidate]:
    return [Candidate(id=id, score=1.0 / rank, rank=rank) for rank, id in enumerate(ids, start=1)]


id_lists = st.lists(st.text("abcdefgh", min_size=1, max_size=2), unique=True, max_size=12)
list_sets = st.dictionaries(st.sampled_from(["lexical", "dense", "third"]), id_lists, max_size=3)


def fused_ids(lists: dict[str, list[str]], k: int = 100) -> list[str]:
    fused = reciprocal_rank_fusion({name: ranked(*ids) for name, ids in lists.items()}, k)
    return [candidate.id for candidate in fused]


def test_scores_are_those_of_the_paper() -> None:
    fused = reciprocal_rank_fusion({"lexical": ranked("a", "b"), "dense": ranked("b", "c")}, 10)
    assert [each.id for each in fused] == ["b", "a", "c"]
    assert [each.score for each in fused] == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_each_candidate_says_where_it_stood() -> None:
    fused = reciprocal_rank_fusion({"lexical": ranked("a", "b"), "dense": ranked("b")}, 10)
    assert [(each.id, each.rank, dict(each.sources)) for each in fused] == [
        ("b", 1, {"lexical": 2, "dense": 1}),
        ("a", 2, {"lexical": 1}),
    ]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        pytest.param({}, [], id="no lists"),
        pytest.param({"lexical": [], "dense": []}, [], id="empty lists"),
        pytest.param({"lexical": ["b", "a"]}, ["b", "a"], id="one list keeps its order"),
        pytest.param({"lexical": ["b"], "dense": ["a"]}, ["a", "b"], id="a tie goes by id"),
        pytest.param({"lexical": ["b", "b", "a"]}, ["b", "a"], id="an id twice counts once"),
    ],
)
def test_orders(lists: dict[str, list[str]], expected: list[str]) -> None:
    assert fused_ids(lists) == expected


def test_equal_scores_go_by_the_better_best_rank() -> None:
    # constant 0: 1/1 against 1/2 + 1/2.
    fused = reciprocal_rank_fusion(
        {"lexical": ranked("z", "a"), "dense": ranked("y", "a")}, 10, constant=0
    )
    assert [each.id for each in fused] == ["y", "z", "a"]
    assert {each.score for each in fused} == {1.0}


def test_weights_move_the_order() -> None:
    lists = {"lexical": ranked("a"), "dense": ranked("b")}
    fused = reciprocal_rank_fusion(lists, 10, weights={"dense": 2.0})
    assert [each.id for each in fused] == ["b", "a"]


@pytest.mark.parametrize(
    ("weights", "constant", "message"),
    [
        ({"other": 1.0}, 60, "weight for 'other'"),
        ({"lexical": 0.0}, 60, "expected a number above 0"),
        ({"lexical": float("nan")}, 60, "expected a number above 0"),
        ({}, -1, "fusion constant is -1"),
    ],
)
def test_unusable_settings_are_refused(
    weights: dict[str, float], constant: int, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        reciprocal_rank_fusion({"lexical": ranked("a")}, 1, constant, weights)


@given(list_sets)
def test_fusion_keeps_every_candidate_once(lists: dict[str, list[str]]) -> None:
    assert sorted(fused_ids(lists)) == sorted({id for ids in lists.values() for id in ids})


@given(list_sets)
def test_the_order_of_the_lists_does_not_matter(lists: dict[str, list[str]]) -> None:
    assert fused_ids(dict(reversed(lists.items()))) == fused_ids(lists)


@given(list_sets, st.integers(0, 20))
def test_k_cuts_the_same_order(lists: dict[str, list[str]], k: int) -> None:
    assert fused_ids(lists, k) == fused_ids(lists)[:k]


@given(id_lists)
def test_agreeing_lists_keep_their_order(ids: list[str]) -> None:
    assert fused_ids({"lexical": ids, "dense": ids}) == ids


@given(list_sets)
def test_scores_fall(lists: dict[str, list[str]]) -> None:
    fused = reciprocal_rank_fusion({name: ranked(*ids) for name, ids in lists.items()}, 100)
    scores = [each.score for each in fused]
    assert scores == sorted(scores, reverse=True)
    assert [each.rank for each in fused] == list(range(1, len(fused) + 1))
