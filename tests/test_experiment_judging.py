"""The simulation of how many judgments settle a comparison, on invented grades."""

from __future__ import annotations

import pytest

from experiments.judging import QUARTER, compared, difference
from qtr_rerank.evaluate.runs import Run
from tests.judge_fixtures import make_run

QUERIES = [f"query {number}" for number in range(60)]


@pytest.fixture
def runs() -> list[Run]:
    """One shows A to E, the other V to Z."""
    shown = {"first": "ABCDE", "second": "VWXYZ"}
    return [make_run(name, dict.fromkeys(QUERIES, letters)) for name, letters in shown.items()]


def test_clear_comparison_is_settled_sooner_in_the_orders_of_qtr_judge(runs: list[Run]) -> None:
    published = {query: {"known": 3.0} for query in runs[0].rankings}
    hidden = {
        query: dict.fromkeys("VWX", 3.0) | dict.fromkeys("ABCDEYZ", 0.0) for query in published
    }
    found = compared(runs, published, hidden, samples=2)
    assert found["runs"] == ["first", "second"]
    assert found["unjudged pairs"] == 500
    assert found["samples likely settled wrongly"] == 0
    likely, settled = found["pairs until likely settled, drawn"], found["pairs until settled"]
    assert 20 <= likely["most"] < settled["useful"] < settled["random"]
    assert found[f"samples likely settled by {QUARTER} pairs"] == 2
    assert difference(runs, published, hidden) > 0
