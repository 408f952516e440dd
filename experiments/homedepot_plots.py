"""results/homedepot.json -> results/homedepot-*.svg, by experiments.plots.

python -m experiments.homedepot_plots        draws the plots of results/homedepot.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import plots
from experiments.homedepot_conclusions import HUNDRED
from experiments.homedepot_page import RESULTS, swept
from experiments.homedepot_students import ABLATED

AUC = "AUC, relevance 2.33 or more"
STORED = "1,000 stored"
_WAYS = {"gold": "gold labels alone", "plain": "distilled, no augmentation", "": "distilled"}


def draw(report: Mapping[str, Any], results: Path) -> None:
    """Draw every plot that the report has rows for."""
    teacher = next(row for row in report["teachers"] if row["id"] == report["teacher"])
    levels = {"teacher": teacher["auc"]}
    sizes = {
        kind: [(row["transfer"], row["auc"]) for row in variants]
        for kind in ABLATED
        if (variants := swept(report, "size", kind))
    }
    if sizes:
        plots.curve(sizes, results / "homedepot-sizes.svg", y=AUC, levels=levels)
    temperatures = [
        (float(row["label"]), row["auc"]) for row in swept(report, "temperature", "bert2dnn")
    ]
    if temperatures:
        plots.curve(
            {"bert2dnn": temperatures},
            results / "homedepot-temperature.svg",
            x="temperature of the distillation",
            y=AUC,
            levels=levels,
        )
    rows = {row["id"]: row for row in report["rows"]}
    groups = {
        kind: {
            label: rows[id]["auc"]
            for way, label in _WAYS.items()
            if (id := f"{kind}-{way}".rstrip("-")) in rows
        }
        for kind in ABLATED
        if kind in rows
    }
    if groups:
        plots.bars(groups, results / "homedepot-distillation.svg", y=AUC)
    if panels := _panels(report):
        plots.pareto(panels, results / "homedepot-pareto.svg", quality=AUC)


def _panels(report: Mapping[str, Any]) -> dict[str, list[plots.Point]]:
    """Students and rivals by two costs. A rival stores nothing, so 1,000 titles cost it ten times
    as much as 100 pairs from text.
    """
    timed = [row for row in report["rows"] if "milliseconds" in row]
    if not timed:
        return {}
    panels: dict[str, list[plots.Point]] = {}
    for cost, workload, factor in (
        ("milliseconds for 100 pairs from text, one thread", HUNDRED, 1.0),
        ("milliseconds for 1,000 titles, stored where they can be", STORED, 10.0),
    ):
        panels[cost] = [
            plots.Point(row["id"], row["milliseconds"][workload], row["auc"]) for row in timed
        ] + [
            plots.Point(row["id"], factor * row["milliseconds"][HUNDRED], row["auc"], "rival")
            for row in report["rivals"]
        ]
    return panels


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text(encoding="utf-8")), RESULTS.parent)
