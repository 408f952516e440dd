"""results/sst2.json -> results/sst2.svg and sst2-sizes.svg.

python -m experiments.sst2_plots        draws the plots of results/sst2.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.plots import bars, curve
from experiments.sst2_page import RESULTS, is_main, sizes


def draw(report: Mapping[str, Any], results: Path) -> None:
    """Accuracy of every model with and without the teacher, and by size of the transfer set."""
    teacher, *students = report["rows"]
    groups: dict[str, dict[str, float]] = {"teacher": {"gold labels": teacher["accuracy"]}}
    for row in students:
        if is_main(row):
            trained_on = "gold labels" if row["labels"] == "gold" else "teacher and transfer set"
            groups.setdefault(row["model"], {})[trained_on] = row["accuracy"]
    bars(groups, results / "sst2.svg", y="accuracy")
    if by_size := sizes(report):
        own = report["counts"]["train"]
        curve(
            {by_size[0][1]["model"]: [(own + size, row["accuracy"]) for size, row in by_size]},
            results / "sst2-sizes.svg",
            x="sentences labelled by the teacher, SST-2's own first",
            y="accuracy",
            levels={"teacher": teacher["accuracy"]},
        )


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text(encoding="utf-8")), RESULTS.parent)
