"""Pooling of `qtr judge`, the order of its pairs, and what settles a comparison."""

from __future__ import annotations

import random
import re
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.evaluate.bounds import difference_bounds
from qtr_rerank.evaluate.runs import Run
from qtr_rerank.judge.comparison import Comparison
from qtr_rerank.judge.drawing import Drawing, state_of
from qtr_rerank.judge.pool import Pair, Pool, QueryTexts, Ratings, check_scale, pooled
from qtr_rerank.judge.session import next_useful
from qtr_rerank.judge.standing import standing_text
from tests.judge_fixtures import make_pool, make_run, rankings, ratings

Rankings = dict[str, tuple[str, ...]]


def _runs(*found: Rankings) -> list[Run]:
    return [Run(f"r{at}", Path(f"r{at}.trec"), ranking) for at, ranking in enumerate(found)]


@given(first=rankings, second=rankings, judged=ratings, depth=st.integers(1, 8))
def test_pool_is_what_the_first_ranks_show_and_nobody_judged(
    first: Rankings, second: Rankings, judged: Ratings, depth: int
) -> None:
    pool = make_pool(*_runs(first, second), judged=judged, depth=depth)
    expected = {
        Pair(query, document)
        for run in (first, second)
        for query, ranking in run.items()
        for document in ranking[:depth]
        if document not in judged.get(query, {})
    }
    assert set(pool.open) == expected
    assert len(pool.open) == len(expected)


@given(first=rankings, second=rankings, seed=st.integers(0, 5))
def test_order_of_the_pool_says_nothing_about_the_runs(
    first: Rankings, second: Rankings, seed: int
) -> None:
    runs = _runs(first, second)
    assert make_pool(*runs, seed=seed).open == make_pool(*reversed(runs), seed=seed).open
    assert make_pool(*runs, seed=seed).open == make_pool(*runs, seed=seed).open


def test_seed_changes_the_order() -> None:
    run = make_run("a", {"mug": [f"P{number}" for number in range(20)]})
    orders = {make_pool(run, depth=20, seed=seed).open for seed in range(5)}
    assert len(orders) == 5
    assert len({frozenset(order) for order in orders}) == 1


def test_products_that_the_index_lacks_are_left_out_and_listed() -> None:
    run = make_run("a", {"mug": ["P1", "gone"]})
    pool = pooled([run], {}, lambda ids: [id != "gone" for id in ids])
    assert pool.open == (Pair("mug", "P1"),)
    assert pool.unknown == (Pair("mug", "gone"),)


def test_run_of_another_catalog_is_refused() -> None:
    run = make_run("a", {"mug": ["P1", "P2"]})
    with pytest.raises(DataError, match=r"holds none of the 2 products of a\.trec, such as 'P1'"):
        pooled([run], {}, lambda ids: [False] * len(ids))


def test_runs_of_other_queries_are_refused() -> None:
    one, other = make_run("a", {"red mug": ["P1"]}), make_run("b", {"17": ["P1"]})
    with pytest.raises(
        DataError, match=r"share no query: their ids look like 'red%20mug' and '17'"
    ):
        make_pool(one, other)


def test_depth_below_1_is_refused() -> None:
    with pytest.raises(SettingsError, match="the depth is 0"):
        make_pool(make_run("a", {"mug": ["P1"]}), depth=0)


def test_query_that_one_run_lacks_counts_as_one_without_results() -> None:
    one, other = make_run("a", {"mug": ["P1"], "cup": ["P2"]}), make_run("b", {"mug": ["P1"]})
    pool = make_pool(one, other)
    assert set(pool.open) == {Pair("mug", "P1"), Pair("cup", "P2")}
    assert Comparison(pool, {}).difference(0, 1) == (-0.5, 0.0)


def test_text_of_a_query_is_its_id_unless_a_table_says_otherwise() -> None:
    own = QueryTexts(["red%20mug"])
    assert own.texts == {"red%20mug": "red mug"}
    assert own.are_ids
    given_texts = QueryTexts(["7"], {"7": "red mug", "8": "cup"})
    assert given_texts.texts == {"7": "red mug"}
    assert not given_texts.are_ids


def test_numbers_as_query_ids_need_a_table_of_queries() -> None:
    with pytest.raises(DataError, match=r"query ids are numbers, such as '12'; .*--queries"):
        QueryTexts(["12", "13"])
    with pytest.raises(DataError, match="no text for 1 of the 2 queries in the runs, such as '13'"):
        QueryTexts(["12", "13"], {"12": "mug"})


def test_ratings_on_another_scale_are_refused_or_warned_of() -> None:
    path = "qrels.csv"
    with pytest.raises(DataError, match=r"qrels\.csv has the rating 5; judgments here are 0 to 3"):
        check_scale(path, {"mug": {"P1": 5.0}})
    assert "no rating above 1" in check_scale(path, {"mug": {"P1": 1.0, "P2": 0.0}})
    assert check_scale(path, {"mug": {"P1": 2.5}}) == ""


# Comparison


@given(first=rankings, second=rankings, judged=ratings, data=st.data())
def test_comparison_after_grades_equals_one_that_knew_them(
    first: Rankings, second: Rankings, judged: Ratings, data: st.DataObject
) -> None:
    pool = make_pool(*_runs(first, second), judged=judged)
    comparison = Comparison(pool, judged)
    before = comparison.difference(0, 1)
    known = {query: dict(judged.get(query, {})) for query in pool.queries}
    chosen = (
        data.draw(st.lists(st.sampled_from(pool.open), unique=True, max_size=5))
        if pool.open
        else []
    )
    for pair in chosen:
        rating = data.draw(st.integers(0, 3))
        comparison.judge(pair, rating)
        known[pair.query][pair.document] = rating
    assert comparison.difference(0, 1) == Comparison(pool, known).difference(0, 1)
    for pair in chosen:
        comparison.withdraw(pair)
    assert comparison.difference(0, 1) == before


@given(first=rankings, second=rankings, judged=ratings)
def test_difference_is_the_mean_of_the_queries_bounds(
    first: Rankings, second: Rankings, judged: Ratings
) -> None:
    pool = make_pool(*_runs(first, second), judged=judged)
    bounds = [
        difference_bounds(
            first[query][:5], second[query][:5], judged.get(query, {}), 5, pool.documents(query)
        )
        for query in pool.queries
    ]
    least, greatest = (sum(column) / len(bounds) for column in zip(*bounds, strict=True))
    assert Comparison(pool, judged).difference(0, 1) == pytest.approx((least, greatest))


@given(first=rankings, second=rankings, data=st.data())
def test_settled_comparison_stays_so_once_the_best_grade_of_each_query_is_known(
    first: Rankings, second: Rankings, data: st.DataObject
) -> None:
    judged = {query: {"known": 3.0} for query in first}
    pool = make_pool(*_runs(first, second), judged=judged)
    comparison = Comparison(pool, judged)
    settled = False
    for pair in pool.open:
        was, ahead = settled, comparison.difference(0, 1)
        comparison.judge(pair, data.draw(st.integers(0, 3)))
        settled = comparison.settled
        assert settled >= was
        if was:
            assert (comparison.difference(0, 1)[0] > 0) == (ahead[0] > 0)
    assert comparison.settled or first == second


@given(first=rankings, second=rankings, judged=ratings)
def test_every_unjudged_pair_has_a_usefulness(
    first: Rankings, second: Rankings, judged: Ratings
) -> None:
    pool = make_pool(*_runs(first, second), judged=judged)
    useful = Comparison(pool, judged).usefulness()
    assert set(useful) == set(pool.open)
    assert all(value >= 0 for value in useful.values())


def test_pair_that_both_runs_rank_alike_is_the_least_useful() -> None:
    one = make_run("a", {"mug": ["same", "P1", "P2"]})
    other = make_run("b", {"mug": ["same", "P3", "P4"]})
    useful = Comparison(make_pool(one, other), {}).usefulness()
    assert useful[Pair("mug", "same")] == 0
    assert useful[Pair("mug", "P1")] > useful[Pair("mug", "P2")] > 0


def test_pairs_of_the_run_behind_are_more_useful() -> None:
    # Run b has two exact products more: a is behind, and only its products could save it.
    queries = {f"mug {number}": ["A", "B"] for number in range(4)}
    one = make_run("a", queries)
    other = make_run("b", {query: ["C", "D"] for query in queries})
    judged = {query: {"C": 3.0, "known": 3.0} for query in list(one.rankings)[:2]}
    pool = make_pool(one, other, judged=judged)
    useful = Comparison(pool, judged).usefulness()
    query = list(one.rankings)[3]
    assert useful[Pair(query, "A")] > useful[Pair(query, "C")] > 0


def test_runs_that_are_settled_do_not_count() -> None:
    same = {"mug": ["P1", "P2"]}
    runs = [make_run("a", same), make_run("b", same), make_run("c", {"mug": ["P2", "P3"]})]
    comparison = Comparison(make_pool(*runs), {})
    assert comparison.is_settled(0, 1)
    assert not comparison.is_settled(0, 2)
    assert not comparison.settled


def test_single_run_is_judged_from_the_top_and_never_settled() -> None:
    run = make_run("a", {"mug": ["P1", "P2", "P3"]})
    comparison = Comparison(make_pool(run), {})
    useful = comparison.usefulness()
    assert sorted(useful, key=lambda pair: -useful[pair]) == [
        Pair("mug", f"P{number}") for number in (1, 2, 3)
    ]
    assert not comparison.settled


def test_most_useful_pair_stays_with_a_query_while_that_costs_little() -> None:
    one = make_run("a", {"mug": ["P1", "P2"], "cup": ["P1", "P2"]})
    pool = make_pool(one)
    comparison = Comparison(pool, {})
    drawing = Drawing(comparison, 0)
    # At equal usefulness the first is drawn; the others of its query come before the other query.
    first = next_useful(comparison, drawing, pool.open, None)
    comparison.judge(first, 0)
    left = [pair for pair in pool.open if pair != first]
    assert next_useful(comparison, drawing, left, first.query) == Pair(first.query, "P2")
    assert next_useful(comparison, drawing, left, None) == Pair(
        ({"mug", "cup"} - {first.query}).pop(), "P1"
    )


# Drawing


def graded_pool() -> tuple[Pool, dict[str, dict[str, float]], dict[Pair, int]]:
    """Two runs of 8 queries whose ideal order is known, and grades of all their open pairs."""
    queries = [f"query {number}" for number in range(8)]
    one = make_run("a", {query: [f"A{rank}" for rank in range(5)] for query in queries})
    other = make_run("b", {query: [f"B{rank}" for rank in range(5)] for query in queries})
    known = {query: {f"K{number}": 3.0 for number in range(5)} for query in one.rankings}
    pool = make_pool(one, other, judged=known)
    rng = random.Random(1)
    weights = {"A": (6, 2, 1, 1), "B": (4, 2, 2, 2)}
    grades = {
        pair: rng.choices((0, 1, 2, 3), weights[pair.document[0]])[0]
        for pair in sorted(pool.open, key=str)
    }
    return pool, known, grades


def test_estimate_is_right_on_average_and_so_is_its_error() -> None:
    pool, known, grades = graded_pool()
    whole = Comparison(pool, known)
    for pair, rating in grades.items():
        whole.judge(pair, rating)
    truth, greatest = whole.difference(0, 1)
    assert truth == pytest.approx(greatest)
    errors, shown = [], []
    for seed in range(200):
        comparison = Comparison(pool, known)
        drawing = Drawing(comparison, seed)
        for pair in drawing.order[:25]:
            comparison.judge(pair, grades[pair])
        estimate = drawing.estimate(comparison, 0, 1)
        assert estimate is not None
        errors.append(estimate.difference - truth)
        shown.append(estimate.error)
    spread = statistics.pstdev(errors)
    assert abs(statistics.fmean(errors)) < 3 * spread / len(errors) ** 0.5
    assert statistics.fmean(shown) == pytest.approx(spread, rel=0.1)


def test_drawing_prefers_pairs_that_could_change_more() -> None:
    pool, known, _ = graded_pool()
    firsts = [Drawing(Comparison(pool, known), seed).order[0].document for seed in range(300)]
    counts = [sum(document.endswith(str(rank)) for document in firsts) for rank in range(5)]
    assert counts[0] > counts[1] > counts[4] > 0


def test_seed_draws_the_same_order_every_time() -> None:
    pool, known, _ = graded_pool()
    comparison = Comparison(pool, known)
    order = Drawing(comparison, 3).order
    assert order != Drawing(comparison, 4).order
    assert sorted(order, key=str) == sorted(pool.open, key=str)
    assert Drawing(Comparison(pool, known), 3).order == order


def test_pairs_that_can_change_nothing_are_drawn_last() -> None:
    one = make_run("a", {"mug": ["same", "P1", "P2"]})
    other = make_run("b", {"mug": ["same", "P3", "P4"]})
    for seed in range(5):
        order = Drawing(Comparison(make_pool(one, other), {}), seed).order
        assert order[-1] == Pair("mug", "same")


def test_few_pairs_or_pairs_of_another_order_give_no_estimate() -> None:
    pool, known, grades = graded_pool()
    comparison = Comparison(pool, known)
    drawing = Drawing(comparison, 0)
    for pair in drawing.order[:19]:
        comparison.judge(pair, grades[pair])
    assert drawing.estimate(comparison, 0, 1) is None
    # One pair is skipped, which is few.
    for pair in drawing.order[20:22]:
        comparison.judge(pair, grades[pair])
    assert drawing.estimate(comparison, 0, 1) is not None
    for pair in drawing.order[40:]:
        comparison.judge(pair, grades[pair])
    assert drawing.estimate(comparison, 0, 1) is None


def test_state_is_likely_settled_before_it_is_settled() -> None:
    pool, known, _ = graded_pool()
    comparison = Comparison(pool, known)
    drawing = Drawing(comparison, 0)
    states = []
    for pair in drawing.order:
        states.append(state_of(comparison, drawing))
        comparison.judge(pair, 3 if pair.document.startswith("A") else 0)
    states.append(state_of(comparison, drawing))
    assert list(dict.fromkeys(states)) == ["open", "likely settled", "settled"]
    assert states.index("likely settled") >= 20


def test_single_run_is_never_settled() -> None:
    run = make_run("a", {"mug": ["P1"]})
    comparison = Comparison(make_pool(run), {})
    drawing = Drawing(comparison, 0)
    comparison.judge(Pair("mug", "P1"), 3)
    assert state_of(comparison, drawing) == "open"


# How it stands, as text


def last_comparison(runs: list[Run], comparison: Comparison) -> str:
    names = [run.name for run in runs]
    drawing = Drawing(Comparison(comparison.pool, {}), 0)
    return standing_text(names, comparison, drawing).splitlines()[-2]


@pytest.mark.parametrize(
    ("better", "text"), [("P1", "settled: a is better"), ("P2", "settled: b is better")]
)
def test_settled_comparison_names_the_better_run(better: str, text: str) -> None:
    runs = [make_run("a", {"mug": ["P1", "P2"]}), make_run("b", {"mug": ["P2", "P1"]})]
    comparison = Comparison(make_pool(*runs), {})
    assert last_comparison(runs, comparison).endswith(", open")
    for document in ("P1", "P2"):
        comparison.judge(Pair("mug", document), 3 if document == better else 0)
    assert text in last_comparison(runs, comparison)


def test_runs_that_no_grade_can_part_are_equal() -> None:
    runs = [make_run(name, {"mug": ["P1"]}) for name in "ab"]
    comparison = Comparison(make_pool(*runs), {})
    assert "settled: they are equal" in last_comparison(runs, comparison)


def test_estimate_stands_beside_the_bounds() -> None:
    pool, known, _ = graded_pool()
    comparison = Comparison(pool, known)
    drawing = Drawing(comparison, 0)
    for pair in drawing.order[:30]:
        comparison.judge(pair, 3 if pair.document.startswith("A") else 0)
    text = standing_text(["a", "b"], comparison, drawing)
    assert re.search(
        r"b less a: -\d.\d{4} to \+\d.\d{4}, likely settled: a is better; "
        r"estimate -\d.\d{4}, standard error \d.\d{4}",
        text,
    )


def test_grades_of_queries_that_no_run_has_do_not_count() -> None:
    comparison = Comparison(make_pool(make_run("a", {"mug": ["P1"]})), {})
    comparison.judge(Pair("cup", "P1"), 3)
    comparison.withdraw(Pair("cup", "P1"))
    assert comparison.grades == {"mug": {}}
