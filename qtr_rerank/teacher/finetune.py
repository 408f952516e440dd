"""Labelled pairs -> teacher: fine-tune an encoder as a pointwise cross-encoder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from qtr_rerank.atomic import write_json
from qtr_rerank.data.training_pairs import common_template
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.teacher.encoders import (
    autocast,
    device,
    length_buckets,
    load_cross_encoder,
    load_tokenizer,
)
from qtr_rerank.teacher.labelled_pairs import (
    LabelledPairs,
    hold_out,
    join,
    read_labelled_pairs,
)
from qtr_rerank.teacher.training_loop import Training
from qtr_rerank.torch_training import Batch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """How a teacher is fine-tuned.

    An epoch reads up to `weak_pairs` weakly labelled pairs once and every judged pair
    `gold_repeats` times. Early stopping: `dev_share` of the judged queries are held out (unless
    `finetune` gets `dev` pairs) and evaluated `checks_per_epoch` times. The best weights are kept,
    and training ends after `patience` evaluations without a better one.
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


def finetune(
    weak: Path | None,
    gold: Sequence[Path],
    out: Path,
    settings: FinetuneSettings,
    dev: Path | None = None,
) -> Path:
    """Train on weakly labelled (`weak`) and judged (`gold`) pairs; write a model folder to `out`.

    Labels come from the column `label`, or else `rating`; a file's labels outside 0..1 are scaled
    to it by their minimum and maximum. The loss is cross-entropy against the soft label, so the
    logit is the log-odds of relevance. An interrupted run resumes from its last checkpoint (every
    200 steps). Raises DataError without usable pairs, TrainingError if the loss is not finite.
    """
    torch.manual_seed(settings.seed)
    pairs, held_out = _training_pairs(weak, gold, dev, settings)
    reads = common_template(path for path in (weak, *gold, dev) if path is not None)
    tokenizer = load_tokenizer(settings.encoder)
    model = load_cross_encoder(settings.encoder, settings.dropout)
    training = Training(model, pairs.lengths(), settings, out)
    stopping = _EarlyStopping(model, tokenizer, held_out, training, settings) if held_out else None

    def loss_of(rows: Batch) -> Tensor:
        batch = pairs.take(rows)
        logits = cross_encode(model, tokenizer, batch.queries, batch.titles, settings.max_tokens)
        return binary_cross_entropy_with_logits(
            logits, torch.from_numpy(batch.labels).to(logits.device)
        )

    training.run(loss_of, stopping)
    if stopping:
        stopping.restore()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    report = asdict(settings) | (training.notes.get("report", {}) if held_out else {})
    report["reads"] = reads
    write_json(out / "teacher.json", report)
    training.finish()
    return out


def cross_encode(
    model: Any, tokenizer: Any, queries: Sequence[str], titles: Sequence[str], max_tokens: int
) -> Tensor:
    """Logits (pairs,) of one batch, float32."""
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


class _EarlyStopping:
    """Evaluates held-out pairs after certain steps and remembers the best weights.

    Its state is in `training.notes`, so that it survives an interruption.
    """

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
        checks = settings.epochs * settings.checks_per_epoch
        total = len(training.batches)
        self._steps = {max(1, total * (check + 1) // checks) for check in range(checks)}

    def __call__(self, done: int) -> bool:
        """Whether to stop after `done` steps."""
        if done not in self._steps:
            return False
        loss = self._loss()
        notes = self._training.notes
        best = notes.get("best_loss", float("inf"))
        worse = 0 if loss < best else int(notes.get("checks_since_best", 0)) + 1
        notes["checks_since_best"] = worse
        log.info("step %d: held-out loss %.4f (best before: %.4f)", done, loss, best)
        if loss < best:
            state = self._model.state_dict()
            notes["best_loss"] = loss
            notes["best"] = {name: value.detach().clone() for name, value in state.items()}
            notes["report"] = {"held_out_loss": loss, "best_step": done}
        return worse >= self._settings.patience

    def restore(self) -> None:
        """Load the best weights into the model."""
        if "best" in self._training.notes:
            self._model.load_state_dict(self._training.notes["best"])

    @torch.no_grad()
    def _loss(self) -> float:
        self._model.eval()
        total = 0.0
        for rows in length_buckets(list(self._pairs.lengths()), 256):
            batch = self._pairs.take(rows)
            logits = cross_encode(
                self._model, self._tokenizer, batch.queries, batch.titles, self._settings.max_tokens
            )
            target = torch.from_numpy(batch.labels).to(logits.device)
            total += float(binary_cross_entropy_with_logits(logits, target, reduction="sum"))
        self._model.train()
        return total / len(self._pairs.labels)


def _training_pairs(
    weak: Path | None, gold: Sequence[Path], dev: Path | None, settings: FinetuneSettings
) -> tuple[LabelledPairs, LabelledPairs | None]:
    """(pairs to train on, held-out pairs)."""
    parts, held_out = [], None
    if weak is not None:
        pairs = read_labelled_pairs(weak)
        chosen = np.random.default_rng(settings.seed).permutation(len(pairs.labels))
        parts.append(pairs.take(np.sort(chosen[: settings.weak_pairs])))
    judged = [read_labelled_pairs(path) for path in gold]
    if dev is not None:
        held_out = read_labelled_pairs(dev)
    elif judged and settings.dev_share:
        judged, held_out = hold_out(judged, settings.dev_share)
    for pairs in judged:
        parts += [pairs] * settings.gold_repeats
    if not parts:
        raise DataError("no pairs to train on; give weakly labelled pairs, judged pairs, or both")
    return join(parts), held_out
