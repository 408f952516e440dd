"""`qtr score`: streams a file of pairs and adds a model's scores."""

from __future__ import annotations

from pathlib import Path

import click

# Pairs in a batch: enough to encode repeated texts once, few enough for a small memory.
BATCH = 8192


@click.command()
@click.option("--model", "-m", required=True, help="Model name (see `qtr models`) or folder.")
@click.argument("pairs", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--skip-bad", is_flag=True, help="Skip and count unreadable rows.")
def score(model: str, pairs: Path, out: Path, threads: int, skip_bad: bool) -> None:
    """Add `score` (0..1) and `logit` to the rows of PAIRS, a file with columns `query`, `title`.

    Reads and writes CSV, TSV, JSONL or Parquet, gzipped or not; keeps other columns. Memory use
    does not grow with the file.
    """
    import numpy as np

    from qtr_rerank.data.pairs_to_score import PairReader, PairWriter
    from qtr_rerank.runtime.scorer import Scorer

    scorer = Scorer.load(model, threads)
    reader = PairReader(pairs, on_bad="skip" if skip_bad else "error")
    rows = 0
    with PairWriter(out, reader, added=("score", "logit")) as writer:
        for batch in reader.batches(BATCH):
            logits = scorer.score_pairs(batch.queries, batch.titles)
            scores = scorer.probabilities(logits)
            writer.write(
                batch,
                {
                    # Exactly the digits of a float32.
                    "score": [float(str(value)) for value in scores.astype(np.float32)],
                    "logit": [float(str(value)) for value in logits.astype(np.float32)],
                },
            )
            rows += len(batch)
    left_out = f", {reader.skipped:,} skipped" if reader.skipped else ""
    click.echo(f"{rows:,} pairs scored with {scorer.name}{left_out} -> {out}")
