"""The command `qtr judge`: its files, its errors, its page as a process, and a kill in between."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result

from qtr_rerank.cli import cli
from qtr_rerank.evaluate.qrels import read_qrels
from qtr_rerank.judge.guidelines import GRADES, GUIDELINES, RULES
from qtr_rerank.judge.judgment_file import read_graded
from tests.judge_fixtures import HOSTILE, JudgeShop, judge_shop

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> JudgeShop:
    return judge_shop(tmp_path_factory.mktemp("judge"))


def run(shop: JudgeShop, out: Path, *options: str | Path) -> Result:
    arguments = ["judge", *shop.arguments, "-o", str(out), *map(str, options)]
    return CliRunner().invoke(cli, arguments, catch_exceptions=True)


def succeeded(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# The page as a process


@contextmanager
def judging(
    shop: JudgeShop, out: Path, *options: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`qtr judge` in a process group of its own, and its address."""
    code = "from qtr_rerank.cli import main; main()"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            "judge",
            *shop.arguments,
            "-o",
            str(out),
            "--port",
            "0",
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:"), address + process.stdout.read()
        yield address, process
    finally:
        with_group(process, signal.SIGKILL)
        process.communicate(timeout=60)


def with_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # ended already


def form(address: str) -> dict[str, str]:
    with urlopen(address, timeout=60) as response:
        html = response.read().decode()
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html)
    return {name: unescape(value) for name, value in found}


def post(address: str, path: str, **fields: str) -> str:
    body = urlencode({**form(address), **fields}).encode()
    with urlopen(f"{address}{path}", data=body, timeout=60) as response:
        text: str = response.read().decode()
        return text


def test_nothing_is_lost_when_the_process_is_killed(shop: JudgeShop, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    for expected in (3, 5):
        with judging(shop, out) as (address, process):
            while len(read_graded(out)[1]) < expected:
                post(address, "/grade", rating=str(len(read_graded(out)[1]) % 4))
            waiting = form(address)
            with_group(process, signal.SIGKILL)
            process.wait(timeout=60)
        assert [graded.rating for graded in read_graded(out)[1]] == [0, 1, 2, 3, 0][:expected]
        with judging(shop, out) as (address, _):
            # The same pair comes again.
            resumed = form(address)
            assert {**resumed, "token": ""} == {**waiting, "token": ""}
    assert len({graded.pair for graded in read_graded(out)[1]}) == 5


def test_finish_ends_the_program_with_the_comparison(shop: JudgeShop, tmp_path: Path) -> None:
    with judging(shop, tmp_path / "out.csv", "--judge", "anna") as (address, process):
        post(address, "/grade", rating="2")
        assert "Finished" in post(address, "/finish")
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(r"^run +nDCG@10 +at least +at most +Judged@10$", output, re.MULTILINE)
    assert "two less one: " in output
    assert "1 of 23 pairs judged" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_program_with_the_comparison(
    shop: JudgeShop, tmp_path: Path, number: signal.Signals
) -> None:
    with judging(shop, tmp_path / "out.csv") as (_, process):
        with_group(process, number)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "0 of 23 pairs judged" in output


def test_second_program_on_one_file_is_refused(shop: JudgeShop, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with judging(shop, out) as (address, _):
        form(address)
        result = run(shop, out, "--port", "0")
        assert "another qtr judge writes" in str(result.exception)


def test_taken_port_is_explained(shop: JudgeShop, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run(shop, tmp_path / "out.csv", "--port", str(taken.getsockname()[1]))
    assert "is taken" in str(result.exception)


# Files


def test_status_of_nothing_judged(shop: JudgeShop, tmp_path: Path) -> None:
    output = succeeded(run(shop, tmp_path / "out.csv", "--status"))
    assert "0 of 23 pairs judged" in output
    assert re.search(r"two less one: -\d\.\d+ to \+\d\.\d+, open$", output, re.MULTILINE)
    assert not (tmp_path / "out.csv").exists()


def test_figures_are_those_of_qtr_evaluate(shop: JudgeShop, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text(
        "query,docid,rating,judge\nkettle,P1,1,me\nkettle,beyond,3,me\n<u>2 l</u> kettle,P2,2,me\n"
    )
    lines = succeeded(run(shop, out, "--status")).splitlines()
    shown = [line.split() for line in lines[1:3]]
    runs = [*map(str, shop.runs), "--qrels", str(shop.qrels), "--qrels", str(out)]
    report = json.loads(succeeded(CliRunner().invoke(cli, ["evaluate", *runs, "--json"])))
    for (name, *figures), measured in zip(shown, report["runs"], strict=True):
        page = measured["first_page"]
        expected = [page[key] for key in ("ndcg", "lower", "upper", "judged")]
        assert (name, figures) == (measured["run"], [f"{figure:.4f}" for figure in expected])


def test_exported_pairs_are_judged_elsewhere_and_imported(shop: JudgeShop, tmp_path: Path) -> None:
    pairs, out = tmp_path / "pairs.csv", tmp_path / "out.csv"
    assert "23 pairs" in succeeded(run(shop, out, "--export-pairs", pairs))
    found = rows(pairs)
    assert list(found[0])[:4] == ["query", "docid", "rating", "title"]
    assert {row["rating"] for row in found} == {""}
    assert {row["title"] for row in found} >= {HOSTILE, "Bare"}
    with pairs.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        # The run that starts with P0 gets the better grades; one pair is not judged.
        writer.writerow(found[0])
        for row in found[1:]:
            number = int(row["docid"][1:]) if re.fullmatch(r"P\d+", row["docid"]) else 11
            writer.writerow({**row, "rating": str(max(0, 3 - number))})
    output = succeeded(run(shop, out, "--import", pairs, "--judge", "anna"))
    assert "22 grades added from" in output
    assert "1 without a rating" in output
    assert "settled: one is better on these queries" in output
    judge, graded = read_graded(out)
    assert (judge, len(graded)) == ("anna", 22)
    assert sum(map(len, read_qrels(out).ratings.values())) == 22
    again = succeeded(run(shop, out, "--import", pairs, "--judge", "anna"))
    assert "0 grades added" in again
    assert "22 judged before" in again


def test_book_has_a_column_for_each_judge(shop: JudgeShop, tmp_path: Path) -> None:
    anna, ben, book = tmp_path / "anna.csv", tmp_path / "ben.csv", tmp_path / "book.csv"
    anna.write_text(
        "query,docid,rating,judge\nkettle,P1,3,anna\nkettle,P2,1,anna\nkettle,P3,0,anna\n"
    )
    ben.write_text("query,docid,rating,judge\nkettle,P1,3,ben\nkettle,P2,2,ben\nkettle,P4,0,ben\n")
    options = ("--judge", "anna", "--others", ben)
    assert "2 judges" in succeeded(run(shop, anna, *options, "--export-book", book))
    assert rows(book) == [
        {"query": "kettle", "docid": "P1", "anna": "3", "ben": "3"},
        {"query": "kettle", "docid": "P2", "anna": "1", "ben": "2"},
        {"query": "kettle", "docid": "P3", "anna": "0", "ben": ""},
        {"query": "kettle", "docid": "P4", "anna": "", "ben": "0"},
    ]
    status = succeeded(run(shop, anna, *options, "--status"))
    assert "anna and ben: kappa 0.67 (quadratic weights) on 2 pairs, 1 the same" in status
    back = tmp_path / "back.csv"
    output = succeeded(run(shop, back, "--import", book, "--judge", "ben"))
    assert "3 grades added" in output
    assert read_graded(back)[1] == read_graded(ben)[1]


def test_text_that_a_spreadsheet_would_run_gets_a_space(shop: JudgeShop, tmp_path: Path) -> None:
    trec = tmp_path / "formula.trec"
    trec.write_text("=1+1%20kettle Q0 P1 1 1 x\n")
    arguments = ["judge", str(trec), "--index", str(shop.index), "-o", str(tmp_path / "o.csv")]
    pairs = tmp_path / "pairs.csv"
    CliRunner().invoke(cli, [*arguments, "--export-pairs", str(pairs)], catch_exceptions=False)
    assert rows(pairs)[0]["query"] == " =1+1 kettle"
    pairs.write_text(pairs.read_text().replace("P1,,", "P1,3,"))
    CliRunner().invoke(cli, [*arguments, "--import", str(pairs)], catch_exceptions=False)
    assert read_qrels(tmp_path / "o.csv").ratings == {"=1+1%20kettle": {"P1": 3.0}}


def test_runs_with_ids_of_queries_need_their_texts(shop: JudgeShop, tmp_path: Path) -> None:
    trec, queries = tmp_path / "ids.trec", tmp_path / "queries.csv"
    trec.write_text("17 Q0 P1 1 1 x\n")
    queries.write_text("qid,query\n17,red kettle\n")
    arguments = ["judge", str(trec), "--index", str(shop.index), "-o", str(tmp_path / "o.csv")]
    refused = CliRunner().invoke(cli, [*arguments, "--status"])
    assert "--queries" in str(refused.exception)
    pairs = tmp_path / "pairs.csv"
    arguments += ["--queries", str(queries)]
    succeeded(CliRunner().invoke(cli, [*arguments, "--export-pairs", str(pairs)]))
    assert [(row["qid"], row["query"], row["docid"]) for row in rows(pairs)] == [
        ("17", "red kettle", "P1")
    ]
    # Quepid knows the query by its text alone.
    pairs.write_text("query,docid,rating\nred kettle,P1,2\n")
    succeeded(CliRunner().invoke(cli, [*arguments, "--import", str(pairs)]))
    assert read_qrels(tmp_path / "o.csv").ratings == {"17": {"P1": 2.0}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("query,docid,rating\nkettle,P1,5\n", r"line 2, column 'rating': '5'; expected a grade"),
        ("query,docid,rating\nkettle,P1,good\n", r"line 2, column 'rating': 'good'"),
        (
            "query,docid,ben,cem\nkettle,P1,1,2\n",
            r"no column of judge 'me'; pass --judge .*'ben', 'cem'",
        ),
        ("query,docid,title\nkettle,P1,x\n", "it has no judge's column"),
        ("query,rating\nkettle,1\n", "has no column 'docid'"),
        ("query,docid,rating\ncup,P1,1\n", "none of the 1 ratings in .* is of a pair"),
        ("query,docid,rating\nkettle,P1,1\nkettle,P1,2\n", "line 3, .*differs from me's grade"),
    ],
)
def test_import_of_something_else_is_refused_whole(
    shop: JudgeShop, tmp_path: Path, content: str, message: str
) -> None:
    path, out = tmp_path / "book.csv", tmp_path / "out.csv"
    path.write_text(content)
    result = run(shop, out, "--import", path)
    assert re.search(message, str(result.exception)), result.exception
    assert read_graded(out)[1] == []


def test_wrong_arguments_are_explained(shop: JudgeShop, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert "give one of --status" in run(shop, out, "--status", "--export-book", out).output
    assert "which is read here, too" in str(run(shop, shop.qrels, "--status").exception)
    assert "expected a name on one line" in str(run(shop, out, "--judge", " ").exception)
    other = tmp_path / "other.csv"
    other.write_text("query,docid,rating,judge\nkettle,P1,3,me\n")
    assert "judgments of 'me', as another file here" in str(
        run(shop, out, "--status", "--others", other).exception
    )
    qrels = tmp_path / "qrels.csv"
    qrels.write_text("qid,docid,rating\n17,P1,1\n")
    other_ids = [str(shop.runs[0]), "--qrels", str(qrels), "--index", str(shop.index)]
    result = CliRunner().invoke(cli, ["judge", *other_ids, "-o", str(out)])
    assert "its ids look like 'kettle', theirs like '17'" in str(result.exception)
    no_index = [*map(str, shop.runs), "--index", str(tmp_path), "-o", str(out)]
    result = CliRunner().invoke(cli, ["judge", *no_index])
    assert "is not an index" in str(result.exception)


def test_products_that_the_index_lacks_are_warned_of(shop: JudgeShop, tmp_path: Path) -> None:
    trec = tmp_path / "more.trec"
    trec.write_text("kettle Q0 P1 1 2 x\nkettle Q0 gone 2 1 x\n")
    arguments = ["judge", str(trec), "--index", str(shop.index), "-o", str(tmp_path / "o.csv")]
    output = succeeded(CliRunner().invoke(cli, [*arguments, "--status"]))
    assert "1 pairs are left out" in output
    assert "'gone'" in output
    assert "0 of 1 pairs judged" in output


# The guidelines


def test_guidelines_are_text_with_every_grade_and_rule() -> None:
    for grade in GRADES:
        assert f"**{grade.rating}, {grade.name.lower()}.** {grade.meaning}" in GUIDELINES
    assert all(rule in GUIDELINES for rule in RULES)
    assert [grade.rating for grade in GRADES] == [3, 2, 1, 0]


def test_guidelines_are_imported_without_flask() -> None:
    code = "import sys; import qtr_rerank.judge.guidelines; assert 'flask' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
