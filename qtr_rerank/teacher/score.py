"""Teacher -> students: score pairs with a teacher, shard by shard into Parquet, resumable."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from qtr_rerank.atomic import write_json
from qtr_rerank.data.training_pairs import (
    read_table,
    require_one_template,
    template_of,
    texts,
    with_column,
    write_table,
)
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.teacher.encoders import (
    length_buckets,
    load_cross_encoder,
    load_tokenizer,
)
from qtr_rerank.teacher.finetune import cross_encode
from qtr_rerank.template import DEFAULT_TEMPLATE

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How pairs are scored: pairs per batch and per file, and tokens read of a pair."""

    batch: int = 256
    shard_rows: int = 20_000
    max_tokens: int = 64

    def __post_init__(self) -> None:
        if min(self.batch, self.shard_rows, self.max_tokens) < 1:
            raise SettingsError(
                f"batch={self.batch}, shard_rows={self.shard_rows}, "
                f"max_tokens={self.max_tokens}; expected at least 1 each"
            )


def score_pairs(teacher: Path, pairs: Path, out: Path, settings: ScoreSettings) -> int:
    """Write `pairs` with the column `teacher_logit` as `out/part-*.parquet`; returns the rows.

    A second call resumes after the last finished shard. Raises DataError if `out` holds scores of
    another teacher, other pairs or other settings, or if the teacher was trained on texts of
    another template than the pairs'.
    """
    table = read_table(pairs, ["clean_query", "title"])
    require_one_template({str(teacher): teacher_reads(teacher), str(pairs): template_of(pairs)})
    manifest = {
        "teacher": _checksum(teacher / "model.safetensors"),
        "pairs": _checksum_table(table),
        "shard_rows": settings.shard_rows,
        "max_tokens": settings.max_tokens,
    }
    _check_manifest(out, manifest)
    tokenizer, model = load_tokenizer(str(teacher)), load_cross_encoder(str(teacher)).eval()
    started, done = time.monotonic(), 0
    for number, start in enumerate(range(0, table.num_rows, settings.shard_rows)):
        shard = out / f"part-{number:05d}.parquet"
        if shard.is_file():
            continue
        rows = table.slice(start, settings.shard_rows)
        write_table(
            with_column(rows, "teacher_logit", _logits(model, tokenizer, rows, settings)), shard
        )
        done += rows.num_rows
        log.info(
            "%d of %d pairs, %.0f pairs/s",
            start + rows.num_rows,
            table.num_rows,
            done / (time.monotonic() - started),
            extra={"progress": (start + rows.num_rows, table.num_rows)},
        )
    return int(table.num_rows)


def teacher_reads(teacher: Path) -> str:
    """The template of the texts that a teacher was trained on. Raises DataError without one."""
    path = teacher / "teacher.json"
    if not path.is_file():
        raise DataError(f"{path} is missing; expected a teacher made by 'qtr teacher finetune'")
    reads: str = json.loads(path.read_text(encoding="utf-8")).get("reads", DEFAULT_TEMPLATE)
    return reads


def _logits(
    model: Any, tokenizer: Any, rows: pa.Table, settings: ScoreSettings
) -> NDArray[np.float32]:
    queries, titles = texts(rows, "clean_query"), texts(rows, "title")
    logits = np.zeros(len(queries), dtype=np.float32)
    lengths = [len(q) + len(t) for q, t in zip(queries, titles, strict=True)]
    for chosen in length_buckets(lengths, settings.batch):
        with torch.inference_mode():
            logits[chosen] = (
                cross_encode(
                    model,
                    tokenizer,
                    [queries[i] for i in chosen],
                    [titles[i] for i in chosen],
                    settings.max_tokens,
                )
                .cpu()
                .numpy()
            )
    return logits


def _check_manifest(out: Path, manifest: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / "scores.json"
    if path.is_file() and json.loads(path.read_text()) != manifest:
        raise DataError(
            f"{out} holds scores of another teacher or of other pairs; "
            "give another folder, or remove it"
        )
    write_json(path, manifest)


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{path} is missing; expected a teacher made by 'qtr teacher finetune'")
    with path.open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()


def _checksum_table(table: pa.Table) -> str:
    digest = hashlib.sha256()
    for name in ("clean_query", "title"):
        for text in texts(table, name):
            digest.update(text.encode() + b"\0")
    return digest.hexdigest()
