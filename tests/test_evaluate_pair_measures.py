"""AUC, RMSE and judged-list nDCG: worked by hand, against other libraries, and properties."""

from __future__ import annotations

from math import log2
from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import ndcg_score, roc_auc_score

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.evaluate.pair_measures import Floats, auc, cross_fitted_line, judged_list_ndcg, rmse
from qtr_rerank.evaluate.significance import paired_randomisation

SCORES = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.5])  # few values, so that ties are common


@st.composite
def scored(draw: st.DrawFn, least: int = 2) -> tuple[Floats, Floats]:
    size = draw(st.integers(least, 25))
    scores = draw(arrays.arrays(np.float64, size, elements=SCORES))
    labels = draw(arrays.arrays(np.float64, size, elements=st.sampled_from([0.0, 1.0, 2.33, 3.0])))
    return scores, labels


def _one_query(labels: Floats) -> np.ndarray:
    return np.zeros(len(labels), np.int64)


@pytest.mark.parametrize(
    ("scores", "positive", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4], [False, False, True, True], 1.0),
        ([0.4, 0.3, 0.2, 0.1], [False, False, True, True], 0.0),
        ([0.5, 0.5, 0.5], [True, False, False], 0.5),
        # Positives 0.8 and 0.4; negatives 0.6, 0.4 and 0.2: 3 + 1.5 of 6 comparisons.
        ([0.8, 0.6, 0.4, 0.4, 0.2], [True, False, True, False, False], 0.75),
    ],
)
def test_auc_is_share_of_correctly_ordered_pairs(
    scores: list[float], positive: list[bool], expected: float
) -> None:
    assert auc(scores, positive) == pytest.approx(expected, abs=1e-12)


@given(scored())
def test_auc_agrees_with_scikit_learn(case: tuple[Floats, Floats]) -> None:
    scores, labels = case
    positive = labels >= 2
    if positive.all() or not positive.any():
        with pytest.raises(DataError, match="positives"):
            auc(scores, positive)
    else:
        assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
        assert auc(-scores, positive) == pytest.approx(1 - auc(scores, positive), abs=1e-12)


def test_ndcg_worked_by_hand() -> None:
    # Ranked: gains 0, 3, 2; the ideal order is 3, 2, 0.
    achieved = 3 / log2(3) + 2 / log2(4)
    ideal = 3 / log2(2) + 2 / log2(3)
    (ndcg,) = judged_list_ndcg([0.9, 0.5, 0.1], [0, 3, 2], [0, 0, 0])
    assert ndcg == pytest.approx(achieved / ideal, abs=1e-12)
    (exponential,) = judged_list_ndcg([0.9, 0.5, 0.1], [0, 3, 2], [0, 0, 0], gains="exponential")
    assert exponential == pytest.approx((7 / log2(3) + 3 / 2) / (7 + 3 / log2(3)), abs=1e-12)
    (first,) = judged_list_ndcg([0.9, 0.5, 0.1], [2, 3, 2], [0, 0, 0], cutoff=1)
    assert first == pytest.approx(2 / 3, abs=1e-12)


def test_tied_scores_get_mean_ndcg_of_their_orders() -> None:
    (ndcg,) = judged_list_ndcg([0.5, 0.5], [1, 0], [0, 0])
    assert ndcg == pytest.approx((1 + 1 / log2(3)) / 2, abs=1e-12)


def test_ndcg_is_per_query_and_nan_without_gains() -> None:
    ndcg = judged_list_ndcg(
        scores=[1.0, 9.0, 2.0, 8.0, 5.0], labels=[1, 0, 0, 2, 0], queries=[0, 1, 0, 1, 2]
    )
    alone = 1 / log2(3)
    np.testing.assert_allclose(ndcg, [alone, alone, np.nan], atol=1e-12)


@given(scored(), st.integers(1, 12))
def test_ndcg_agrees_with_scikit_learn_on_ties(case: tuple[Floats, Floats], cutoff: int) -> None:
    scores, labels = case
    (ndcg,) = judged_list_ndcg(scores, labels, _one_query(labels), cutoff)
    if labels.any():
        assert ndcg == pytest.approx(ndcg_score([labels], [scores], k=cutoff), abs=1e-9)
        assert 0 <= ndcg <= 1 + 1e-12
    else:
        assert np.isnan(ndcg)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=25).filter(any), st.integers(0, 99))
def test_ndcg_agrees_with_ir_measures_without_ties(grades: list[int], seed: int) -> None:
    scores = np.random.default_rng(seed).permutation(len(grades)).astype(np.float64)
    qrels = {"q": {f"d{at}": grade for at, grade in enumerate(grades)}}
    run = {"q": {f"d{at}": float(score) for at, score in enumerate(scores)}}
    expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)
    (ndcg,) = judged_list_ndcg(scores, grades, [0] * len(grades))
    assert ndcg == pytest.approx(expected[ir_measures.nDCG @ 10], abs=1e-9)


@given(scored(least=1), st.sampled_from(["linear", "exponential"]))
def test_ideal_order_has_ndcg_one(case: tuple[Floats, Floats], gains: str) -> None:
    _, labels = case
    if labels.any():
        (ndcg,) = judged_list_ndcg(labels, labels, _one_query(labels), gains=gains)
        assert ndcg == pytest.approx(1.0, abs=1e-12)


@given(scored(least=3), st.integers(0, 99))
def test_measures_do_not_depend_on_row_order(case: tuple[Floats, Floats], seed: int) -> None:
    scores, labels = case
    queries = np.arange(len(labels)) % 3
    order = np.random.default_rng(seed).permutation(len(labels))
    before = judged_list_ndcg(scores, labels, queries)
    after = judged_list_ndcg(scores[order], labels[order], queries[order])
    np.testing.assert_allclose(after, before, atol=1e-12)
    positive = labels >= 2
    if positive.any() and not positive.all():
        assert auc(scores[order], positive[order]) == pytest.approx(auc(scores, positive))


def test_rmse_worked_by_hand() -> None:
    assert rmse([1.0, 2.0, 3.0], [1.0, 4.0, 3.0]) == pytest.approx((4 / 3) ** 0.5)


def test_cross_fitted_line_undoes_scale_and_offset() -> None:
    scores = np.array([0.1, 0.9, 0.4, 0.6, 0.2, 0.8])
    labels = 1 + 2 * scores
    mapped = cross_fitted_line(scores, labels, [0, 0, 1, 1, 2, 3])
    np.testing.assert_allclose(mapped, labels, atol=1e-12)


def test_cross_fitted_line_ignores_labels_it_predicts() -> None:
    mapped = cross_fitted_line([0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 3.0, 3.0], [0, 0, 1, 1])
    np.testing.assert_allclose(mapped, [3.0, 3.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("scores", "labels", "queries", "message"),
    [
        ([0.1, 0.2], [1.0], [0, 0], "one shape"),
        ([], [], [], "not empty"),
        ([float("nan"), 0.2], [1.0, 0.0], [0, 0], "scores contain NaN"),
        ([0.1, 0.2], [1.0, -1.0], [0, 0], "labels of 0 or more"),
    ],
)
def test_unusable_columns_are_refused(
    scores: list[float], labels: list[float], queries: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        judged_list_ndcg(scores, labels, queries)


@pytest.mark.parametrize("options", [{"gains": "cubic"}, {"cutoff": 0}])
def test_unusable_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        judged_list_ndcg([0.1], [1.0], [0], **options)


def test_equal_values_are_never_significant() -> None:
    assert paired_randomisation([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]) == 1.0


def test_p_value_approximates_that_of_all_swaps() -> None:
    # Every query better: only the observed order and its mirror reach it, 2 of 2^8 swaps.
    first, second = np.zeros(8), np.linspace(0.1, 0.4, 8)
    p = paired_randomisation(first, second, permutations=20_000)
    assert p == pytest.approx(2 / 2**8, abs=0.003)
    assert paired_randomisation(second, first, permutations=20_000) == p


def test_same_seed_gives_same_p_value() -> None:
    first = np.array([0.1, 0.2, 0.5, 0.4, 0.3])
    second = np.array([0.3, 0.1, 0.7, 0.5, 0.3])
    values = [paired_randomisation(first, second, 500, seed) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    with pytest.raises(SettingsError, match="permutations"):
        paired_randomisation(first, second, permutations=0)
