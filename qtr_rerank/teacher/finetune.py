"""Pairs -> teacher: fine-tune an encoder as a cross-encoder, pointwise, on labelled pairs."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from qtr_rerank.data.pair_tables import common_reads, read_table, texts
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.teacher.encoders import (
    autocast,
    device,
    length_buckets,
    load_cross_encoder,
    load_tokenizer,
)
from qtr_rerank.teacher.training_loop import Training, random_batches
from qtr_rerank.torch_training import Batch

log = logging.getLogger(__name__)
# With fewer held-out queries the best step would be found by luck.
_LEAST_DEV_QUERIES = 30


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """How a teacher is fine-tuned. `gold_repeats` is how often each judged pair is seen for one
    sight of a label-free pair; `weak_pairs` limits the label-free ones (they are many).

    Early stopping: `dev_share` of the judged queries are held out (unless judged pairs are given
    for it), looked at `checks_per_epoch` times; the best weights are kept, and after `patience`
    looks without a better one training ends.
    """

    encoder: str
    epochs: int = 1
    batch: int = 64
    learning_rate: float = 5e-5
    warmup_share: float = 0.1
    max_tokens: int = 64
    dropout: float = 0.1
    weak_pairs: int = 45_000
    gold_repeats: int = 4
    dev_share: float = 0.05
    checks_per_epoch: int = 2
    patience: int = 3
    seed: int = 7

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.max_tokens, self.checks_per_epoch, self.patience) < 1:
            raise SettingsError(
                f"epochs={self.epochs}, batch={self.batch}, max_tokens={self.max_tokens}, "
                f"checks_per_epoch={self.checks_per_epoch}, patience={self.patience}; "
                "expected at least 1 each"
            )
        if not 0.0 <= self.dropout < 1.0 or not 0.0 <= self.dev_share < 1.0:
            raise SettingsError(
                f"dropout={self.dropout}, dev_share={self.dev_share}; expected from 0 to below 1"
            )


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Texts and labels (0..1), row by row."""

    queries: list[str]
    titles: list[str]
    labels: NDArray[np.float32]

    def lengths(self) -> NDArray[np.int64]:
        """Characters of query and title together, (pairs,)."""
        both = zip(self.queries, self.titles, strict=True)
        return np.array([len(query) + len(title) for query, title in both], dtype=np.int64)

    def take(self, places: NDArray[np.int64]) -> LabelledPairs:
        """Some rows, in the order given."""
        return LabelledPairs(
            [self.queries[i] for i in places],
            [self.titles[i] for i in places],
            self.labels[places],
        )


def finetune(
    weak: Path | None,
    gold: Sequence[Path],
    out: Path,
    settings: FinetuneSettings,
    dev: Path | None = None,
) -> Path:
    """Train on label-free and judged pairs; write a model folder to `out`.

    Labels come from the column `label`, or else `rating`; those of a file that leave 0..1 are
    brought there by its lowest and highest. The loss is cross-entropy against the soft label, so
    that the logit is a log-odds of relevance whatever the source of the label. Checkpoints every
    200 steps; an interrupted run goes on.
    """
    torch.manual_seed(settings.seed)
    pairs, held_out = _training_pairs(weak, gold, dev, settings)
    reads = common_reads(path for path in (weak, *gold, dev) if path is not None)
    tokenizer = load_tokenizer(settings.encoder)
    model = load_cross_encoder(settings.encoder, settings.dropout)
    chance = np.random.default_rng(settings.seed)
    batches = random_batches(pairs.lengths(), settings.batch, settings.epochs, chance)
    out.mkdir(parents=True, exist_ok=True)
    training = Training(
        model,
        batches,
        settings.learning_rate,
        settings.warmup_share,
        out / "checkpoint.pt",
        asdict(settings) | {"pairs": len(pairs.labels)},
    )
    watch = _Watch(model, tokenizer, held_out, training, settings) if held_out else None

    def loss_of(places: Batch) -> Tensor:
        rows = pairs.take(places)
        logits = cross_encode(model, tokenizer, rows.queries, rows.titles, settings.max_tokens)
        return binary_cross_entropy_with_logits(
            logits, torch.from_numpy(rows.labels).to(logits.device)
        )

    training.run(loss_of, watch)
    if watch:
        watch.restore()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    report = asdict(settings) | (training.notes.get("report", {}) if held_out else {})
    report["reads"] = reads
    (out / "teacher.json").write_text(json.dumps(report, indent=2) + "\n")
    training.finish()
    return out


def cross_encode(
    model: Any, tokenizer: Any, queries: Sequence[str], titles: Sequence[str], max_tokens: int
) -> Tensor:
    """Logits (pairs,) of one batch, in float32."""
    inputs = tokenizer(
        list(queries),
        list(titles),
        padding=True,
        truncation=True,
        max_length=max_tokens,
        return_tensors="pt",
    ).to(device())
    with autocast():
        logits: Tensor = model(**inputs).logits
    return logits.squeeze(-1).float()


class _Watch:
    """Early stopping: looks at held-out judged pairs, remembers the best weights."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        pairs: LabelledPairs,
        training: Training,
        settings: FinetuneSettings,
    ) -> None:
        self._model, self._tokenizer, self._pairs = model, tokenizer, pairs
        self._training, self._settings = training, settings
        looks = settings.epochs * settings.checks_per_epoch
        total = len(training.batches)
        self._steps = {max(1, total * (look + 1) // looks) for look in range(looks)}

    def __call__(self, done: int) -> bool:
        if done not in self._steps:
            return False
        loss = self._loss()
        notes = self._training.notes
        best = notes.get("best_loss", float("inf"))
        since = 0 if loss < best else int(notes.get("looks_since", 0)) + 1
        notes["looks_since"] = since
        log.info("after step %d: held-out loss %.4f (best before: %.4f)", done, loss, best)
        if loss < best:
            state = self._model.state_dict()
            notes["best_loss"] = loss
            notes["best"] = {name: value.detach().clone() for name, value in state.items()}
            notes["report"] = {"held_out_loss": loss, "best_step": done}
        return since >= self._settings.patience

    def restore(self) -> None:
        """Back to the best weights seen."""
        if "best" in self._training.notes:
            self._model.load_state_dict(self._training.notes["best"])

    @torch.no_grad()
    def _loss(self) -> float:
        self._model.eval()
        total = 0.0
        for places in length_buckets(list(self._pairs.lengths()), 256):
            rows = self._pairs.take(places)
            logits = cross_encode(
                self._model, self._tokenizer, rows.queries, rows.titles, self._settings.max_tokens
            )
            target = torch.from_numpy(rows.labels).to(logits.device)
            total += float(binary_cross_entropy_with_logits(logits, target, reduction="sum"))
        self._model.train()
        return total / len(self._pairs.labels)


def _training_pairs(
    weak: Path | None, gold: Sequence[Path], dev: Path | None, settings: FinetuneSettings
) -> tuple[LabelledPairs, LabelledPairs | None]:
    parts, held_out = [], None
    if weak is not None:
        pairs = _read(weak)
        chosen = np.random.default_rng(settings.seed).permutation(len(pairs.labels))
        parts.append(pairs.take(np.sort(chosen[: settings.weak_pairs])))
    judged = [_read(path) for path in gold]
    if dev is not None:
        held_out = _read(dev)
    elif judged and settings.dev_share:
        judged, held_out = _hold_out(judged, settings.dev_share)
    for pairs in judged:
        parts += [pairs] * settings.gold_repeats
    if not parts:
        raise DataError("no pairs to train on; give label-free pairs, judged pairs, or both")
    return _joined(parts), held_out


def _hold_out(
    judged: Sequence[LabelledPairs], share: float
) -> tuple[list[LabelledPairs], LabelledPairs | None]:
    """A share of the judged queries, by the query's hash; none where they would be too few."""
    masks = [
        np.array([zlib.crc32(b"dev" + query.encode()) / 2**32 < share for query in pairs.queries])
        for pairs in judged
    ]
    out = _joined(
        [pairs.take(np.flatnonzero(mask)) for pairs, mask in zip(judged, masks, strict=True)]
    )
    if len(set(out.queries)) < _LEAST_DEV_QUERIES:
        log.info("fewer than %d judged queries to hold out: no early stop", _LEAST_DEV_QUERIES)
        return list(judged), None
    kept = [pairs.take(np.flatnonzero(~mask)) for pairs, mask in zip(judged, masks, strict=True)]
    return kept, out


def _read(path: Path) -> LabelledPairs:
    table = read_table(path, ["clean_query", "title"])
    column = next((name for name in ("label", "rating") if name in table.column_names), None)
    if column is None:
        raise DataError(f"{path} has neither 'label' nor 'rating'; it has {table.column_names}")
    labels = table.column(column).to_numpy().astype(np.float32)
    low, high = float(labels.min()), float(labels.max())
    if not np.isfinite(labels).all():
        raise DataError(f"{path}: column {column!r} holds values that are no numbers")
    if low < 0.0 or high > 1.0:
        if high <= low:
            raise DataError(f"{path}: every {column} is {low:g}; expected at least two grades")
        labels = (labels - low) / (high - low)
        log.info("%s: %s %g..%g brought to 0..1", path, column, low, high)
    return LabelledPairs(texts(table, "clean_query"), texts(table, "title"), labels)


def _joined(parts: Sequence[LabelledPairs]) -> LabelledPairs:
    return LabelledPairs(
        [query for part in parts for query in part.queries],
        [title for part in parts for title in part.titles],
        np.concatenate([part.labels for part in parts]),
    )
