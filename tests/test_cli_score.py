"""The commands `qtr score` and `qtr models`."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from qtr_rerank.artifact import SHIPPED
from qtr_rerank.cli import cli
from qtr_rerank.errors import ArtifactError, DataError
from qtr_rerank.runtime.scorer import Scorer


def test_scores_are_added_to_their_rows(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "query": "usb cable" if n % 2 else "mouse", "title": f'USB cable {n}, "x"'}
        for n in range(500)
    ]
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "query", "title"])
        writer.writeheader()
        writer.writerows(rows)
    out = tmp_path / "out.csv"
    arguments = ["score", "--model", "bert2dnn", str(tmp_path / "pairs.csv"), "-o", str(out)]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    with out.open(newline="") as file:
        scored = list(csv.DictReader(file))
    assert [{key: row[key] for key in ("id", "query", "title")} for row in scored] == rows
    expected = Scorer.load("bert2dnn").score_pairs(
        [row["query"] for row in rows], [row["title"] for row in rows]
    )
    assert [float(row["logit"]) for row in scored] == pytest.approx(expected.tolist(), abs=2e-3)
    assert all(0.0 <= float(row["score"]) <= 1.0 for row in scored)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("query,name\na,b\n", "title"),
        ("query,title\na,b\n,c\n", "line 3"),
        ("", "empty|no columns|header"),
    ],
)
def test_file_without_pairs_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(content)
    arguments = [
        "score",
        "-m",
        "bert2dnn",
        str(tmp_path / "bad.csv"),
        "-o",
        str(tmp_path / "o.csv"),
    ]
    with pytest.raises(DataError, match=message):
        CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert not (tmp_path / "o.csv").exists()


def test_models_lists_names_sizes_and_verifies() -> None:
    result = CliRunner().invoke(cli, ["models", "--json"], catch_exceptions=False)
    rows = {row["name"]: row for row in json.loads(result.output)}
    assert {"bert-bilstm", "bert2dnn", "match", "twin"} <= set(rows)
    assert all(len(row["fingerprint"]) == 64 and row["bytes"] > 1e5 for row in rows.values())


def test_models_refuses_a_damaged_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SHIPPED / "twin", tmp_path / "mine")
    with (tmp_path / "mine" / "query.onnx").open("ab") as file:
        file.write(b"x")
    monkeypatch.setenv("QTR_MODELS_DIR", str(tmp_path))
    with pytest.raises(ArtifactError, match=r"query\.onnx has checksum"):
        CliRunner().invoke(cli, ["models"], catch_exceptions=False)
