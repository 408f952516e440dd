"""results/*.json -> the tables of README.md, results/README.md and docs.

python experiments/tables.py        writes the part of each page between its two markers
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
START, END = "<!-- figures: experiments/tables.py -->", "<!-- end of figures -->"


def figures(results: Path = ROOT / "results") -> str:
    """Markdown of all tables, from the JSON files in `results`."""
    icecat, sample, unseen, latency, models = (
        json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("icecat", "sample", "zero-shot", "latency", "models")
    )
    megabytes = {row["name"]: row["bytes"] / 1e6 for row in models}
    parts = [
        f"Icecat electronics, {icecat['queries']} development queries that no model has seen "
        f"({icecat['judged pairs']} judged pairs of querqy/chorus):",
        table(
            ["order of the judged products", "nDCG@10", "AUC (rating 2 or more)"],
            [
                [name, row["nDCG@10"], row["AUC(>=2)"]]
                for name, row in icecat["judged lists"].items()
            ],
        ),
        table(
            [
                "search in all 19,406 products (the 22 queries with something relevant)",
                *next(iter(icecat["full catalog"].values())),
            ],
            [[name, *row.values()] for name, row in icecat["full catalog"].items()],
        ),
        "The sample shop, 100 judged queries of ten hard kinds (misspelt, unit, negation, ...; the "
        "models have seen other queries of another shop from the same generator):",
        table(
            ["search in all 3,600 products", *sample["runs"][0]["measures"]],
            [[run["run"], *run["measures"].values()] for run in sample["runs"]],
        ),
        f"Home Depot, a shop that no weight has seen: all {unseen['pairs']:,} judged pairs of "
        f"{unseen['queries']:,} queries (judged lists are short, so nDCG@10 is high in any order):",
        table(
            ["order of the judged products", *next(iter(unseen["rows"].values()))],
            [[name, *row.values()] for name, row in unseen["rows"].items()],
        ),
        table(
            ["retrieval from all its titles", *_depths(unseen["recall"])],
            [
                [row["retrieval"], *(row[name] for name in _depths([row]))]
                for row in unseen["recall"]
                if not row["vectors"].startswith("int8")  # the same, to three decimals
            ],
        ),
        f"Milliseconds (median) on one thread, and {sum(megabytes.values()):.0f} MB of models:",
        table(
            ["model", *latency[0]["milliseconds"], "titles a second", "MB"],
            [
                [
                    row["model"],
                    *(_short(time["median"]) for time in row["milliseconds"].values()),
                    f"{row['titles_per_second']:,.0f}",
                    f"{megabytes[row['model']]:.1f}",
                ]
                for row in latency
            ],
        ),
        *beside_rivals(results / "latency-rivals.json"),
        "`experiments/figures.sh` measures all of it again and writes `results/` and these tables. "
        "AUC: how often a relevant product (of the rating named) stands above another one. RR@10: "
        "1 / rank of the first relevant one. R@100: share of the relevant ones in the first 100. "
        "Judged@10: share of the first ten that somebody judged; the others count as irrelevant in "
        "nDCG@10, but where it says that they are left out.",
    ]
    return "\n\n".join(parts)


def beside_rivals(path: Path) -> list[str]:
    """Table of milliseconds a pair beside known shapes; empty if they were not measured."""
    if not path.is_file():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))
    workloads = list(rows[0]["milliseconds_per_pair"])
    bases = list(rows[0]["times_cheaper_than"])
    ratios = [(base, name) for base in bases for name in workloads]
    shown = []
    for row in rows:
        each, times = row["milliseconds_per_pair"], row["times_cheaper_than"]
        cells = [_short(each[name]) if name in each else "-" for name in workloads]
        cells += [_ratio(times[base].get(name)) for base, name in ratios]
        shown.append([row["model"], *cells])
    return [
        "Milliseconds a pair beside cross-encoders of known shapes in ONNX Runtime, and how many "
        "times less than BERT-Base and TinyBERT-4L-312 (the BERT2DNN paper claims 150 and 15; "
        "BertBiLSTM's, 0.2 ms a pair). Stored titles are held against 100 pairs from text, since "
        "a cross-encoder can store nothing:",
        table(["model", *workloads, *(f"{base} / model: {name}" for base, name in ratios)], shown),
    ]


def _depths(rows: list[dict[str, Any]]) -> list[str]:
    return [name for name in rows[0] if name.startswith("recall@")]


def table(header: list[str], rows: list[list[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.3g}"


def _ratio(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def cascades(results: Path = ROOT / "results") -> str:
    """Markdown of the table in results/README.md: cascades compared."""
    shop, icecat = json.loads((results / "cascade.json").read_text(encoding="utf-8"))
    shown = {"nDCG@10": "nDCG@10", "nDCG@10, unjudged left out": "judged only", "R@100": "R@100"}
    header = [f"{name}, {label}" for name in ("shop", "Icecat") for label in shown.values()]
    return table(
        ["cascade (prior)", *header],
        [
            [name, *(figures[name][measure] for figures in (shop, icecat) for measure in shown)]
            for name in shop
        ],
    )


def two_ways_table(results: Path = ROOT / "results") -> str:
    """Markdown of docs/opensearch.md's table: reranking inside OpenSearch and in front of it."""
    report = json.loads((results / "two-ways.json").read_text(encoding="utf-8"))
    shown = {
        "nDCG@10": "nDCG@10",
        "nDCG@10, unjudged left out": "judged only",
        "ms, median": "ms",
    }
    catalogs = {"shop": "sample shop", "icecat": "Icecat"}
    header = [f"{name}: {label}" for name in catalogs.values() for label in shown.values()]
    rows = [
        [way, *(_figure(report[key][way][measure]) for key in catalogs for measure in shown)]
        for way in report["shop"]
    ]
    return table(["", *header], rows) + (
        "\n\nA page of 10 hits, one client, the sample shop's 100 judged queries and Icecat's 22 "
        "development queries with something relevant, on two cores: "
        "`python -m experiments.two_ways`."
    )


def _figure(value: float) -> float | str:
    return f"{value:.0f}" if value > 1 else value


def load_table(results: Path = ROOT / "results") -> str:
    """Markdown of docs/production.md's table: latency and requests per second."""
    rows = json.loads((results / "load.json").read_text(encoding="utf-8"))
    names = ["p50", "p95", "p99", "requests a second"]
    return table(
        ["model", "documents", "clients", *(f"{n} ms" if n[0] == "p" else n for n in names)],
        [
            [row["model"], str(row["documents"]), str(row["clients"])]
            + [f"{row[name]:,.0f}" if row[name] >= 100 else f"{row[name]:.3g}" for name in names]
            for row in rows
        ],
    )


def between_marks(text: str, mark: str) -> str:
    """The part of a page between its two markers of that name."""
    return text.partition(f"<!-- {mark}: experiments/tables.py -->")[2].partition(
        f"<!-- end of {mark} -->"
    )[0]


def main() -> None:
    for path, mark, text in (
        ("README.md", "figures", figures()),
        ("results/README.md", "figures", cascades()),
        ("docs/opensearch.md", "two ways", two_ways_table()),
        ("docs/production.md", "load", load_table()),
    ):
        page = (ROOT / path).read_text(encoding="utf-8")
        begins, ends = f"<!-- {mark}: experiments/tables.py -->", f"<!-- end of {mark} -->"
        before, _, rest = page.partition(begins)
        after = rest.partition(ends)[2]
        (ROOT / path).write_text(f"{before}{begins}\n\n{text}\n\n{ends}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
