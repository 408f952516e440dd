"""Plots: well-formed, labelled, and deterministic."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib", reason="plots need: pip install 'qtr-rerank[experiments]'")

from experiments import plots
from experiments.plot_labels import place_names
from experiments.plots import Point, frontier
from qtr_rerank.errors import DataError

MODELS = [
    Point("match", 9.0, 0.861),
    Point("bert2dnn", 2.9, 0.832),
    Point("TinyBERT-2L", 21.0, 0.842, "rival"),
    Point("TinyBERT-2L int8", 15.0, 0.840, "rival"),
    Point("MiniLM teacher", 710.0, 0.872, "teacher"),
]
RNG = np.random.default_rng(0)
PREDICTED = RNG.random(400)
HAPPENED = (RNG.random(400) < PREDICTED).astype(float)

DRAWN: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "pareto": (
        lambda out: plots.pareto({"milliseconds": MODELS, "stored": MODELS[:2]}, out, "AUC"),
        {"match", "TinyBERT-2L int8", "MiniLM teacher", "milliseconds", "stored", "AUC"},
    ),
    "curve": (
        lambda out: plots.curve(
            {"match": [(5e4, 0.84), (1e6, 0.86)], "twin": [(2e5, 0.8)]}, out, levels={"BM25": 0.78}
        ),
        {"match", "twin", "BM25", "50k", "200k", "1M"},
    ),
    "bars": (
        lambda out: plots.bars(
            {"twin": {"plain": 0.8, "distilled": 0.84}, "match": {"plain": 0.9}}, out
        ),
        {"twin", "match", "plain", "distilled", "0.840", "0.900"},
    ),
    "reliability": (
        lambda out: plots.reliability(PREDICTED, HAPPENED, out, title="match"),
        {"match", "mean label", "probability", "pairs"},
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_plot_is_well_formed_and_contains_its_labels(name: str, tmp_path: Path) -> None:
    draw, expected = DRAWN[name]
    out = tmp_path / "folder" / "plot.svg"
    draw(out)
    tree = ElementTree.parse(out)
    assert tree.getroot().tag.endswith("svg")
    texts = {"".join(each.itertext()).strip() for each in tree.iter() if each.tag.endswith("text")}
    assert expected <= texts


@pytest.mark.parametrize("name", DRAWN)
def test_equal_numbers_give_equal_bytes(name: str, tmp_path: Path) -> None:
    draw, _ = DRAWN[name]
    for each in ("one.svg", "two.svg"):
        draw(tmp_path / each)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize(
    "draw",
    [
        lambda out: plots.pareto({}, out),
        lambda out: plots.pareto({"ms": []}, out),
        lambda out: plots.curve({}, out),
        lambda out: plots.bars({}, out),
    ],
)
def test_empty_plot_is_refused_and_writes_no_file(
    draw: Callable[[Path], None], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"plot\.svg"):
        draw(tmp_path / "plot.svg")
    assert list(tmp_path.iterdir()) == []


FEW = st.sampled_from([1.0, 2.0, 5.0, 9.0])  # few values, so that ties are common


@given(st.lists(st.builds(Point, st.just("x"), FEW, FEW), min_size=1, max_size=12))
def test_frontier_is_pareto_optimal(
    points: list[Point],
) -> None:
    best = frontier(points)
    costs = [point.cost for point in best]
    qualities = [point.quality for point in best]
    assert costs == sorted(set(costs))
    assert qualities == sorted(set(qualities))
    for point in points:
        assert any(each.cost <= point.cost and each.quality >= point.quality for each in best)
        assert not any(
            point.cost <= each.cost
            and point.quality >= each.quality
            and (point.cost, point.quality) != (each.cost, each.quality)
            for each in best
        )


def test_names_of_close_marks_do_not_overlap() -> None:
    marks = [(100.0, 100.0), (104.0, 103.0), (108.0, 97.0), (290.0, 100.0)]
    places = place_names(["first", "second", "third", "at the edge"], marks, (0.0, 300.0))
    spots = [
        (x + place.offset[0], y + place.offset[1], place.side)
        for (x, y), place in zip(marks, places, strict=True)
    ]
    assert len({(side, round(y / 9)) for _, y, side in spots[:3]}) == 3
    assert places[3].side == "right"


def test_name_of_a_lone_mark_is_beside_it() -> None:
    (place,) = place_names(["match"], [(50.0, 50.0)], (0.0, 300.0))
    assert (place.offset, place.led) == ((5, 3), False)
