"""`qtr bench` on a machine of any speed."""

from __future__ import annotations

import json

from click.testing import CliRunner

from qtr_rerank.cli import cli


def test_json_has_median_and_p95_of_every_workload() -> None:
    arguments = ["bench", "--model", "bert2dnn", "--seconds", "0.05", "--json"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    (row,) = json.loads(result.output)
    assert row["model"] == "bert2dnn"
    assert set(row["milliseconds"]) == {
        "1 pair from text",
        "100 pairs from text",
        "1,000 stored",
        "query alone",
    }
    for time in row["milliseconds"].values():
        assert time["calls"] >= 1
        assert 0 < time["median"] <= time["p95"]
    assert row["titles_per_second"] > 0
