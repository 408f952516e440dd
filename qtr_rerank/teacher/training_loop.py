"""Teacher: the training loop of pre-training and fine-tuning: schedule, log, checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qtr_rerank.torch_training import Batch, Checkpoint, similar_length_batches, take_step

log = logging.getLogger(__name__)
_LENGTH_POOL = 32  # batches
_LOG_EVERY, _SAVE_EVERY = 50, 200  # steps


class LoopSettings(Protocol):
    """The fields of a settings dataclass that the loop uses; all its fields identify the run."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def epochs(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup_share(self) -> float: ...
    @property
    def seed(self) -> int: ...


class Training:
    """AdamW with linear warm-up and decay, and a checkpoint from which `run` resumes.

    `lengths` are those of the texts to train on, (texts,); `run` hands out their row numbers.
    """

    def __init__(
        self, model: Any, lengths: NDArray[np.int64], settings: LoopSettings, out: Path
    ) -> None:
        self.model = model
        rng = np.random.default_rng(settings.seed)
        # Batches of similar length train twice as fast as unsorted ones.
        self.batches = [
            batch
            for _ in range(settings.epochs)
            for batch in similar_length_batches(lengths, settings.batch, _LENGTH_POOL, rng)
        ]
        # Fused: one pass over the weights a step, a tenth of the time on a CPU.
        self._optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, fused=True
        )
        total = len(self.batches)
        warmup = max(1, int(total * settings.warmup_share))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: min((step + 1) / warmup, max(0, total - step) / (total - warmup + 1)),
        )
        out.mkdir(parents=True, exist_ok=True)
        self._checkpoint = Checkpoint(
            out / "checkpoint.pt",
            # Runs on other texts differ, too; their number is a cheap sign of it.
            asdict(settings) | {"texts": len(lengths)},
            {"model": model, "optimizer": self._optimizer, "schedule": self._schedule},
        )
        self.notes: dict[str, Any] = {}
        """Numbers and tensors of the caller, saved in the checkpoint and restored from it."""

    def run(
        self, loss_of: Callable[[Batch], Tensor], after: Callable[[int], bool] | None = None
    ) -> None:
        """Take all remaining steps. `after(steps done)` may evaluate the model; True stops.

        Raises TrainingError if the loss is not finite, DataError if the checkpoint is from a run
        with other settings.
        """
        first = self._resume()
        self.model.train()
        started, losses = time.monotonic(), []
        total, pairs = len(self.batches), 0
        for step in range(first, total):
            loss = loss_of(self.batches[step])
            where = f"at step {step + 1} of {total}"
            losses.append(take_step(loss, self.model, self._optimizer, self._schedule, where))
            pairs += len(self.batches[step])
            done = step + 1
            if done % _LOG_EVERY == 0 or done == total:
                log.info(
                    "step %d of %d, loss %.4f, %.0f texts/s",
                    done,
                    total,
                    float(np.mean(losses[-_LOG_EVERY:])),
                    pairs / (time.monotonic() - started),
                    extra={"progress": (done, total)},
                )
            if after is not None and after(done):
                break
            if done % _SAVE_EVERY == 0:
                self._checkpoint.save({"step": done, "notes": self.notes})

    def finish(self) -> None:
        """Delete the checkpoint: the model has been written."""
        self._checkpoint.finish()

    def _resume(self) -> int:
        progress = self._checkpoint.resume()
        if progress is None:
            return 0
        self.notes = progress["notes"]
        log.info("resuming at step %d", progress["step"])
        return int(progress["step"])
