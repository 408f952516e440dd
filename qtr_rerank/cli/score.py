"""`qtr score`: a model's score for each pair of a file, streamed."""

from __future__ import annotations

from pathlib import Path

import click

# Pairs read at once: enough to share texts between them, little enough for any memory.
BATCH = 8192


@click.command()
@click.option("--model", "-m", required=True, help="Name (see `qtr models`) or folder.")
@click.argument("pairs", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--skip-bad", is_flag=True, help="Leave unreadable rows out, counted, and go on.")
def score(model: str, pairs: Path, out: Path, threads: int, skip_bad: bool) -> None:
    """Add `score` (0..1) and `logit` to the rows of PAIRS, which has `query` and `title`.

    CSV, TSV, JSONL or Parquet, gz or not; other columns are kept. Memory stays bounded.
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
                    # As many digits as a float32 holds, and no more.
                    "score": [float(str(value)) for value in scores.astype(np.float32)],
                    "logit": [float(str(value)) for value in logits.astype(np.float32)],
                },
            )
            rows += len(batch)
    left_out = f", {reader.skipped:,} left out" if reader.skipped else ""
    click.echo(f"{rows:,} pairs scored with {scorer.name}{left_out} -> {out}")
