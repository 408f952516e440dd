"""Readers of qrels, runs and scored pairs: accepted formats and error messages."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from qtr_rerank.errors import DataError
from qtr_rerank.evaluate.measure_settings import PairColumns
from qtr_rerank.evaluate.qrels import merge_qrels, read_qrels
from qtr_rerank.evaluate.runs import read_run
from qtr_rerank.evaluate.scored_pairs import read_pairs

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "query,docid,rating\nred shoe,1,3\nred shoe,2,0\nmug,1,2.5\n"),
        ("b.csv", 'Rating,Product_ID,query\n3,1,"red shoe"\n0,2,red  shoe \n\n2.5,1,mug\n'),
        ("c.tsv", "query\tproduct_id\trelevance\nred shoe\t1\t3\nred shoe\t2\t0\nmug\t1\t2.5\n"),
        ("d.csv", "qid,query,docid,rating\nred shoe,x,1,3\nred shoe,x,2,0\nmug,y,1,2.5\n"),
        (
            "e.jsonl",
            '{"query": "red shoe", "docid": 1, "rating": 3}\n'
            '{"query": "red shoe", "docid": "2", "rating": 0}\n'
            '{"query": "mug", "docid": "1", "rating": 2.5}\n',
        ),
        ("f.qrels", "red%20shoe 0 1 3\nred%20shoe 0 2 0\n\nmug 0 1 2.5\n"),
    ],
)
def test_every_qrels_format_reads_the_same(write: Write, name: str, text: str) -> None:
    qrels = read_qrels(write(name, text))
    assert qrels.ratings == {"red%20shoe": {"1": 3.0, "2": 0.0}, "mug": {"1": 2.5}}


def test_compressed_qrels_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress("\ufeffquery,docid,rating\nmug,1,2\n".encode()))
    assert read_qrels(path).ratings == {"mug": {"1": 2.0}}


def test_later_qrels_add_pairs_and_replace_ratings(write: Write) -> None:
    published = read_qrels(write("a.csv", "query,docid,rating\nmug,1,2\nmug,2,0\nmug,3,1\n"))
    added = read_qrels(write("b.csv", "query,docid,rating\nmug,2,3\nmug,3,1\nmug,4,1\n"))
    last = read_qrels(write("c.qrels", "mug 0 2 1\npen 0 9 1\n"))
    merged = merge_qrels([published, added, last])
    assert merged.ratings == {"mug": {"1": 2.0, "2": 1.0, "3": 1.0, "4": 1.0}, "pen": {"9": 1.0}}
    assert (merged.repeated, merged.rerated) == (2, 1)
    assert merged.name == f"{published.path} + {added.path} + {last.path}"
    assert published.ratings["mug"]["2"] == 0.0
    assert merge_qrels([published]) == published


def test_qrels_with_ids_of_another_kind_are_not_merged(write: Write) -> None:
    published = read_qrels(write("a.csv", "query,docid,rating\nred mug,1,2\n"))
    numbered = read_qrels(write("b.qrels", "17 0 1 2\n"))
    with pytest.raises(DataError, match=r"b\.qrels has no query .* '17', .* 'red mug'; give files"):
        merge_qrels([published, numbered])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,docid,rating\nmug,1,good\n", "line 2, column 'rating': 'good' is not a finite"),
        ("query,docid,rating\nmug,1,nan\n", "line 2, column 'rating': 'nan' is not a finite"),
        ("query,docid,rating\nmug,1,2\nmug,1,2\n", "line 3: document '1' is rated a second time"),
        ("query,docid,rating\n ,1,2\n", "line 2, column 'query': ' ' is empty"),
        ("query,docid,rating\nmug,,2\n", "line 2, column 'docid': '' is empty"),
        ("query,docid,rating\nmug,1\n", "line 2: 'mug,1': 2 columns where the header has 3"),
        ("query,docid,rating\n", "has no judgments"),
        ("query,item,rating\nmug,1,2\n", "no column 'docid' or .* its columns are 'query', 'item'"),
        ("q1 0 d1 1\nq1 0 d2\n", "line 2: 3 columns in 'q1 0 d2'"),
        ("q1 0 d1 1\nq1 0 d2 high\n", "line 2, column 'rating': 'high'"),
        ('query,docid,rating\nmug,"1,2\n', "line 2: .* not readable as CSV"),
        ("", "is empty"),
    ],
)
def test_invalid_qrels_are_errors_with_the_reason(write: Write, text: str, message: str) -> None:
    path = write("qrels.csv", text)
    with pytest.raises(DataError, match=message) as caught:
        read_qrels(path)
    assert str(path) in str(caught.value)


def test_unreadable_files_are_explained(tmp_path: Path) -> None:
    binary, not_gzip = tmp_path / "a.csv", tmp_path / "b.csv.gz"
    binary.write_bytes(b"\xff\xfe\x00query")
    not_gzip.write_text("query,docid,rating\n")
    for path, message in (
        (binary, "not UTF-8"),
        (not_gzip, "not UTF-8"),
        (tmp_path / "none.csv", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(DataError, match=message):
            read_qrels(path)


def test_run_is_ordered_by_score_then_rank_then_line(write: Write) -> None:
    path = write(
        "bm25.trec",
        "q1 Q0 c 3 1.0 t\nq1 Q0 b 2 1.0 t\nq2 Q0 z 1 0.5 t\nq1 Q0 a 1 9e-1 t\nq1 Q0 d 2 1.0 t\n",
    )
    run = read_run(path)
    assert run.name == "bm25"
    assert run.rankings == {"q1": ("b", "d", "c", "a"), "q2": ("z",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 Q0 a 1 1.0 t\nq1 Q0 a 2 0.5 t\n", "line 2: document 'a' is ranked a second time"),
        ("q1 Q0 a 1 high t\n", "line 1, column 'score': 'high' is not a finite number"),
        ("q1 Q0 a first 1.0 t\n", "line 1, column 'rank': 'first' is not a finite number"),
        ("q1 Q0 a 1 inf t\n", "line 1, column 'score': 'inf'"),
        ("red shoe Q0 a 1 1.0 t\n", "line 1: 7 columns"),
        ("\n", "has no results"),
    ],
)
def test_invalid_runs_are_errors_with_the_reason(write: Write, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_run(write("run.trec", text))


PAIRS = "query,title,relevance,score,logit\nmug,a,3,0.9,2.5\nmug,b,,0.1,-2\npen,c,1,0.2,-1\n"


def test_pairs_are_ranked_by_logit_and_rmse_uses_score(write: Write) -> None:
    pairs = read_pairs(write("a.csv", PAIRS), PairColumns(label="relevance"))
    assert pairs.queries == ("mug", "pen")
    assert pairs.labels.tolist() == [3.0, 1.0]
    assert pairs.ordering.tolist() == [2.5, -1.0]
    assert pairs.probabilities.tolist() == [0.9, 0.2]
    assert pairs.unlabelled == 1


def test_named_score_column_ranks_and_is_compared(write: Write) -> None:
    path = write("a.csv", PAIRS)
    pairs = read_pairs(path, PairColumns(label="relevance", query="title", score="score"))
    assert pairs.queries == ("a", "c")
    assert pairs.ordering.tolist() == pairs.probabilities.tolist() == [0.9, 0.2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PAIRS.replace("0.2", "high"), "line 4, column 'score': 'high'"),
        (PAIRS.replace("pen,c,1", "pen,c,good"), "line 4, column 'relevance': 'good'"),
        (PAIRS.replace("query", "q"), "no column 'query' or 'search_term'.*--query"),
        (PAIRS.replace("relevance", "grade"), "no column 'relevance'.*--label"),
        (PAIRS.replace("score", "s").replace("logit", "l"), "no column 'score'.*qtr score"),
        ("query,title,relevance,score\nmug,a,,0.5\n", "no row with a label"),
    ],
)
def test_invalid_pairs_are_errors_with_the_reason(write: Write, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pairs(write("pairs.csv", text), PairColumns(label="relevance"))
