"""results/sst2.json -> docs/experiment-sst2.md: tables and conclusions.

python -m experiments.sst2_page        writes the part of the page between the two markers
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.tables import END, table

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "results" / "sst2.json", ROOT / "docs" / "experiment-sst2.md"
START = "<!-- figures: experiments/sst2_page.py -->"
GOAL = 0.97
"""The share of its teacher's accuracy that BERT2DNN's abstract claims for the DNN."""

Row = Mapping[str, Any]


def figures(report: Mapping[str, Any]) -> str:
    """Markdown of all tables and conclusions."""
    rows: dict[str, Row] = {row["id"]: row for row in report["rows"]}
    teacher, *students = report["rows"]
    counts = report["counts"]
    parts = [
        f"SST-2: {counts['train']:,} sentences and phrases to train on, {counts['dev']:,} to "
        f"validate on, {counts['test']:,} to test on. Transfer set: the training sentences and "
        f"{counts['transfer']:,} of the {counts['sentences']:,} sentences cut from "
        f"{counts['reviews']:,} IMDB reviews. Teacher: {report['encoder']}, "
        f"{report['teacher_epochs']} {_plural(report['teacher_epochs'], 'epoch')}.",
        table(
            ["model", "trained on", "accuracy, %", "95 % interval", "retained of the teacher's, %"],
            [
                [
                    teacher["model"],
                    "gold labels",
                    _percent(teacher["accuracy"]),
                    _range(teacher),
                    "",
                ],
                *(_main_cells(row) for row in students if is_main(row)),
            ],
        ),
        _verdict(rows),
    ]
    if by_temperature := temperatures(report):
        parts += [
            "Distillation temperature, DNN of our layout, with "
            f"{by_temperature[0][1]['imdb_sentences']:,} of the IMDB sentences:",
            _sweep("T", by_temperature),
        ]
    if by_size := sizes(report):
        parts += [
            "IMDB sentences in the transfer set, besides SST-2's own, DNN of our layout:",
            _sweep("sentences", by_size),
        ]
    return "\n\n".join(parts)


def temperatures(report: Mapping[str, Any]) -> list[tuple[float, Row]]:
    """Runs that differ only in temperature, by temperature; empty if there is one run."""
    runs = _ablated(report)
    sentences = Counter(row["imdb_sentences"] for row in runs).most_common(1)
    return _swept(
        (row["training"]["temperature"], row)
        for row in runs
        if row["imdb_sentences"] in dict(sentences)
    )


def sizes(report: Mapping[str, Any]) -> list[tuple[float, Row]]:
    """Runs that differ only in the size of the transfer set, by size."""
    plain = next((row for row in report["rows"] if row["id"] == "dnn"), None)
    runs = [
        row
        for row in _ablated(report)
        if plain and row["training"]["temperature"] == plain["training"]["temperature"]
    ]
    return _swept((row["imdb_sentences"], row) for row in runs)


def write(report: Mapping[str, Any], page: Path = PAGE) -> None:
    """Write the figures between the page's markers."""
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n{figures(report)}\n\n{END}{after}", encoding="utf-8")


def _verdict(rows: Mapping[str, Row]) -> str:
    lines = []
    dnn = [row for row in rows.values() if is_main(row) and row["kind"] == "bert2dnn"]
    distilled = [row for row in dnn if row["labels"] == "teacher"]
    if distilled:
        best = max(distilled, key=lambda row: row["accuracy"])
        short = GOAL - best["retention"]
        outcome = "reached" if short <= 0 else f"missed by {100 * short:.1f} points"
        lines.append(
            f"The best distilled DNN ({best['model']}) retains {_percent(best['retention'])} % of "
            f"its teacher's accuracy; the claim of more than {100 * GOAL:.0f} % is {outcome}."
        )
    for row in rows.values():
        if gold := rows.get(f"{row['id']}-hard"):
            gain = 100 * (row["accuracy"] - gold["accuracy"])
            lines.append(
                f"{row['model']}: {gain:+.1f} points by distillation over gold labels alone "
                f"(paired randomisation test, p = {row['p_against_gold']:.4f})."
            )
    return "\n".join(f"- {line}" for line in lines)


def is_main(row: Row) -> bool:
    """Whether a row belongs in the first table; the others vary one setting."""
    return row["id"].removesuffix("-hard") in ("dnn", "dnn-paper", "bilstm")


def _ablated(report: Mapping[str, Any]) -> list[Row]:
    return [
        row
        for row in report["rows"][1:]
        if row["kind"] == "bert2dnn" and row["config"] == "default" and row["labels"] == "teacher"
    ]


def _swept(rows: Iterable[tuple[float, Row]]) -> list[tuple[float, Row]]:
    ordered = sorted(rows, key=lambda pair: pair[0])
    return ordered if len(ordered) > 1 else []


def _main_cells(row: Row) -> list[str]:
    trained_on = f"teacher, T = {row['training']['temperature']:g}"
    return [
        row["model"],
        trained_on if row["labels"] == "teacher" else "gold labels",
        _percent(row["accuracy"]),
        _range(row),
        _percent(row["retention"]),
    ]


def _sweep(name: str, rows: Sequence[tuple[float, Row]]) -> str:
    return table(
        [name, "accuracy, %", "95 % interval", "retained of the teacher's, %"],
        [
            [f"{value:,g}", _percent(row["accuracy"]), _range(row), _percent(row["retention"])]
            for value, row in rows
        ],
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _range(row: Row) -> str:
    return f"{_percent(row['low'])} to {_percent(row['high'])}"


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


if __name__ == "__main__":
    write(json.loads(RESULTS.read_text(encoding="utf-8")))
