"""Teacher -> teacher: stacking, where a second teacher learns from the first on far more pairs.

BERT2DNN (arXiv 2010.10442) stacks teachers, but its published code does not. Our reconstruction:
teacher 1 labels a large unlabelled set; teacher 2 trains on these labels, then on judged pairs.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qtr_rerank.data.training_pairs import read_table, with_column, write_table
from qtr_rerank.probability import sigmoid
from qtr_rerank.teacher.finetune import FinetuneSettings, finetune
from qtr_rerank.teacher.score import ScoreSettings, score_pairs

_LABELS, _FIRST = "labels.parquet", "on-labels"


def stack(
    first_teacher: Path,
    pairs: Path,
    gold: Sequence[Path],
    out: Path,
    settings: FinetuneSettings,
    scoring: ScoreSettings,
    dev: Path | None = None,
) -> Path:
    """Train teacher 2 (from `settings.encoder`) for one epoch on teacher 1's labels of `pairs`,
    then on the judged pairs with `settings`; write its folder to `out`. Every part resumes.
    """
    labels = out / _LABELS
    if not labels.is_file():
        shards = out / "scores"
        score_pairs(first_teacher, pairs, shards, scoring)
        table = read_table(shards, ["teacher_logit"])
        logits = table.column("teacher_logit").to_numpy().astype(np.float64)
        write_table(with_column(table, "label", sigmoid(logits)), labels)
        shutil.rmtree(shards)
    on_labels = replace(settings, epochs=1, dropout=0.0)
    if not gold:
        return finetune(labels, [], out, on_labels, dev)
    first = out / _FIRST
    if not (first / "teacher.json").is_file():
        finetune(labels, [], first, on_labels)
    # `gold_repeats` balances judged against weak pairs; here it would only add epochs.
    alone = replace(settings, encoder=str(first), gold_repeats=1)
    return finetune(None, gold, out, alone, dev)
