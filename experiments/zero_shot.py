"""The artifacts in the package on another kind of shop: Home Depot, which none was trained on.

    QTR_DATA_DIR=.../data python -m experiments.zero_shot

Measured on the judged pairs of both sides of the split, since no artifact has seen either. The
mixture of the teacher (qtr_rerank.recipe.general_settings) and the transfer sets were chosen by
looking at these figures, so they are slightly optimistic; no weight was trained on the data. Also
measured: how many relevant products the twin retrieves from the whole catalog. Writes
results/zero-shot.json. `--models DIR` measures other artifacts, such as those of `qtr train` on
this catalog without its judgments.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from experiments.commands import QTR, data_option, open_run
from experiments.homedepot_measures import GAINS, RELEVANT, Judged
from experiments.homedepot_search import Catalog, bm25_scores, recall
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
    help="A folder of artifacts, instead of those in the package.",
)
def main(data: Path, work: Path, out: Path, models: Path) -> None:
    """Measure AUC and nDCG@10 of BM25 and of each artifact, and recall of the twin."""
    pairs = work / "pairs.parquet"
    runner = open_run(work, {"experiment": "zero-shot"})
    QTR.step(runner, pairs, "pairs", "judged", "homedepot", data / "homedepot", "-o", pairs)
    judged = Judged(pairs)
    catalog = Catalog(data, work)
    scores: dict[str, NDArray[np.floating]] = {"BM25, title": bm25_scores(judged, catalog, runner)}
    for name in names_in(models):
        scores[name] = Scorer.load(models / name).score_pairs(judged.queries, judged.titles)
    report = {
        "pairs": len(judged.ids),
        "queries": len(judged.distinct),
        "rows": {
            name: {
                f"AUC(>={RELEVANT})": (figures := judged.measure(values).figures)["auc"],
                "AUC(3)": figures["auc_best"],
                "nDCG@10": figures["ndcg"],
                "nDCG@10, gain relevance - 1": round(judged.ndcg(values, GAINS[1]), 4),
            }
            for name, values in scores.items()
        },
        "recall": recall("twin", models / "twin", judged, catalog, work),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
