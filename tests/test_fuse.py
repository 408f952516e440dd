"""Reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qtr_rerank.errors import SettingsError
from qtr_rerank.retrieve.fuse import Fused, reciprocal_rank_fusion
from qtr_rerank.retrieve.schema import Matches

# The id of the product at each position. Ids do not sort as positions do.
IDS = [f"{(7 * position) % 26:02d}" for position in range(26)]
POSITION = {id: position for position, id in enumerate(IDS)}


def id_keys(positions: NDArray[np.int64]) -> NDArray[np.bytes_]:
    return np.array([IDS[position] for position in positions], dtype="S2")


def ranked(ids: Sequence[str]) -> Matches:
    positions = np.array([POSITION[id] for id in ids], dtype=np.int64)
    return Matches(positions, 1.0 / np.arange(1, len(ids) + 1))


def fuse(
    lists: Mapping[str, Sequence[str]],
    k: int = 100,
    constant: int = 60,
    weights: Mapping[str, float] | None = None,
) -> Fused:
    made = {name: ranked(ids) for name, ids in lists.items()}
    return reciprocal_rank_fusion(made, k, id_keys, constant, weights)


def fused_ids(lists: Mapping[str, Sequence[str]], k: int = 100) -> list[str]:
    return [IDS[position] for position in fuse(lists, k).positions]


id_lists = st.lists(st.sampled_from(IDS), unique=True, max_size=12)
list_sets = st.dictionaries(st.sampled_from(["lexical", "dense", "third"]), id_lists, max_size=3)


def plain_fusion(lists: Mapping[str, Sequence[str]]) -> list[str]:
    """The definition, in plain Python."""
    ranks: dict[str, list[int]] = {}
    for ids in lists.values():
        for rank, id in enumerate(ids, start=1):
            ranks.setdefault(id, []).append(rank)
    score = {id: sum(1 / (60 + rank) for rank in found) for id, found in ranks.items()}
    return sorted(ranks, key=lambda id: (-score[id], min(ranks[id]), id))


@given(list_sets)
def test_the_order_is_that_of_the_definition(lists: dict[str, list[str]]) -> None:
    assert fused_ids(lists) == plain_fusion(lists)


def test_scores_are_those_of_the_paper() -> None:
    fused = fuse({"lexical": ["01", "02"], "dense": ["02", "03"]}, 10)
    assert [IDS[position] for position in fused.positions] == ["02", "01", "03"]
    assert fused.scores.tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])
    assert fused.best_possible == pytest.approx(2 / 61)


def test_each_product_keeps_its_rank_and_score_in_each_list() -> None:
    fused = fuse({"lexical": ["01", "02"], "dense": ["02"]}, 10)
    assert [IDS[position] for position in fused.positions] == ["02", "01"]
    assert {name: ranks.tolist() for name, ranks in fused.ranks.items()} == {
        "lexical": [2, 1],
        "dense": [1, 0],
    }
    assert fused.list_scores["lexical"].tolist() == [0.5, 1.0]
    assert np.isnan(fused.list_scores["dense"]).tolist() == [False, True]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        pytest.param({}, [], id="no lists"),
        pytest.param({"lexical": [], "dense": []}, [], id="empty lists"),
        pytest.param({"lexical": ["09", "01"]}, ["09", "01"], id="one list keeps its order"),
        pytest.param({"lexical": ["09"], "dense": ["01"]}, ["01", "09"], id="a tie goes by id"),
        pytest.param(
            {"lexical": ["09", "09", "01"]}, ["09", "01"], id="a product twice counts once"
        ),
    ],
)
def test_orders(lists: dict[str, list[str]], expected: list[str]) -> None:
    assert fused_ids(lists) == expected


def test_equal_scores_go_by_the_better_best_rank() -> None:
    # constant 0: 1/1 against 1/2 + 1/2.
    fused = fuse({"lexical": ["25", "01"], "dense": ["24", "01"]}, 10, constant=0)
    assert [IDS[position] for position in fused.positions] == ["24", "25", "01"]
    assert set(fused.scores.tolist()) == {1.0}


def test_weights_move_the_order() -> None:
    fused = fuse({"lexical": ["01"], "dense": ["02"]}, 10, weights={"dense": 2.0})
    assert [IDS[position] for position in fused.positions] == ["02", "01"]


@pytest.mark.parametrize(
    ("weights", "constant", "message"),
    [
        ({"other": 1.0}, 60, "weights name the list 'other'"),
        ({"lexical": 0.0}, 60, "expected a number above 0"),
        ({"lexical": float("nan")}, 60, "expected a number above 0"),
        ({}, -1, "fusion constant is -1"),
    ],
)
def test_settings_out_of_range_are_refused(
    weights: dict[str, float], constant: int, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        fuse({"lexical": ["01"]}, 1, constant, weights)


@given(list_sets)
def test_fusion_keeps_every_product_once(lists: dict[str, list[str]]) -> None:
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
def test_scores_fall_and_stay_below_the_best_possible(lists: dict[str, list[str]]) -> None:
    fused = fuse(lists)
    scores = fused.scores.tolist()
    assert scores == sorted(scores, reverse=True)
    assert all(score <= fused.best_possible + 1e-12 for score in scores)
