"""The artifacts in the package on another kind of shop: Home Depot, on which nothing was trained.

    QTR_DATA_DIR=.../data python -m experiments.zero_shot

All judged pairs of both sides of the split, since no artifact has seen either. The mixture of the
teacher (experiments/mixture.json) and the transfer sets were chosen by looking at these figures, so
they are a little steered; no weight has seen the data. And what the twin finds in the whole
catalog, of products judged relevant. Writes results/zero-shot.json. With `--models DIR` it measures
others, such as those of `qtr train` on this very catalog without its judgments.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from experiments.homedepot_measures import GAINS, RELEVANT, Judged
from experiments.homedepot_search import Catalog, bm25_scores, recall
from experiments.steps import QTR, data_option
from qtr_rerank.artifact import SHIPPED, names_in
from qtr_rerank.runtime.scorer import Scorer


@click.command()
@data_option("homedepot/")
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/zero-shot"))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("results/zero-shot.json")
)
@click.option(
    "--models",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=SHIPPED,
    help="A folder of artifacts in place of those in the package.",
)
def main(data: Path, work: Path, out: Path, models: Path) -> None:
    """AUC and nDCG@10 of BM25 and of each artifact, and recall of the twin."""
    pairs = work / "pairs.parquet"
    QTR.step(pairs, "pairs", "judged", "homedepot", data / "homedepot", "-o", pairs)
    judged = Judged(pairs)
    catalog = Catalog(data, work)
    orders: dict[str, Any] = {"BM25, title": bm25_scores(judged, catalog, work)}
    for name in names_in(models):
        orders[name] = Scorer.load(models / name).score_pairs(judged.queries, judged.titles)
    report = {
        "pairs": len(judged.ids),
        "queries": len(judged.distinct),
        "rows": {
            name: {
                f"AUC(>={RELEVANT})": (figures := judged.measure(order).figures)["auc"],
                "AUC(3)": figures["auc_best"],
                "nDCG@10": figures["ndcg"],
                "nDCG@10, gain relevance - 1": round(judged.ndcg(order, GAINS[1]), 4),
            }
            for name, order in orders.items()
        },
        "recall": recall("twin", models / "twin", judged, catalog, work),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
