"""The benchmarks run, and report what they say they do. Their figures are not asserted."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.search import main
from tests.small_index import build_small_index, small_catalog


def test_a_page_of_search_is_measured_step_by_step(tmp_path: Path) -> None:
    build_small_index(tmp_path / "index", small_catalog(60), ["twin", "match"])
    queries = tmp_path / "queries.csv"
    queries.write_text("query\nmug\nblue shoes\nmug\n")
    out = tmp_path / "search.json"
    words = [str(tmp_path / "index"), str(queries), "--rounds", "1", "-o", str(out)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    report = json.loads(out.read_text())
    assert (report["products"], report["queries"]) == (60, 2)
    steps = ["lexical", "encode", "dense", "fuse", "match"]
    assert list(report["ms"])[:5] == steps
    assert report["ms"]["page"]["p50"] >= report["ms"]["match"]["p50"] > 0


def test_a_file_without_queries_is_explained(tmp_path: Path) -> None:
    build_small_index(tmp_path / "index", small_catalog(20), ["twin", "match"])
    (tmp_path / "queries.csv").write_text("query\n")
    result = CliRunner().invoke(main, [str(tmp_path / "index"), str(tmp_path / "queries.csv")])
    assert result.exit_code == 1
    assert "holds no query" in result.output
