"""results/homedepot.json -> docs/experiment-homedepot.md: tables and conclusions.

python -m experiments.homedepot_page        writes the part of the page between the two markers
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.homedepot_conclusions import goals, lessons, verdict_on_rivals
from experiments.homedepot_students import ABLATED
from experiments.tables import END, table

ROOT = Path(__file__).parent.parent
RESULTS, PAGE = ROOT / "results" / "homedepot.json", ROOT / "docs" / "experiment-homedepot.md"
START = "<!-- figures: experiments/homedepot_page.py -->"
NAMES = {
    "plain": "no pre-training",
    "ebert": "eBERT",
    "stacked": "stacked",
    "mixed": "the teacher, mixed with cosine and coverage",
    "random": "random order",
    "bm25": "BM25",
    "mean": "mean of the training ratings",
}
# From the notes that come with the data: another split by query, gain not stated.
ELSEWHERE = {"random": 0.876, "bm25": 0.893, "teacher": 0.902}
MEASURES = (
    "RMSE",
    "RMSE, no fit",
    "AUC, 2.33 or more",
    "95 % interval",
    "AUC, 3",
    "nDCG@10",
    "nDCG@10, binary",
)

Row = Mapping[str, Any]


def figures(report: Mapping[str, Any]) -> str:
    """Markdown of all tables and conclusions."""
    parts = [_setting(report), *_teachers(report), *_students(report)]
    parts += [*_distilled(report), *_sizes(report)]
    for group, kind, heading, column in SWEEPS:
        parts += _sweep(report, group, kind, heading, column)
    parts += [*_recall(report), *_rivals(report), "### Goals", _goals(report)]
    parts += ["### Effects", "\n".join(f"- {line}" for line in lessons(report))]
    if report["missing"]:
        parts.append(f"Not run here: {', '.join(report['missing'])}.")
    return "\n\n".join(parts)


def write(report: Mapping[str, Any], page: Path = PAGE) -> None:
    """Write the figures between the page's markers."""
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n\n{figures(report)}\n\n{END}{after}", encoding="utf-8")


def swept(report: Mapping[str, Any], group: str, kind: str) -> list[Row]:
    """Runs of a kind that differ from its main run in one setting (`label`), and the main run.

    Empty if there is only the main run.
    """
    rows = [row for row in report["rows"] if row["kind"] == kind and row["group"] == group]
    plain = next((row for row in report["rows"] if row["id"] == kind), None)
    if not rows or plain is None:
        return []
    both = [{**plain, "label": _default_label(plain, group)}, *rows]
    if group in ("temperature", "size"):
        both.sort(key=lambda row: float(row["label"].replace(",", "")))
    return both


SWEEPS = (
    ("temperature", "bert2dnn", "Temperature, bert2dnn", "T"),
    ("loss", "match", "Loss, match", "loss"),
    ("twin", "twin", "Variants of the twin", "twin"),
)


def _default_label(row: Row, group: str) -> str:
    if group == "temperature":
        return f"{row['training']['temperature']:g}"
    if group == "size":
        return f"{row['transfer']:,}"
    if group == "loss":
        return str(row["training"]["loss"])
    student = row["student"]
    return ", ".join(str(student[name]) for name in ("crossing", "vocabulary", "pooling"))


def _setting(report: Mapping[str, Any]) -> str:
    counts = report["counts"]
    return (
        f"{counts['products']:,} products; {counts['train_pairs']:,} judged pairs of "
        f"{counts['train_queries']:,} queries to train on, {counts['dev_pairs']:,} of "
        f"{counts['dev_queries']:,} other queries to measure on, "
        f"{100 * counts['dev_relevant'] / counts['dev_pairs']:.0f} % of them relevant (2.33 or "
        f"more). Transfer set: {counts['transfer']:,} pairs, and {counts['augmented']:,} "
        f"variants of training pairs. Encoder: {report['encoder']}."
    )


def _teachers(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            NAMES[row["id"]] + (" (the teacher)" if row["id"] == report["teacher"] else ""),
            row.get("held_out_loss", ""),
            *_measures(row),
        ]
        for row in report["teachers"]
    ]
    baselines = [[NAMES[row["id"]], "", *_measures(row)] for row in report["baselines"]]
    return [
        "### Teachers",
        table(["teacher", "loss, held out", *MEASURES], rows + baselines),
        "The loss is on held-out training queries; the better of the first two by this loss is the "
        "teacher of all that follows. The mixture's weights for each half of the development "
        "queries are fitted on the other half, since no other pairs are new to the teacher: it "
        "shows what mixing adds, and no student learns from it.",
        "nDCG@10 of the judged lists with different gains:",
        table(
            ["gain", "random", "BM25", "teacher"],
            [[row["gain"], row["random"], row["bm25"], row["teacher"]] for row in report["gains"]],
        ),
        f"The notes that come with the data give {ELSEWHERE['random']} for a random order, "
        f"{ELSEWHERE['bm25']} for BM25 and {ELSEWHERE['teacher']} for a fine-tuned MiniLM on "
        "another split, without naming the gain. The nearest gain here is "
        f'"{_nearest_gain(report)}". On this page the gain of "nDCG@10" is the relevance itself, '
        'which is 1 for the worst product; "binary" has gain 1 for a relevance of 2.33 or more, '
        "else 0, and leaves out queries without a relevant product.",
    ]


def _students(report: Mapping[str, Any]) -> list[str]:
    rows = [row for row in report["rows"] if row["group"] == "main"]
    if not rows:
        return []
    return [
        "### Students",
        table(
            ["student", *MEASURES, "retained: AUC - 0.5, %", "nDCG@10, %", "binary, %"],
            [[_name(row), *_measures(row), *_retained(row)] for row in rows],
        ),
        "![AUC with and without distillation and augmentation]"
        "(../results/homedepot-distillation.svg)",
    ]


def _distilled(report: Mapping[str, Any]) -> list[str]:
    rows = {row["id"]: row for row in report["rows"]}
    lines = [
        [
            kind,
            rows[kind]["auc"],
            *(_against(rows.get(f"{kind}-{way}")) for way in ("plain", "gold")),
        ]
        for kind in ABLATED
        if kind in rows and (f"{kind}-plain" in rows or f"{kind}-gold" in rows)
    ]
    if not lines:
        return []
    return [
        "### Distillation and augmentation",
        table(["student", "AUC", "without augmentation", "gold labels alone"], lines),
        "AUC at 2.33 or more; in brackets the difference from the first column, with the 95 % "
        "interval of a paired bootstrap over queries.",
    ]


def _sizes(report: Mapping[str, Any]) -> list[str]:
    by_kind = {kind: swept(report, "size", kind) for kind in ABLATED}
    labels = list(dict.fromkeys(row["label"] for rows in by_kind.values() for row in rows))
    if not labels:
        return []
    kinds = [kind for kind, rows in by_kind.items() if rows]
    labels.sort(key=lambda label: int(label.replace(",", "")))
    by_label = {(kind, row["label"]): row for kind in kinds for row in by_kind[kind]}
    return [
        "### Size of the transfer set",
        table(
            ["pairs labelled by the teacher", *kinds],
            [
                [label, *(_against(by_label.get((kind, label))) for kind in kinds)]
                for label in labels
            ],
        ),
        "AUC, and the difference from the full set. Smaller sets are random samples of the "
        "larger; judged pairs and their variants are the same in all.",
        "![AUC by the size of the transfer set](../results/homedepot-sizes.svg)",
    ]


def _sweep(
    report: Mapping[str, Any], group: str, kind: str, heading: str, column: str
) -> list[str]:
    rows = swept(report, group, kind)
    if not rows:
        return []
    parts = [
        f"### {heading}",
        table(
            [column, "AUC, 2.33 or more", "nDCG@10", "RMSE", "retained: AUC - 0.5, %"],
            [
                [row["label"], _against(row), row["ndcg"], row["rmse"], _percent(row["retention"])]
                for row in rows
            ],
        ),
    ]
    if group == "temperature":
        parts.append("![AUC by temperature](../results/homedepot-temperature.svg)")
    return parts


def _recall(report: Mapping[str, Any]) -> list[str]:
    if not report["recall"]:
        return []
    depths = [name for name in report["recall"][0] if name.startswith("recall@")]
    seen: set[tuple[str, str]] = set()
    rows = []
    for row in report["recall"]:
        model = "" if row["retrieval"] == "lexical" else row["model"]
        if (key := (model, f"{row['retrieval']} {row['vectors']}")) not in seen:
            seen.add(key)
            rows.append([row["retrieval"], model, row["vectors"], *(row[name] for name in depths)])
    return [
        "### Retrieval from the whole catalog",
        table(["retrieval", "model", "vectors", *depths], rows),
        "The share of a query's relevant products that is retrieved, a mean over the "
        f"{report['recall'][0]['queries']:,} development queries that have any. Unjudged products "
        "count as irrelevant.",
    ]


def _rivals(report: Mapping[str, Any]) -> list[str]:
    rows = [*report["rows"], *report["rivals"]]
    timed = [row for row in rows if "milliseconds" in row]
    if not report["rivals"]:
        return []
    workloads = list(dict.fromkeys(name for row in timed for name in row["milliseconds"]))
    return [
        "### Quality against latency",
        table(
            ["model", *(f"ms, {name}" for name in workloads), "AUC, 2.33 or more", "nDCG@10"],
            [
                [
                    _name(row),
                    *(_short(row["milliseconds"].get(name)) for name in workloads),
                    row["auc"],
                    row["ndcg"],
                ]
                for row in timed
            ],
        ),
        verdict_on_rivals(report),
        "![AUC against milliseconds](../results/homedepot-pareto.svg)",
    ]


def _goals(report: Mapping[str, Any]) -> str:
    return table(["goal", "figure", "result"], [list(cells) for cells in goals(report)])


def _measures(row: Row) -> list[Any]:
    if "auc" not in row:
        return ["", row["rmse_raw"], *[""] * (len(MEASURES) - 2)]
    return [
        row["rmse"],
        row.get("rmse_raw", ""),
        row["auc"],
        f"{row['auc_low']:.3f} to {row['auc_high']:.3f}",
        row["auc_best"],
        row["ndcg"],
        row["ndcg_binary"],
    ]


def _retained(row: Row) -> list[str]:
    low, high = _percent(row["retention_low"]), _percent(row["retention_high"])
    return [
        f"{_percent(row['retention'])} ({low} to {high})",
        _percent(row["ndcg_kept"]),
        _percent(row["ndcg_binary_kept"]),
    ]


def _against(row: Row | None) -> str:
    """A row's AUC, and its difference from the row that it is compared with."""
    if row is None:
        return ""
    if "difference" not in row:
        return f"{row['auc']:.3f}"
    gap = row["difference"]
    return f"{row['auc']:.3f} ({gap['auc']:+.3f}, {gap['low']:+.3f} to {gap['high']:+.3f})"


def _name(row: Row) -> str:
    if "kind" not in row:
        return f"transformer {row['id']}"
    return f"{row['kind']}, {row['label']}" if row["label"] else str(row["kind"])


def _nearest_gain(report: Mapping[str, Any]) -> str:
    def distance(row: Row) -> float:
        return sum(abs(float(row[name]) - value) for name, value in ELSEWHERE.items())

    return str(min(report["gains"], key=distance)["gain"])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _short(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.3g}"


if __name__ == "__main__":
    write(json.loads(RESULTS.read_text(encoding="utf-8")))
