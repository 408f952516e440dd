"""Bounds of nDCG under unjudged documents, condensed lists, rank-biased precision."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from math import log2

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.errors import SettingsError
from qtr_rerank.evaluate.bounds import difference_bounds, ndcg_bounds, rank_biased_precision

DOCUMENTS = [f"d{number}" for number in range(9)]
RANKINGS = st.lists(st.sampled_from(DOCUMENTS), unique=True)
GRADES = st.dictionaries(
    st.sampled_from(DOCUMENTS), st.sampled_from([-1.0, 0.0, 0.0, 1.0, 2.0, 2.33, 3.0])
)
CUTOFFS = st.integers(1, 10)


def _ndcg(ranking: Sequence[str], grades: Mapping[str, float], cutoff: int) -> float:
    """nDCG written down plainly: unjudged documents are worth nothing."""

    def dcg(gains: Sequence[float]) -> float:
        return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains[:cutoff], start=1))

    gains = {document: max(0.0, grade) for document, grade in grades.items()}
    ideal = dcg(sorted(gains.values(), reverse=True))
    return dcg([gains.get(document, 0.0) for document in ranking]) / ideal if ideal else 0.0


def _best(grades: Mapping[str, float]) -> float:
    """The best grade that an unjudged document may have; any, where no grade is above 0."""
    return max(0.0, *grades.values(), 0.0) or 1.0


@given(RANKINGS, RANKINGS, GRADES, CUTOFFS, st.data())
def test_every_grading_of_the_unjudged_is_within_the_bounds(
    ranking: list[str], other: list[str], grades: dict[str, float], cutoff: int, data: st.DataObject
) -> None:
    bounds = ndcg_bounds(ranking, grades, cutoff, pool=other[:cutoff])
    low, high = difference_bounds(ranking, other, grades, cutoff)
    unjudged = sorted({*ranking[:cutoff], *other[:cutoff]} - grades.keys())
    judged = {one: data.draw(st.floats(0.0, _best(grades))) for one in unjudged} | grades
    after, of_other = _ndcg(ranking, judged, cutoff), _ndcg(other, judged, cutoff)
    assert bounds.lower - 1e-9 <= after <= bounds.upper + 1e-9
    assert low - 1e-9 <= of_other - after <= high + 1e-9


@given(
    st.lists(st.sampled_from(DOCUMENTS), unique=True, max_size=3),
    st.lists(st.sampled_from(DOCUMENTS), unique=True, max_size=2),
    GRADES,
    CUTOFFS,
)
def test_bounds_are_reached(
    ranking: list[str], other: list[str], grades: dict[str, float], cutoff: int
) -> None:
    bounds = ndcg_bounds(ranking, grades, cutoff, pool=other)
    unjudged = sorted({*ranking[:cutoff], *other} - grades.keys())
    levels = {0.0, _best(grades), *(grade for grade in grades.values() if grade > 0)}
    gradings = [
        grades | dict(zip(unjudged, given, strict=True))
        for given in itertools.product(levels, repeat=len(unjudged))
    ]
    values = [_ndcg(ranking, judged, cutoff) for judged in gradings]
    assert bounds.lower == pytest.approx(min(values), abs=1e-9)
    assert bounds.upper == pytest.approx(max(values), abs=1e-9)
    differences = [
        _ndcg(other, judged, cutoff) - value for judged, value in zip(gradings, values, strict=True)
    ]
    assert difference_bounds(ranking, other, grades, cutoff, pool=other) == pytest.approx(
        (min(differences), max(differences)), abs=1e-9
    )


@given(RANKINGS, RANKINGS, GRADES, CUTOFFS)
def test_ndcg_is_between_its_bounds_and_they_meet_where_all_is_judged(
    ranking: list[str], other: list[str], grades: dict[str, float], cutoff: int
) -> None:
    bounds = ndcg_bounds(ranking, grades, cutoff, pool=other)
    assert 0.0 <= bounds.lower <= bounds.ndcg <= bounds.upper <= 1.0
    complete = dict.fromkeys([*ranking, *other], 0.0) | grades
    known = ndcg_bounds(ranking, complete, cutoff, pool=other)
    assert known.judged == (1.0 if ranking else 0.0)
    assert known.lower == pytest.approx(known.ndcg, abs=1e-12)
    assert known.upper == pytest.approx(known.ndcg, abs=1e-12)
    assert known.condensed == known.ndcg == pytest.approx(bounds.ndcg, abs=1e-12)


@given(RANKINGS.filter(bool), GRADES.filter(bool), CUTOFFS)
def test_ndcg_condensed_ndcg_and_judged_are_those_of_ir_measures(
    ranking: list[str], grades: dict[str, float], cutoff: int
) -> None:
    # Whole numbers, as ir-measures needs them; a common factor changes no nDCG.
    qrels = {"q": {document: max(0, round(100 * grade)) for document, grade in grades.items()}}
    run = {"q": {document: -float(rank) for rank, document in enumerate(ranking)}}
    bounds = ndcg_bounds(ranking, grades, cutoff)
    measures = {
        f"nDCG@{cutoff}": bounds.ndcg,
        f"nDCG(judged_only=True)@{cutoff}": bounds.condensed,
        f"Judged@{cutoff}": bounds.judged,
    }
    for name, value in measures.items():
        measure = ir_measures.parse_measure(name)
        (found,) = measure.iter_calc(qrels, run)
        assert value == pytest.approx(found.value, abs=1e-6), name


def test_relevant_document_of_another_run_lowers_the_least() -> None:
    grades = {"a": 2.0, "b": 0.0}
    alone = ndcg_bounds(["a", "b"], grades)
    assert alone.lower == alone.upper == 1.0
    beside = ndcg_bounds(["a", "b"], grades, pool=["b", "new"])
    # If "new" is as good as "a", the ideal order has both.
    assert beside.lower == pytest.approx(1 / (1 + 1 / log2(3)))
    assert beside.upper == 1.0


def test_best_grade_for_all_unjudged_is_not_the_greatest() -> None:
    grades = {"a": 3.0, "b": 0.0}
    bounds = ndcg_bounds(["a", "b", "x", "y"], grades)
    all_best = _ndcg(["a", "b", "x", "y"], grades | {"x": 3.0, "y": 3.0}, 10)
    assert all_best < bounds.upper == 1.0


def test_unjudged_document_may_be_the_first_relevant_one() -> None:
    bounds = ndcg_bounds(["a", "x"], {"a": 0.0})
    assert (bounds.lower, bounds.ndcg, bounds.upper) == (0.0, 0.0, pytest.approx(1 / log2(3)))
    assert ndcg_bounds(["a"], {"a": 0.0}).upper == 0.0


def test_empty_ranking_has_nothing_to_judge() -> None:
    bounds = ndcg_bounds([], {"a": 3.0})
    assert (bounds.lower, bounds.upper, bounds.judged) == (0.0, 0.0, 0.0)


@given(RANKINGS, GRADES, CUTOFFS)
def test_equal_rankings_differ_by_nothing_whatever_the_grades(
    ranking: list[str], grades: dict[str, float], cutoff: int
) -> None:
    assert difference_bounds(ranking, ranking, grades, cutoff) == (0.0, 0.0)


@given(RANKINGS, RANKINGS, GRADES, CUTOFFS)
def test_difference_is_narrower_than_the_bounds_of_both(
    first: list[str], second: list[str], grades: dict[str, float], cutoff: int
) -> None:
    low, high = difference_bounds(first, second, grades, cutoff)
    before = ndcg_bounds(first, grades, cutoff, pool=second[:cutoff])
    after = ndcg_bounds(second, grades, cutoff, pool=first[:cutoff])
    assert after.lower - before.upper - 1e-9 <= low
    assert high <= after.upper - before.lower + 1e-9
    assert difference_bounds(second, first, grades, cutoff) == pytest.approx((-high, -low))


@pytest.mark.parametrize("cutoff", [0, -1])
def test_cutoff_below_one_is_refused(cutoff: int) -> None:
    with pytest.raises(SettingsError, match="needs at least 1"):
        ndcg_bounds(["a"], {"a": 1.0}, cutoff)
    with pytest.raises(SettingsError, match="needs at least 1"):
        difference_bounds(["a"], ["b"], {"a": 1.0}, cutoff)


def test_rank_biased_precision_worked_by_hand() -> None:
    grades = {"a": 3.0, "b": 1.0, "c": 0.0}
    value, residual = rank_biased_precision(["b", "x", "a", "c"], grades, 1.0, 0.5)
    assert value == pytest.approx(0.5 + 0.125)
    assert residual == pytest.approx(0.25 + 0.5**4)
    value, _ = rank_biased_precision(["b", "x", "a", "c"], grades, relevant=2.0, persistence=0.5)
    assert value == pytest.approx(0.125)
    assert rank_biased_precision([], grades) == (0.0, 1.0)


@given(RANKINGS, GRADES, st.floats(0.01, 0.99), st.data())
def test_rank_biased_precision_stays_within_its_residual(
    ranking: list[str], grades: dict[str, float], persistence: float, data: st.DataObject
) -> None:
    value, residual = rank_biased_precision(ranking, grades, 1.0, persistence)
    unjudged = [one for one in ranking if one not in grades]
    judged = {one: data.draw(st.sampled_from([0.0, 3.0])) for one in unjudged} | grades
    longer = [*ranking, *(f"later{number}" for number in range(data.draw(st.integers(0, 20))))]
    found = dict.fromkeys(longer, 3.0) | judged
    after, rest = rank_biased_precision(longer, found, 1.0, persistence)
    assert value - 1e-9 <= after <= value + residual + 1e-9
    assert rest == pytest.approx(persistence ** len(longer))
