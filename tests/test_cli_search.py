"""`qtr search`: a table, JSON, or a TREC run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qtr_rerank.cli.search import read_queries, search
from qtr_rerank.errors import CatalogIndexError, DataError, QtrError
from qtr_rerank.records import Product
from qtr_rerank.trec import from_trec_id
from tests.small_index import build_small_index, small_catalog

SPACED = Product(id="id with 100% space", title="Marble mug with a lid", price=1234.5)
PRODUCTS = [*small_catalog(200), SPACED]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "index"
    build_small_index(folder, PRODUCTS)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(search, [str(each) for each in arguments])


def done(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def run_lines(path: Path) -> list[tuple[str, str, str, int, int, str]]:
    """TREC columns, split at white space as trec_eval does."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    assert {len(row) for row in rows} <= {6}
    return [(q, q0, d, int(rank), int(score), tag) for q, q0, d, rank, score, tag in rows]


def test_a_query_prints_a_table(index: Path) -> None:
    lines = done(index, "marble mug", "-k", 3).stdout.splitlines()
    assert lines[0].split() == ["was", "score", "id", "title", "price"]
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert lines[4].startswith("201 candidates (embedded); ms: lexical ")
    assert "total" in lines[4]


def test_table_has_titles_and_prices(index: Path) -> None:
    output = done(index, "marble mug with a lid", "--stage", "retrieve").stdout
    [line] = [line for line in output.splitlines() if SPACED.id in line]
    assert SPACED.title in line
    assert line.endswith("1,234.50")


def test_a_query_prints_json(index: Path) -> None:
    output = json.loads(done(index, "mug", "-k", 4, "--json").stdout)
    assert output["query"] == "mug"
    assert output["engine"] == "embedded"
    assert output["degraded"] is False
    assert output["times_ms"]["total"] > 0
    assert [hit["rank"] for hit in output["hits"]] == [1, 2, 3, 4]
    titles = {product.id: product.title for product in PRODUCTS}
    for hit in output["hits"]:
        assert hit["title"] == titles[hit["id"]]
        assert 0 <= hit["score"] <= 1
        assert hit["first_rank"] >= 1


def test_table_mentions_a_missed_deadline(index: Path) -> None:
    assert "cut short by the deadline" in done(index, "mug", "--deadline-ms", 0).stdout


def test_blank_query_has_no_results(index: Path) -> None:
    assert done(index, " ").stdout.splitlines()[0] == "no results"
    assert json.loads(done(index, "", "--json").stdout)["hits"] == []


@pytest.mark.parametrize("stage", ["retrieve", "rerank"])
def test_queries_become_a_run(index: Path, tmp_path: Path, stage: str) -> None:
    (tmp_path / "q.csv").write_text("query\nblue mug\nrunning  shoes\n100% cotton\n")
    out = tmp_path / "out.trec"
    done(index, "--queries", tmp_path / "q.csv", "-k", 7, "--run", out, "--stage", stage)
    rows = run_lines(out)
    assert list(dict.fromkeys(row[0] for row in rows)) == [
        "blue%20mug",
        "running%20shoes",
        "100%25%20cotton",
    ]
    for qid in {row[0] for row in rows}:
        mine = [row for row in rows if row[0] == qid]
        assert [row[3] for row in mine] == list(range(1, 8))
        scores = [row[4] for row in mine]
        assert scores == sorted(set(scores), reverse=True)
        assert {row[1] for row in mine} == {"Q0"}
        assert {row[5] for row in mine} == {f"qtr-{stage}"}
    first = json.loads(done(index, "blue mug", "-k", 7, "--json", "--stage", stage).stdout)
    assert [from_trec_id(row[2]) for row in rows[:7]] == [hit["id"] for hit in first["hits"]]


def test_k_above_candidates_raises_candidates(index: Path, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("query\nmug\n")
    out = tmp_path / "out.trec"
    done(index, "--queries", tmp_path / "q.csv", "-k", 150, "--candidates", 5, "--run", out)
    assert len(run_lines(out)) == 150


def test_ids_with_space_are_one_column(index: Path, tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("qid\tquery\nq 1\tmarble mug with a lid\n")
    out = tmp_path / "out.trec"
    done(index, "--queries", tmp_path / "q.tsv", "-k", 300, "--run", out)
    rows = run_lines(out)
    assert {row[0] for row in rows} == {"q%201"}
    assert SPACED.id in {from_trec_id(row[2]) for row in rows}


def test_a_query_without_results_has_no_line(index: Path, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("query\n\u200b\nmug\n")
    out = tmp_path / "out.trec"
    result = done(index, "--queries", tmp_path / "q.csv", "--run", out)
    assert result.stderr.startswith("2 queries, ")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("q.csv", "query\na b\nc\n", {"a%20b": "a b", "c": "c"}, id="query alone"),
        pytest.param("q.csv", "qid,query\n7,a b\n8,c\n", {"7": "a b", "8": "c"}, id="qid"),
        pytest.param("q.csv", "qid,query\n,a b\n8,c\n", {"a%20b": "a b", "8": "c"}, id="no qid"),
        pytest.param(
            "q.csv", "query,docid,rating\na,1,3\na,2,0\nb,1,1\n", {"a": "a", "b": "b"}, id="qrels"
        ),
        pytest.param("q.csv", "query\na b\na  b\n", {"a%20b": "a b"}, id="space apart"),
        pytest.param("q.csv", "qid,query\n7,a\n7,a\n", {"7": "a"}, id="the same row twice"),
        pytest.param("q.tsv", "query\tqid\na\t1\n", {"1": "a"}, id="tsv"),
        pytest.param("q.jsonl", '{"query": "a", "qid": 1}\n', {"1": "a"}, id="jsonl"),
    ],
)
def test_queries_are_read(
    tmp_path: Path, name: str, content: str, expected: dict[str, str]
) -> None:
    (tmp_path / name).write_text(content)
    assert read_queries(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("qid,query\n7,a\n7,b\n", "line 3, column 'qid': '7' is query 'b' here and 'a' before"),
        ("query\na\n' '\n  \n", "line 4, column 'query'"),
        ("text\na\n", "no column 'query'"),
        ("query\n", "has no query"),
        ("", "q.csv"),
    ],
)
def test_unusable_queries_are_refused_by_name(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "q.csv").write_text(content)
    with pytest.raises(DataError) as raised:
        read_queries(tmp_path / "q.csv")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one of QUERY and --queries FILE"),
        (["mug", "--queries", "q.csv", "--run", "r"], "give one of QUERY and --queries FILE"),
        (["--queries", "q.csv"], "--queries FILE and --run OUT go together"),
        (["mug", "--run", "r"], "--queries FILE and --run OUT go together"),
        (["--queries", "q.csv", "--run", "r", "--json"], "--json is for a QUERY"),
        (["mug", "-k", "0"], "-k"),
        (["mug", "--stage", "teacher"], "--stage"),
    ],
)
def test_usage_errors_are_explained(arguments: list[str], message: str) -> None:
    result = run("index", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_missing_index_is_explained(tmp_path: Path) -> None:
    result = run(tmp_path, "mug")
    assert isinstance(result.exception, CatalogIndexError)


def test_failed_run_leaves_no_file(index: Path, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("query\nmug\n")
    result = run(index, "--queries", tmp_path / "q.csv", "--run", tmp_path / "no" / "out.trec")
    assert isinstance(result.exception, QtrError)
    assert "cannot be written" in str(result.exception)
    assert [entry.name for entry in tmp_path.iterdir()] == ["q.csv"]
