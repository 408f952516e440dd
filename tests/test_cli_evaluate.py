"""The command `qtr evaluate`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from math import log2
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qtr_rerank.cli import cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "judgments.csv").write_text(
        "query,docid,rating\nred shoe,1,3\nred shoe,2,0\nmug,7,1\nmug,8,0\n"
    )
    (tmp_path / "bm25.trec").write_text(
        "red%20shoe Q0 2 1 4.5 bm25\nred%20shoe Q0 1 2 4.0 bm25\nmug Q0 9 1 2 bm25\n"
    )
    (tmp_path / "rerank.trec").write_text(
        "red%20shoe Q0 1 1 0.9 r\nred%20shoe Q0 2 2 0.1 r\nmug Q0 7 1 1 r\ncup Q0 7 1 1 r\n"
    )
    (tmp_path / "pairs.csv").write_text(
        "query,title,relevance,score,logit\n"
        "mug,a,3,0.9,2.2\nmug,b,1,0.2,-1.4\npen,c,2,0.5,0\npen,d,1,0.6,0.4\npen,e,,0.6,0.4\n"
    )
    return tmp_path


def _evaluate(folder: Path, *arguments: str) -> Result:
    files = {path.name: str(path) for path in folder.iterdir()}
    return CliRunner().invoke(
        cli, ["evaluate", *(files.get(word, word) for word in arguments)], catch_exceptions=True
    )


def _json(folder: Path, *arguments: str) -> dict[str, Any]:
    result = _evaluate(folder, *arguments, "--json")
    assert result.exit_code == 0, result.output
    fields = json.loads(result.output)
    assert isinstance(fields, dict)
    return fields


def test_runs_are_a_table_with_one_row_each(folder: Path) -> None:
    result = _evaluate(folder, "bm25.trec", "rerank.trec", "--qrels", "judgments.csv")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["run", "nDCG@10", "RR@10", "R@100", "Judged@10"]
    # Two queries, drawn anew: both may be the better one, or the worse one.
    assert re.split(" {2,}", lines[1])[1:] == [
        "0.3155 [0.00, 0.63]",
        "0.2500 [0.00, 0.50]",
        "0.5000 [0.00, 1.00]",
        "0.5000 [0.00, 1.00]",
    ]
    assert lines[2].split()[:2] == ["rerank", "1.0000"]
    assert len({len(line) for line in lines[:3]}) == 1
    unjudged = lines.index(next(line for line in lines if line.startswith("unjudged")))
    assert lines[unjudged].split() == [
        "unjudged", "Judged@10", "nDCG@10", "left", "out", "at", "least", "at", "most",
        "RBP(p=0.8)", "residual",
    ]  # fmt: skip
    # mug: the only result is unjudged; it and product 7 may be as good as each other.
    least, most = 0.5 / log2(3), (1 / (1 + 1 / log2(3)) + 1 / log2(3)) / 2
    assert lines[unjudged + 1].split()[4:6] == [f"{least:.4f}", f"{most:.4f}"]
    assert any(line.startswith("nDCG@10 against bm25  difference") for line in lines)
    assert any(line.startswith("p against bm25") for line in lines)
    assert "rerank: 1 queries without judgments, ignored" in lines


def test_too_few_judged_results_are_warned_about(folder: Path) -> None:
    output = _evaluate(folder, "bm25.trec", "rerank.trec", "--qrels", "judgments.csv").output
    warnings = [line for line in output.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert "bm25: only 50% of the first 10 results are judged (enough: 90%); nDCG@10" in warnings[0]
    assert "give the new judgments as another --qrels" in warnings[1]
    assert _json(folder, "rerank.trec", "--qrels", "judgments.csv")["warnings"] == []


def test_missing_queries_are_not_taken_for_unjudged_results(folder: Path) -> None:
    (folder / "half.trec").write_text("mug Q0 7 1 1 h")
    fields = _json(folder, "half.trec", "--qrels", "judgments.csv", "--allow-missing")
    assert fields["runs"][0]["measures"]["Judged@10"] == 0.5
    assert fields["warnings"] == []


def test_comparison_that_judging_could_turn_is_warned_about(folder: Path) -> None:
    settled = _json(folder, "bm25.trec", "rerank.trec", "--qrels", "judgments.csv")
    # The unjudged mug of bm25 may be as good as rerank's, but the shoes are in the wrong order.
    assert settled["runs"][1]["ndcg_vs_first"]["lower"] == pytest.approx((1 - 1 / log2(3)) / 2)
    assert not settled["runs"][1]["ndcg_vs_first"]["could_turn"]
    assert not any("could turn" in warning for warning in settled["warnings"])
    (folder / "new.trec").write_text("red%20shoe Q0 2 1 9 n\nred%20shoe Q0 5 2 8 n\nmug Q0 7 1 1 n")
    open_ = _json(folder, "bm25.trec", "new.trec", "--qrels", "judgments.csv")
    compared = open_["runs"][1]["ndcg_vs_first"]
    assert compared["difference"] == pytest.approx((1 - 1 / log2(3)) / 2)
    assert compared["lower"] == pytest.approx(-0.5 / log2(3))
    assert compared["could_turn"]
    (warning,) = (one for one in open_["warnings"] if "could turn" in one)
    assert warning == (
        "new against bm25: unjudged results could turn this comparison; the difference in nDCG@10, "
        "+0.185, can be anything from -0.315 to +0.500"
    )


def test_complete_judgments_need_no_bounds(folder: Path) -> None:
    arguments = ["bm25.trec", "rerank.trec", "--qrels", "judgments.csv", "--complete"]
    output = _evaluate(folder, *arguments).output
    assert "warning" not in output
    assert "at least" not in output
    assert "--complete: results without a judgment are irrelevant" in output
    assert _json(folder, *arguments)["complete"] is True


def test_later_qrels_are_added_and_the_note_says_so(folder: Path) -> None:
    (folder / "added.csv").write_text("query,docid,rating\nmug,9,1\nmug,8,0\nred shoe,2,1\n")
    arguments = ["bm25.trec", "--qrels", "judgments.csv", "--qrels", "added.csv"]
    output = _evaluate(folder, *arguments).output
    assert (
        "2 pairs are judged in more than one file: the later file's rating holds, "
        "1 are another than before"
    ) in output.splitlines()
    fields = _json(folder, *arguments)
    assert fields["qrels"] == [str(folder / "judgments.csv"), str(folder / "added.csv")]
    assert (fields["judgments"], fields["repeated_judgments"], fields["changed_judgments"]) == (
        5,
        2,
        1,
    )
    assert fields["runs"][0]["measures"]["Judged@10"] == 1.0
    assert fields["warnings"] == []


def test_cutoff_is_that_of_measures_and_bounds(folder: Path) -> None:
    fields = _json(folder, "bm25.trec", "--qrels", "judgments.csv", "-k", "1")
    assert list(fields["runs"][0]["measures"]) == ["nDCG@1", "RR@1", "R@100", "Judged@1"]
    assert fields["runs"][0]["first_page"]["ndcg"] == fields["runs"][0]["measures"]["nDCG@1"] == 0.0
    output = _evaluate(folder, "bm25.trec", "--qrels", "judgments.csv", "-k", "1").output
    assert "only 50% of the first 1 results are judged" in output


def test_runs_as_json_with_each_query(folder: Path) -> None:
    fields = _json(folder, "bm25.trec", "rerank.trec", "--qrels", "judgments.csv", "--per-query")
    assert fields["queries"] == 2
    first, second = fields["runs"]
    assert first["measures"]["nDCG@10"] == pytest.approx(0.5 / log2(3))
    assert first["p_vs_first"] is None
    assert 0 < second["p_vs_first"]["nDCG@10"] <= 1
    assert second["ignored_queries"] == ["cup"]
    assert second["per_query"]["RR@10"] == {"red shoe": 1.0, "mug": 1.0}
    assert first["ndcg_vs_first"] is None
    assert second["ndcg_vs_first"]["difference"] == pytest.approx(1 - 0.5 / log2(3))
    assert second["intervals"]["nDCG@10"] == [1.0, 1.0]
    assert first["first_page_per_query"]["mug"] == {
        "ndcg": 0.0,
        "condensed": 0.0,
        "lower": 0.0,
        "upper": pytest.approx(1 / (1 + 1 / log2(3))),
        "judged": 0.0,
        "rbp": 0.0,
        "residual": 1.0,
    }
    assert first["first_page"]["condensed"] == pytest.approx(0.5 / log2(3))
    assert set(first["first_page"]["intervals"]) == {"ndcg", "condensed", "rbp"}
    assert first["first_page_answerable"] == first["first_page"]


def test_chosen_measures_and_threshold(folder: Path) -> None:
    fields = _json(
        folder, "bm25.trec", "--qrels", "judgments.csv", "-m", "RR", "-m", "P@1", "--relevant", "2"
    )
    assert fields["runs"][0]["measures"] == {"RR(rel=2)": 0.25, "P(rel=2)@1": 0.0}
    assert fields["queries_without_relevant"] == 1
    assert fields["runs"][0]["measures_answerable"] == {"RR(rel=2)": 0.5, "P(rel=2)@1": 0.0}


def test_table_has_answerable_rows_where_some_queries_are_not(
    folder: Path,
) -> None:
    lines = _evaluate(
        folder, "bm25.trec", "--qrels", "judgments.csv", "--relevant", "2"
    ).output.splitlines()
    assert lines[3].split()[:3] == ["1", "answerable", "nDCG@10"]
    assert lines[4].split()[4] == "0.5000"


def test_runs_with_same_file_name_are_shown_by_path(folder: Path) -> None:
    (folder / "other").mkdir()
    copy = folder / "other" / "bm25.trec"
    copy.write_bytes((folder / "bm25.trec").read_bytes())
    fields = _json(folder, "bm25.trec", str(copy), "--qrels", "judgments.csv")
    assert [run["run"] for run in fields["runs"]] == [str(folder / "bm25.trec"), str(copy)]


def test_pairs_are_a_table(folder: Path) -> None:
    result = _evaluate(folder, "--pairs", "pairs.csv", "--label", "relevance", "--threshold", "2")
    assert result.exit_code == 0, result.output
    assert ["AUC", "(label", ">=", "2)", "0.7500"] in map(str.split, result.output.splitlines())
    assert "4 pairs of 2 queries" in result.output
    assert "1 rows without a label were left out" in result.output


def test_pairs_as_json(folder: Path) -> None:
    fields = _json(
        folder, "--pairs", "pairs.csv", "--label", "relevance", "--threshold", "2",
        "--threshold", "3", "--per-query",
    )  # fmt: skip
    assert fields["auc"] == [
        {"threshold": 2.0, "auc": 0.75, "positives": 2},
        {"threshold": 3.0, "auc": 1.0, "positives": 1},
    ]
    # 0.9, 0.2, 0.5, 0.6 on the labels' scale 1..3 are 2.8, 1.4, 2.0, 2.2; the labels 3, 1, 2, 1.
    assert fields["rmse"] == pytest.approx(((0.04 + 0.16 + 0 + 1.44) / 4) ** 0.5)
    pen = (1 + 2 / log2(3)) / (2 + 1 / log2(3))
    assert fields["per_query"] == {"mug": 1.0, "pen": pytest.approx(pen)}
    assert fields["ndcg@10"] == pytest.approx((1 + pen) / 2)


def test_scores_outside_0_to_1_have_no_rmse(folder: Path) -> None:
    fields = _json(folder, "--pairs", "pairs.csv", "--label", "relevance", "--score", "logit")
    assert fields["rmse"] is None
    assert fields["auc"] == [{"threshold": 3.0, "auc": 1.0, "positives": 1}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give RUNS and --qrels, or --pairs and --label"),
        (["bm25.trec"], "give RUNS and --qrels"),
        (["bm25.trec", "--pairs", "pairs.csv"], "not both"),
        (["--pairs", "pairs.csv"], "--pairs needs --label"),
        (["bm25.trec", "--qrels", "judgments.csv", "--per-query"], "--per-query goes with --json"),
        (["bm25.trec", "--qrels", "judgments.csv", "--gains", "linear"], "--gains has no meaning"),
        (["--pairs", "pairs.csv", "--label", "x", "--seed", "5"], "--seed has no meaning with"),
        (["--pairs", "pairs.csv", "--label", "x", "--complete"], "--complete has no meaning with"),
    ],
)
def test_usage_errors_are_explained(folder: Path, arguments: list[str], message: str) -> None:
    result = _evaluate(folder, *arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "9"], "no label is at least 9"),
        (["--threshold", "0"], "every label is at least 0"),
        (["--label-range", "3", "1"], "the first must be lower"),
        (["-k", "0"], "the cutoff is 0"),
    ],
)
def test_unusable_pair_settings_are_explained(
    folder: Path, options: list[str], message: str
) -> None:
    result = _evaluate(folder, "--pairs", "pairs.csv", "--label", "relevance", *options)
    assert message in str(result.exception)


def test_errors_are_one_line_and_exit_status_1(folder: Path) -> None:
    command = "from qtr_rerank.cli import main; main()"
    finished = subprocess.run(
        [sys.executable, "-c", command, "evaluate", "none.trec", "--qrels", "judgments.csv"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr.splitlines() == [
        "qtr: none.trec cannot be read: No such file or directory; give a readable file"
    ]
