"""The figures on pages match results/, and the README's commands and Python blocks run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click import Group
from click.testing import CliRunner

from experiments.tables import ROOT, between_marks, cascades, decision_table, figures
from qtr_rerank.cli import cli

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, flags=re.DOTALL)


def test_figures_on_pages_match_results() -> None:
    for page, mark, text in (
        ("README.md", "models", decision_table()),
        ("docs/figures.md", "figures", figures()),
        ("results/README.md", "figures", cascades()),
    ):
        shown = between_marks((ROOT / page).read_text(encoding="utf-8"), mark)
        assert shown.strip() == text.strip(), f"{page}: run experiments/tables.py"


def test_readme_has_one_table_of_figures_with_six_rows() -> None:
    assert README.count("experiments/tables.py -->") == 1
    table = [line for line in between_marks(README, "models").splitlines() if line.startswith("|")]
    assert [re.sub(r"[|` ]+", " ", line).split()[0] for line in table[2:]] == [
        "BM25",
        "match",
        "bert-bilstm",
        "bert2dnn",
        "twin",
        "cross-encoder",
    ]


def test_readme_shell_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text(
        "query,title,relevance\nusb cable,USB-C cable,3\nusb cable,Phone case,1\n"
    )
    (tmp_path / "products.csv").write_text(
        "item_no,label,retail\nA-1,USB-C cable 2 m,9.99\nA-2,Phone case,14.50\n"
    )
    done = []
    for line in (line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()):
        words = shlex.split(line, comments=True)
        if words[:1] != ["qtr"] and words[:3] != ["python", "-m", "indexer"]:
            continue
        if "shop/os" in words:
            continue  # needs a node: tests/test_docs.py and test_lexical_opensearch.py
        if words[1] in {"serve", "opensearch"}:
            continue  # long-running: tests/test_docs.py runs these, with a node
        if words[1] == "train" or "--models" in words:
            continue  # needs an encoder and an hour: tests/test_recipe.py trains a tiny one
        command = words[1:] if words[0] == "qtr" else ["index", *words[3:]]
        result = CliRunner().invoke(cli, command, catch_exceptions=False)
        assert result.exit_code == 0, f"{line}: {result.output}"
        done.append(command[0])
    assert {"sample", "index", "search", "evaluate", "score", "models", "bench"} <= set(done)
    for block in (block for kind, block in BLOCKS if kind == "python"):
        exec(compile(block, "README.md", "exec"), {})


def test_every_command_has_help() -> None:
    assert isinstance(cli, Group)
    for name in cli.list_commands(None):  # type: ignore[arg-type]
        result = CliRunner().invoke(cli, [name, "--help"], catch_exceptions=False)
        assert result.exit_code == 0
        assert "Usage:" in result.output
