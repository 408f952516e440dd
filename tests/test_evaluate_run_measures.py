"""Runs against qrels: measures, fractional ratings, missing queries, intervals, bounds."""

from __future__ import annotations

from math import log2
from pathlib import Path
from typing import Any

import pytest

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.evaluate.measure_settings import RankingSettings
from qtr_rerank.evaluate.qrels import Qrels
from qtr_rerank.evaluate.run_measures import evaluate_runs
from qtr_rerank.evaluate.runs import Run

QRELS = Qrels(Path("qrels.csv"), {"mug": {"a": 2.0, "b": 0.0, "c": 1.0}, "pen": {"x": 0.0}})
MUG = Qrels(QRELS.path, {"mug": QRELS.ratings["mug"]})


def _run(name: str, **rankings: str) -> Run:
    return Run(name, Path(f"{name}.trec"), {query: tuple(ids) for query, ids in rankings.items()})


def test_the_default_measures_worked_by_hand() -> None:
    report = evaluate_runs([_run("one", mug="bua", pen="xyz")], QRELS, RankingSettings())
    (run,) = report.runs
    assert run.per_query["nDCG@10"]["mug"] == pytest.approx((2 / log2(4)) / (2 + 1 / log2(3)))
    assert run.per_query["RR@10"] == {"mug": pytest.approx(1 / 3), "pen": 0.0}
    assert run.per_query["R@100"] == {"mug": 0.5, "pen": 0.0}
    assert run.per_query["Judged@10"] == {"mug": pytest.approx(2 / 3), "pen": pytest.approx(1 / 3)}
    assert run.means["Judged@10"] == pytest.approx(0.5)
    assert (report.queries, report.judgments, report.unanswerable) == (2, 4, 1)


def test_answerable_mean_leaves_out_queries_without_relevant() -> None:
    (run,) = evaluate_runs([_run("one", mug="bua", pen="xyz")], QRELS, RankingSettings()).runs
    assert run.means["R@100"] == 0.25
    assert run.answerable_means["R@100"] == 0.5
    assert run.answerable_means["Judged@10"] == pytest.approx(2 / 3)


def test_no_answerable_query_gives_no_answerable_mean() -> None:
    qrels = Qrels(QRELS.path, {"pen": QRELS.ratings["pen"]})
    (run,) = evaluate_runs([_run("one", pen="x")], qrels, RankingSettings()).runs
    assert run.means["R@100"] == 0.0
    assert run.answerable_means == {}


@pytest.mark.parametrize(
    ("relevant", "measure", "label", "expected"),
    [
        (1.0, "RR", "RR", 1.0),
        (2.0, "RR", "RR(rel=2)", 0.5),
        (1.5, "RR", "RR(rel=1.5)", 0.5),
        (2.0, "RR(rel=1)", "RR", 1.0),
        (2.0, "P@2", "P(rel=2)@2", 0.5),
        (2.0, "nDCG@1", "nDCG@1", 0.5),
        (1.0, "Success(rel=3)@5", "Success(rel=3)@5", 0.0),
        (1.0, "IPrec@1.0", "IPrec@1.0", 1.0),
    ],
)
def test_relevance_threshold_applies_to_measures_without_rel(
    relevant: float, measure: str, label: str, expected: float
) -> None:
    settings = RankingSettings(measures=(measure,), relevant=relevant)
    qrels = Qrels(QRELS.path, {"mug": QRELS.ratings["mug"]})
    report = evaluate_runs([_run("one", mug="ca")], qrels, settings)
    assert report.runs[0].means == {label: pytest.approx(expected)}


def test_fractional_ratings_are_gains_and_thresholds() -> None:
    qrels = Qrels(Path("q"), {"mug": {"a": 2.33, "b": 3.0, "c": 2.5, "d": -2.0}})
    settings = RankingSettings(("nDCG@10", "RR(rel=2.5)", "R@2", "Judged@10"), relevant=2.33)
    report = evaluate_runs([_run("one", mug="dabc")], qrels, settings)
    achieved = 2.33 / log2(3) + 3 / log2(4) + 2.5 / log2(5)
    ideal = 3 + 2.5 / log2(3) + 2.33 / log2(4)
    assert report.runs[0].means == {
        "nDCG@10": pytest.approx(achieved / ideal),
        "RR(rel=2.5)": pytest.approx(1 / 3),
        "R(rel=2.33)@2": pytest.approx(1 / 3),
        "Judged@10": 1.0,
    }


@pytest.mark.parametrize("measure", ["ERR@10", "nDCG(dcg='exp-log2')@10"])
def test_whole_grade_measures_refuse_fractions(measure: str) -> None:
    qrels = Qrels(Path("q"), {"mug": {"a": 2.33}})
    with pytest.raises(SettingsError, match="whole numbers, but the qrels have fractions; round"):
        evaluate_runs([_run("one", mug="a")], qrels, RankingSettings((measure,)))


def test_ratings_with_too_many_decimals_are_refused() -> None:
    qrels = Qrels(Path("q.csv"), {"mug": {"a": 1 / 3}})
    with pytest.raises(DataError, match=r"q\.csv has the rating 0\.333.*round"):
        evaluate_runs([_run("one", mug="a")], qrels, RankingSettings())


def test_run_with_missing_queries_is_refused() -> None:
    qrels = Qrels(Path("q"), {"mug": {"a": 1.0}, "red%20shoe": {"b": 1.0}})
    with pytest.raises(DataError, match=r"one\.trec lacks 1 of the 2 .*'red shoe'.*allow-missing"):
        evaluate_runs([_run("one", mug="a")], qrels, RankingSettings())


def test_run_with_other_ids_is_explained() -> None:
    with pytest.raises(
        DataError, match="its own ids look like '17'; give the qrels a 'qid' column"
    ):
        evaluate_runs([_run("one", **{"17": "a"})], QRELS, RankingSettings())


def test_allowed_missing_queries_score_zero_and_extra_are_ignored() -> None:
    settings = RankingSettings(allow_missing=True)
    (run,) = evaluate_runs([_run("one", mug="acb", cup="q")], QRELS, settings).runs
    assert run.missing == ("pen",)
    assert run.ignored == ("cup",)
    assert run.per_query["Judged@10"] == {"mug": 1.0, "pen": 0.0}
    assert run.means["nDCG@10"] == pytest.approx(0.5)


def test_measures_keep_the_order_of_the_run() -> None:
    # Also for long runs: scores that differ in the last bits would tie in trec_eval's 32 bits.
    ids = tuple(f"d{at}" for at in range(1000))
    qrels = Qrels(Path("q"), {"mug": {ids[-1]: 1.0}})
    run = Run("long", Path("long.trec"), {"mug": ids})
    settings = RankingSettings(("RR", "R@999", "AP", "nDCG"))
    means = evaluate_runs([run], qrels, settings).runs[0].means
    assert means == {
        "RR": pytest.approx(1 / 1000),
        "R@999": 0.0,
        "AP": pytest.approx(1 / 1000),
        "nDCG": pytest.approx(1 / log2(1001)),
    }


def test_later_runs_are_compared_with_the_first() -> None:
    ratings = {f"q{at}": {"a": 1.0, "b": 0.0} for at in range(8)}
    qrels = Qrels(Path("q"), ratings)
    worse = _run("worse", **dict.fromkeys(ratings, "ba"))
    better = _run("better", **dict.fromkeys(ratings, "ab"))
    first, second = evaluate_runs([worse, better], qrels, RankingSettings()).runs
    assert first.p_values == {}
    assert second.p_values["nDCG@10"] == pytest.approx(2 / 2**8, abs=0.004)
    assert second.p_values["R@100"] == 1.0


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ("Quality@10", "'Quality' is unknown; ir-measures knows AP"),
        ("nDCG@", "not in ir-measures' notation"),
        ("nDCG(10)", "not in ir-measures' notation"),
        ("nDCG(depth=3)@10", "no parameter depth; it takes cutoff"),
        ("nDCG@ten", "not in ir-measures' notation"),
        ("R", "wrong parameters: .*cutoff"),
        ("NumRel(rel=2)", "cannot compute NumRel"),
        ("P(rel=0)@10", "'P\\(rel=0\\)@10': rel is the lowest grade that is relevant.* above 0"),
    ],
)
def test_measures_that_cannot_be_computed_are_explained(measure: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        evaluate_runs([_run("one", mug="a", pen="x")], QRELS, RankingSettings((measure,)))


def test_confidence_interval_is_that_of_a_mean_of_many_queries() -> None:
    # Half of 200 queries find their product: the mean's standard error is 0.5 / sqrt(200).
    qrels = Qrels(Path("q"), {f"q{at}": {"a": 1.0} for at in range(200)})
    run = _run("one", **{query: "a" if at % 2 else "b" for at, query in enumerate(qrels.ratings)})
    (scores,) = evaluate_runs([run], qrels, RankingSettings(("RR",))).runs
    low, high = scores.overall.intervals["RR"]
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.0354, 0.5 + 1.96 * 0.0354), abs=0.01)


def test_seed_decides_the_resamples() -> None:
    qrels = Qrels(Path("q"), {f"q{at}": {"a": 1.0} for at in range(40)})
    run = _run("one", **{query: "xxxa"[at % 4 :] for at, query in enumerate(qrels.ratings)})
    first, again, other = (
        evaluate_runs([run], qrels, RankingSettings(resamples=9, seed=seed)).runs[0].overall
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first.intervals != other.intervals
    assert first.measures == other.measures


def test_query_that_is_always_right_has_an_interval_without_width() -> None:
    (run,) = evaluate_runs([_run("one", mug="acb")], MUG, RankingSettings()).runs
    assert run.overall.intervals["nDCG@10"] == (1.0, 1.0)
    assert run.overall.page_intervals["condensed"] == (1.0, 1.0)


def test_first_page_says_what_unjudged_documents_hide() -> None:
    (run,) = evaluate_runs([_run("one", mug="xa", pen="x")], QRELS, RankingSettings()).runs
    mug = run.first_pages["mug"]
    assert mug.ndcg == run.per_query["nDCG@10"]["mug"]
    assert mug.judged == run.per_query["Judged@10"]["mug"] == 0.5
    assert mug.condensed == pytest.approx(2 / (2 + 1 / log2(3)))
    assert mug.upper == pytest.approx((2 + 2 / log2(3)) / (2 + 2 / log2(3) + 1 / log2(4)))
    assert (mug.rbp, mug.residual) == pytest.approx((0.2 * 0.8, 0.2 + 0.8**2))
    page = run.overall.first_page
    assert page.lower == pytest.approx((mug.lower + run.first_pages["pen"].lower) / 2)
    assert run.answerable is not None
    assert run.answerable.first_page == mug


def test_bounds_are_over_what_all_runs_show() -> None:
    alone = evaluate_runs([_run("one", mug="ac")], MUG, RankingSettings()).runs[0]
    beside = evaluate_runs(
        [_run("one", mug="ac"), _run("two", mug="xa")], MUG, RankingSettings()
    ).runs[0]
    assert alone.first_pages["mug"].lower == 1.0
    assert beside.first_pages["mug"].lower < 1.0
    # Only first pages count.
    deep = evaluate_runs(
        [_run("one", mug="ac"), _run("two", mug="ax")], MUG, RankingSettings(cutoff=1)
    ).runs[0]
    assert deep.first_pages["mug"].lower == 1.0


def test_complete_judgments_hide_nothing() -> None:
    runs = [_run("one", mug="xac"), _run("two", mug="ya")]
    settings = RankingSettings(complete=True)
    for run in evaluate_runs(runs, MUG, settings).runs:
        page = run.first_pages["mug"]
        assert page.lower == page.upper == page.condensed == page.ndcg
        assert page.judged == 1.0
        assert run.comparison is None or not run.comparison.could_turn


@pytest.mark.parametrize(
    ("first", "second", "could_turn"),
    [
        ("ca", "ac", False),  # all is judged
        ("cax", "acx", False),  # both show the unjudged document at the same place
        ("xca", "ac", True),  # x may be the best
        ("ca", "xac", True),  # behind now, but x may be as good as a
        ("cb", "ax", False),  # whatever x is worth
        ("cx", "cy", True),  # equal now, but not if x is relevant and y is not
        ("ac", "ac", False),
    ],
)
def test_comparison_knows_whether_judging_could_turn_it(
    first: str, second: str, could_turn: bool
) -> None:
    runs = [_run("one", mug=first), _run("two", mug=second)]
    report = evaluate_runs(runs, MUG, RankingSettings())
    assert report.runs[0].comparison is None
    found = report.runs[1].comparison
    assert found is not None
    assert found.could_turn is could_turn
    assert found.lower - 1e-9 <= found.difference <= found.upper + 1e-9
    means = [run.means["nDCG@10"] for run in report.runs]
    assert found.difference == pytest.approx(means[1] - means[0])
    assert found.interval == pytest.approx((found.difference, found.difference))
    assert found.p == report.runs[1].p_values["nDCG@10"]


def test_no_resamples_are_refused() -> None:
    with pytest.raises(SettingsError, match="resamples is 0; an interval needs at least 1"):
        evaluate_runs([_run("one", mug="a")], MUG, RankingSettings(resamples=0))


@pytest.mark.parametrize(
    "settings",
    [{"measures": ()}, {"relevant": 0.0}, {"cutoff": 0}, {"persistence": 1.0}, {"persistence": 0}],
)
def test_invalid_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        RankingSettings(**settings)
