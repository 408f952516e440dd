"""results/*.json -> the tables of README.md, results/README.md and docs/.

python experiments/tables.py        writes the part of each page between its two markers
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtr_rerank.judge.guidelines import GUIDELINES

ROOT = Path(__file__).parent.parent
# The architecture of the teacher, a cross-encoder, as `latency-rivals.json` names it.
TEACHER_MODEL = "MiniLM-L6"
PAGE_COLUMNS = ["nDCG@10", "95 %", "Judged@10", "left out", "bounds", "RR@10", "R@100"]
PUBLISHED = "full catalog, published judgments"
START, END = "<!-- figures: experiments/tables.py -->", "<!-- end of figures -->"


def decision_table(results: Path = ROOT / "results") -> str:
    """Markdown of README.md's table: quality and time, beside BM25 and the teacher."""
    unseen, trained, times = (
        json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("zero-shot", "homedepot", "latency-rivals")
    )
    untrained_auc = {name: row["AUC(>=2.33)"] for name, row in unseen["rows"].items()}
    trained_auc = {
        row["id"]: row["auc"]
        for part in ("teachers", "baselines", "rows")
        for row in trained[part]
        if "auc" in row
    }
    per_pair = {row["model"]: row["milliseconds_per_pair"] for row in times}
    rows = [["BM25", untrained_auc["BM25, title"], trained_auc["bm25"], "-", "-"]]
    for name in ("match", "bert-bilstm", "bert2dnn", "twin"):
        stored = _short(1000 * per_pair[name]["1,000 stored"])
        texts = _short(100 * per_pair[name]["100 pairs from text"])
        rows.append([f"`{name}`", untrained_auc[name], trained_auc[name], stored, texts])
    texts_ms = 100 * per_pair[TEACHER_MODEL]["100 pairs from text"]
    rows.append(
        [
            f"cross-encoder teacher ({TEACHER_MODEL})",
            "-",
            trained_auc[trained["teacher"]],
            f"{10 * texts_ms:,.0f} (computed)",
            _short(texts_ms),
        ]
    )
    header = ["", "AUC, untrained", "AUC, trained", "ms, 1,000 stored titles", "ms, 100 texts"]
    return table(header, rows) + (
        "\n\nAUC on Home Depot: the chance that a relevant pair scores above another one (0.5 is "
        f"random). *Untrained*: the models in the package, on all {unseen['pairs']:,} judged pairs "
        "of a shop that they were not trained on (only the mix of their training labels was chosen "
        "by it); their own teacher was not kept. *Trained*: a teacher fine-tuned on the shop's "
        "judgments and models distilled from it, on "
        f"{trained['counts']['dev_queries']:,} other queries. Milliseconds: median, one CPU "
        "thread. The teacher cannot store titles: its time for 1,000 is ten times that for 100."
    )


def figures(results: Path = ROOT / "results") -> str:
    """Markdown of docs/figures.md: all other tables of quality and latency."""
    icecat, sample, unseen, latency, models = (
        json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("icecat", "sample", "zero-shot", "latency", "models")
    )
    megabytes = {row["name"]: row["bytes"] / 1e6 for row in models}
    parts = [
        "## Icecat: electronics",
        f"{icecat['queries']} development queries ({icecat['judged pairs']} judged pairs of "
        "querqy/chorus) that no model was trained on. First, the judged products of each query in "
        "the order of each model:",
        table(
            ["order by", "nDCG@10", "AUC (rating 2 or more)"],
            [
                [name, row["nDCG@10"], row["AUC(>=2)"]]
                for name, row in icecat["judged lists"].items()
            ],
        ),
        "Search in all 19,406 products, measured by these judgments and by this project's own of "
        f"the first pages ({icecat['pairs with the added judgments']:,} in all), for the "
        f"{_queries(icecat['full catalog'])} queries that have a relevant product:",
        table(
            ["order by", *PAGE_COLUMNS],
            [[name, *_cells(row, PAGE_COLUMNS)] for name, row in icecat["full catalog"].items()],
        ),
        "The same orders by the published judgments alone, for the "
        f"{_queries(icecat[PUBLISHED])} queries that have a relevant product among them:",
        table(
            ["order by", *PAGE_COLUMNS],
            [[name, *_cells(row, PAGE_COLUMNS)] for name, row in icecat[PUBLISHED].items()],
        ),
        "## The sample shop",
        "Search in all 3,600 products, for 100 judged queries of ten hard kinds (misspelt, with a "
        "unit, with a negation, ...). The models were trained on other queries, of another shop "
        "from the same generator:",
        table(
            ["order by", *PAGE_COLUMNS],
            [[run["run"], *_cells(_sample_row(run), PAGE_COLUMNS)] for run in sample["runs"]],
        ),
        "## Home Depot: an unseen shop",
        f"All {unseen['pairs']:,} judged pairs of {unseen['queries']:,} queries. No model was "
        "trained on this shop. The judged lists are short, so nDCG@10 is high in any order:",
        table(
            ["order by", *next(iter(unseen["rows"].values()))],
            [[name, *row.values()] for name, row in unseen["rows"].items()],
        ),
        "Retrieval from all its titles, without reranking:",
        table(
            ["retrieval", *_depths(unseen["recall"])],
            [
                [row["retrieval"], *(row[name] for name in _depths([row]))]
                for row in unseen["recall"]
                if not row["vectors"].startswith("int8")  # the same, to three decimals
            ],
        ),
        "## Latency and size",
        f"Median milliseconds on one thread. All models together take "
        f"{sum(megabytes.values()):.0f} MB:",
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
        "## The measures",
        "- **AUC**: the chance that a relevant pair (of the rating named or more) scores above "
        "another pair.\n"
        "- **RR@10**: 1 / rank of the first relevant product, 0 if it is not in the first ten.\n"
        "- **R@100**: share of the relevant products that are in the first 100.\n"
        "- **Judged@10**: share of the first ten products that were judged. nDCG@10 counts the "
        "others as irrelevant.\n"
        "- **95 %**: confidence interval of nDCG@10, by drawing queries anew (bootstrap).\n"
        "- **left out**: nDCG@10 without unjudged products.\n"
        "- **bounds**: all that nDCG@10 can become once the first ten of the orders in the table "
        "are judged, where no product is better than the query's best judged one "
        "([evaluate.md](evaluate.md)).",
        "`experiments/figures.sh` measures all of this again and writes `results/` and these "
        "tables.",
    ]
    return "\n\n".join(parts)


def _cells(row: dict[str, float], names: Sequence[str]) -> list[Any]:
    """The cells of the columns `names` in a row of `experiments.whole_catalog`."""
    made = {
        "95 %": f"{row['nDCG@10, 95 % low']:.2f} to {row['nDCG@10, 95 % high']:.2f}",
        "left out": row["nDCG@10, unjudged left out"],
        "bounds": f"{row['nDCG@10, at least']:.3f} to {row['nDCG@10, at most']:.3f}",
    }
    return [made.get(name, row.get(name)) for name in names]


def _sample_row(run: dict[str, Any]) -> dict[str, float]:
    """A run of `qtr evaluate --json` in the names of `experiments.whole_catalog`."""
    measures: dict[str, float] = run["measures"]
    page, (low, high) = run["first_page"], run["intervals"]["nDCG@10"]
    return measures | {
        "nDCG@10, 95 % low": low,
        "nDCG@10, 95 % high": high,
        "nDCG@10, unjudged left out": page["condensed"],
        "nDCG@10, at least": page["lower"],
        "nDCG@10, at most": page["upper"],
    }


def _queries(rows: dict[str, dict[str, float]]) -> int:
    return int(next(iter(rows.values()))["queries"])


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
        "Milliseconds per pair, beside cross-encoders of known shapes in ONNX Runtime, and how "
        "many times longer BERT-Base and TinyBERT-4L-312 take. The BERT2DNN paper claims 150 and "
        "15 times; the BertBiLSTM paper claims 0.2 ms per pair. A cross-encoder cannot store "
        "titles, so stored titles are compared with its 100 pairs from text:",
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
    names = ["nDCG@10", "Judged@10", "left out", "bounds", "R@100"]
    return table(
        ["cascade (prior)", "shop, nDCG@10", "shop, R@100", *(f"Icecat, {one}" for one in names)],
        [
            [name, row["nDCG@10"], row["R@100"], *_cells(icecat[name], names)]
            for name, row in shop.items()
        ],
    )


def two_ways_table(results: Path = ROOT / "results") -> str:
    """Markdown of docs/opensearch.md's table: reranking inside OpenSearch and in front of it."""
    report = json.loads((results / "two-ways.json").read_text(encoding="utf-8"))
    shown = {
        "nDCG@10": "nDCG@10",
        "Judged@10": "Judged@10",
        "ms, median": "ms",
    }
    catalogs = {"shop": "sample shop", "icecat": "Icecat"}
    header = [f"{name}: {label}" for name in catalogs.values() for label in shown.values()]
    rows = [
        [way, *(_figure(report[key][way][measure]) for key in catalogs for measure in shown)]
        for way in report["shop"]
    ]
    return table(["", *header], rows) + (
        "\n\nA page of 10 hits, one client, the sample shop's 100 judged queries and those of "
        "Icecat's development queries that have something relevant, on two cores: "
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


def judging_table(results: Path = ROOT / "results") -> str:
    """Markdown of docs/judging.md's table: pairs until a comparison is settled, by order."""
    report = json.loads((results / "judging.json").read_text(encoding="utf-8"))
    samples = report["samples"]
    rows = []
    for one in report["comparisons"]:
        first, second = one["runs"]
        pairs = one["pairs until settled"]
        likely = one["pairs until likely settled, drawn"]
        rows.append(
            [
                f"{second} less {first}",
                f"{one['difference, all queries']:+.3f}",
                f"{one['unjudged pairs']:.0f}",
                f"{likely['median']:.0f} (at most {likely['most']})",
                f"{one['samples likely settled by 180 pairs']} of {samples}",
                f"{one['samples likely settled wrongly']}",
                *(f"{pairs[order]:.0f}" for order in ("drawn", "useful", "random")),
            ]
        )
    header = ["comparison", "nDCG@10", "unjudged", "likely", "likely within 180", "wrong"]
    return table([*header, "settled, drawn", "settled, useful", "settled, random"], rows)


def guidelines() -> str:
    """`qtr judge`'s guidelines, with headings that fit into a page."""
    return GUIDELINES.replace("# ", "### ").strip()


def between_marks(text: str, mark: str) -> str:
    """The part of a page between its two markers of that name."""
    return text.partition(f"<!-- {mark}: experiments/tables.py -->")[2].partition(
        f"<!-- end of {mark} -->"
    )[0]


def main() -> None:
    for path, mark, text in (
        ("README.md", "models", decision_table()),
        ("docs/figures.md", "figures", figures()),
        ("results/README.md", "figures", cascades()),
        ("docs/opensearch.md", "two ways", two_ways_table()),
        ("docs/production.md", "load", load_table()),
        ("docs/judging.md", "judging", judging_table()),
        ("docs/judging.md", "guidelines", guidelines()),
    ):
        page = (ROOT / path).read_text(encoding="utf-8")
        begins, ends = f"<!-- {mark}: experiments/tables.py -->", f"<!-- end of {mark} -->"
        before, _, rest = page.partition(begins)
        after = rest.partition(ends)[2]
        (ROOT / path).write_text(f"{before}{begins}\n\n{text}\n\n{ends}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
