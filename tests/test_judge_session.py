"""Sessions of `qtr judge`: grades, skips, undo, resumption, several judges and their agreement."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from qtr_rerank.errors import DataError
from qtr_rerank.evaluate.qrels import read_qrels
from qtr_rerank.judge.agreement import agreements, weighted_kappa
from qtr_rerank.judge.judgment_file import Graded, JudgmentFile, read_graded
from qtr_rerank.judge.pool import Pair, Pool, QueryTexts
from qtr_rerank.judge.session import Session
from tests.judge_fixtures import make_pool, make_run

grades = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@pytest.fixture
def pool() -> Pool:
    one = {"red shoe": ["P1", "P2", "P3"], "kettle": ["P4", "P5"]}
    other = {"red shoe": ["P3", "P6", "P1"], "kettle": ["P5", "P7"]}
    return make_pool(make_run("a", one), make_run("b", other))


def open_session(path: Path, pool: Pool, judge: str = "anna", **options: object) -> Session:
    file = JudgmentFile(path, judge, QueryTexts(pool.queries))
    try:
        return Session(pool, {}, file, **options)
    except BaseException:
        file.close()
        raise


def rows(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_grade_is_a_row_at_once_and_qtr_evaluate_reads_it(tmp_path: Path, pool: Pool) -> None:
    session = open_session(tmp_path / "out.csv", pool)
    pair = session.current
    assert pair is not None
    assert session.judge(pair, 2)
    query = pair.query.replace("%20", " ")
    assert rows(tmp_path / "out.csv") == [
        "query,docid,rating,judge",
        f"{query},{pair.document},2,anna",
    ]
    assert read_qrels(tmp_path / "out.csv").ratings == {pair.query: {pair.document: 2.0}}
    assert session.current not in (None, pair)
    session.close()


@pytest.mark.parametrize("order", ["drawn", "useful"])
def test_every_pair_comes_once(tmp_path: Path, pool: Pool, order: str) -> None:
    session = open_session(tmp_path / "out.csv", pool, order=order)
    seen = []
    while (pair := session.current) is not None:
        seen.append(pair)
        session.judge(pair, 0)
    assert sorted(seen, key=str) == sorted(pool.open, key=str)
    assert session.progress.left == 0
    assert session.progress.judged == len(pool.open)
    assert session.progress.state == "settled"
    session.close()


def test_pair_is_judged_once(tmp_path: Path, pool: Pool) -> None:
    session = open_session(tmp_path / "out.csv", pool)
    pair = pool.open[0]
    assert session.judge(pair, 1)
    assert not session.judge(pair, 3)
    assert not session.skip(pair)
    assert not session.judge(Pair("kettle", "elsewhere"), 3)
    assert len(session.graded) == 1
    session.close()


def test_skipped_pair_comes_again_at_the_end(tmp_path: Path, pool: Pool) -> None:
    session = open_session(tmp_path / "out.csv", pool)
    skipped = session.current
    assert skipped is not None
    session.skip(skipped)
    order = []
    while (pair := session.current) is not None:
        order.append(pair)
        session.judge(pair, 0)
    assert order[-1] == skipped
    assert len(order) == len(pool.open)
    session.close()


@given(
    actions=st.lists(st.sampled_from(["0", "1", "2", "3", "skip", "undo", "reopen"]), max_size=25)
)
def test_file_holds_what_was_graded_and_not_undone(actions: list[str]) -> None:
    one = make_run("a", {"red shoe": ["P1", "P2", "P3"], "kettle": ["P4", "P5"]})
    other = make_run("b", {"red shoe": ["P3", "P6", "P1"], "kettle": ["P5", "P7"]})
    pool = make_pool(one, other)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.csv"
        session = open_session(path, pool)
        expected: list[Graded] = []
        undoable: list[str] = []
        for action in actions:
            pair = session.current
            if action == "reopen":
                session.close()
                session = open_session(path, pool)
                undoable = ["grade"] * len(expected)
            elif action == "undo":
                undone = session.undo()
                kind = undoable.pop() if undoable else None
                if kind == "grade":
                    assert undone == expected.pop().pair
                assert undone == session.current or kind is None
            elif pair is not None and action == "skip":
                session.skip(pair)
                undoable.append("skip")
            elif pair is not None:
                session.judge(pair, int(action))
                expected.append(Graded(pair, int(action)))
                undoable.append("grade")
            assert read_graded(path)[1] == expected
            assert session.graded == expected
            assert session.progress.left == len(pool.open) - len(expected)
        session.close()


def test_undo_shows_the_pair_again_and_forgets_its_grade(tmp_path: Path, pool: Pool) -> None:
    session = open_session(tmp_path / "out.csv", pool)
    before = session.comparison.difference(0, 1)
    pair = session.current
    assert pair is not None
    assert not session.can_undo
    session.judge(pair, 3)
    assert session.undo() == pair
    assert session.current == pair
    assert session.comparison.difference(0, 1) == before
    assert session.undo() is None
    session.close()


@pytest.mark.parametrize("by", ["drawn", "useful"])
def test_order_is_the_same_for_the_same_grades(tmp_path: Path, pool: Pool, by: str) -> None:
    orders = []
    for name in ("one.csv", "two.csv"):
        session = open_session(tmp_path / name, pool, order=by)
        order = []
        while (pair := session.current) is not None:
            order.append(pair)
            session.judge(pair, len(order) % 4)
        orders.append(order)
        session.close()
    assert orders[0] == orders[1]


def test_grades_for_other_runs_are_kept_and_can_be_undone(tmp_path: Path, pool: Pool) -> None:
    path = tmp_path / "out.csv"
    path.write_text("query,docid,rating,judge\nkettle,P4,1,anna\nkettle,beyond,3,anna\n")
    session = open_session(path, pool)
    # It counts for the ideal order.
    assert session.comparison.grades["kettle"] == {"P4": 1, "beyond": 3}
    assert session.progress.judged == 2
    assert session.progress.left == len(pool.open) - 1
    assert session.undo() == Pair("kettle", "beyond")
    assert session.comparison.grades["kettle"] == {"P4": 1}
    assert session.progress.left == len(pool.open) - 1
    session.close()


# The file


def test_row_that_a_kill_cut_off_is_dropped(tmp_path: Path, pool: Pool) -> None:
    path = tmp_path / "out.csv"
    path.write_text("query,docid,rating,judge\nred shoe,P1,3,anna\nred shoe,P2,3,an")
    session = open_session(path, pool)
    assert session.graded == [Graded(Pair("red%20shoe", "P1"), 3)]
    session.judge(Pair("kettle", "P4"), 0)
    assert rows(path)[1:] == ["red shoe,P1,3,anna", "kettle,P4,0,anna"]
    session.close()


def test_ids_with_commas_quotes_and_lines_survive_resumption_and_undo(tmp_path: Path) -> None:
    pool = make_pool(make_run("a", {'12" pan, red': ["P,1", 'P"2', "P\n3", "Pé4"]}))
    session = open_session(tmp_path / "out.csv", pool)
    for pair in pool.open:
        session.judge(pair, 1)
    session.close()
    session = open_session(tmp_path / "out.csv", pool)
    assert {graded.pair for graded in session.graded} == set(pool.open)
    for _ in pool.open:
        session.undo()
    session.close()
    assert (tmp_path / "out.csv").read_bytes() == b"query,docid,rating,judge\n"


def test_ids_of_queries_have_a_column_where_they_are_not_the_queries(tmp_path: Path) -> None:
    pool = make_pool(make_run("a", {"17": ["P1"]}))
    texts = QueryTexts(pool.queries, {"17": "red shoe"})
    session = Session(pool, {}, JudgmentFile(tmp_path / "out.csv", "anna", texts))
    session.judge(pool.open[0], 3)
    session.close()
    assert rows(tmp_path / "out.csv") == ["qid,query,docid,rating,judge", "17,red shoe,P1,3,anna"]
    assert read_qrels(tmp_path / "out.csv").ratings == {"17": {"P1": 3.0}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("query,docid,rating,judge\nkettle,P4,1,ben\n", "judgments of 'ben', not of 'anna'"),
        ("query,docid,rating\nkettle,P4,1\n", "qtr judge did not write it"),
        (
            "query,docid,rating,judge\nkettle,P4,4,anna\n",
            "line 2, column 'rating': '4'; expected a",
        ),
        ("query,docid,rating,judge\nkettle,P4,anna\n", "line 2: 3 columns where the header has 4"),
        (
            "query,docid,rating,judge\nkettle,P4,1,anna\nkettle,P5,1,ben\n",
            "line 3, column 'judge': 'ben' after 'anna'",
        ),
        (
            "query,docid,rating,judge\ncup,P99,1,anna\n",
            "none of the 1 judgments in .* is of these runs",
        ),
        ("qid,query,docid,rating,judge\n", "belongs to runs with other query ids"),
    ],
)
def test_file_of_something_else_is_refused_and_kept(
    tmp_path: Path, pool: Pool, content: str, message: str
) -> None:
    path = tmp_path / "out.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        open_session(path, pool)
    assert path.read_text() == content


def test_file_made_beside_other_qrels_is_refused(tmp_path: Path, pool: Pool) -> None:
    path = tmp_path / "out.csv"
    path.write_text("query,docid,rating,judge\nkettle,P4,1,anna\n")
    judged = {"kettle": {"P4": 2.0}}
    file = JudgmentFile(path, "anna", QueryTexts(pool.queries))
    with pytest.raises(DataError, match="made beside other qrels"):
        Session(pool, judged, file)
    file.close()


def test_second_process_on_one_file_is_refused(tmp_path: Path, pool: Pool) -> None:
    session = open_session(tmp_path / "out.csv", pool)
    with pytest.raises(DataError, match="another qtr judge writes"):
        open_session(tmp_path / "out.csv", pool)
    session.close()
    open_session(tmp_path / "out.csv", pool).close()


def test_folder_that_does_not_exist_is_explained(tmp_path: Path, pool: Pool) -> None:
    with pytest.raises(DataError, match="cannot be written: No such file or directory"):
        open_session(tmp_path / "none" / "out.csv", pool)


# Several judges


def test_second_judge_gets_what_is_left_and_first_the_shared_pairs(
    tmp_path: Path, pool: Pool
) -> None:
    ben = dict.fromkeys(pool.open[:4], 3)
    session = open_session(tmp_path / "out.csv", pool, others=ben, overlap=0.0)
    assert session.progress.left == len(pool.open) - 4
    session.close()
    session = open_session(tmp_path / "out.csv", pool, others=ben, overlap=1.0)
    order = []
    while (pair := session.current) is not None:
        order.append(pair)
        session.judge(pair, 0)
    assert set(order[:4]) == set(ben)
    assert len(order) == len(pool.open)
    session.close()


def test_grades_of_others_count_unless_this_judge_differs(tmp_path: Path, pool: Pool) -> None:
    pair = pool.open[0]
    session = open_session(tmp_path / "out.csv", pool, others={pair: 3}, overlap=1.0)
    known = session.comparison.grades[pair.query]
    assert known[pair.document] == 3
    session.judge(pair, 1)
    assert known[pair.document] == 1
    session.undo()
    assert known[pair.document] == 3
    session.close()


@given(given_grades=grades)
def test_kappa_is_that_of_scikit_learn(given_grades: list[tuple[int, int]]) -> None:
    first, second = map(list, zip(*given_grades, strict=True))
    kappa = weighted_kappa(first, second)
    if kappa is None:
        assert len({*first, *second}) == 1
        return
    expected = cohen_kappa_score(first, second, weights="quadratic", labels=[0, 1, 2, 3])
    assert kappa == pytest.approx(expected)


@given(given_grades=grades)
def test_kappa_is_symmetric_and_at_most_1(given_grades: list[tuple[int, int]]) -> None:
    first, second = map(list, zip(*given_grades, strict=True))
    kappa = weighted_kappa(first, second)
    assert kappa == pytest.approx(weighted_kappa(second, first))
    if kappa is not None:
        assert kappa <= 1
        assert (kappa == 1) == (first == second)


def test_kappa_of_chance_is_near_0() -> None:
    rng = random.Random(0)
    first = [rng.randint(0, 3) for _ in range(5000)]
    second = [rng.randint(0, 3) for _ in range(5000)]
    kappa = weighted_kappa(first, second)
    assert kappa is not None
    assert abs(kappa) < 0.05


def test_kappa_needs_grades_of_the_same_pairs() -> None:
    with pytest.raises(ValueError, match="2 and 1 grades"):
        weighted_kappa([1, 2], [1])


def test_agreement_is_over_the_pairs_that_both_graded() -> None:
    pairs = [Pair("mug", f"P{number}") for number in range(4)]
    anna = [Graded(pair, rating) for pair, rating in zip(pairs, (0, 3, 1, 2), strict=True)]
    ben = [Graded(pair, rating) for pair, rating in zip(pairs[:3], (0, 3, 2), strict=True)]
    cem = [Graded(Pair("cup", "P1"), 0)]
    found = agreements({"anna": anna, "ben": ben, "cem": cem})
    assert [(one.judges, one.pairs, one.same) for one in found] == [
        (("anna", "ben"), 3, 2),
        (("anna", "cem"), 0, 0),
        (("ben", "cem"), 0, 0),
    ]
    assert found[0].kappa == pytest.approx(weighted_kappa([0, 3, 1], [0, 3, 2]))
    assert found[1].kappa is None
