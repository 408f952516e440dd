"""Teacher: what pre-training and fine-tuning share: batches by length, schedule, checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qtr_rerank.atomic import delete_unfinished, replacing
from qtr_rerank.errors import DataError, TrainingError
from qtr_rerank.teacher.encoders import device

log = logging.getLogger(__name__)
# Batches drawn together before they are cut by length: enough for variety, few enough for speed.
_LENGTH_POOL = 32
_LOG_EVERY, _SAVE_EVERY = 50, 200

Batch = NDArray[np.int64]


def random_batches(
    lengths: NDArray[np.int64], size: int, epochs: int, chance: np.random.Generator
) -> list[Batch]:
    """Random batches of similar length: twice as fast as any batch padded to its longest text."""
    batches: list[Batch] = []
    for _ in range(epochs):
        epoch: list[Batch] = []
        shuffled = chance.permutation(len(lengths))
        for start in range(0, len(shuffled), size * _LENGTH_POOL):
            pool = shuffled[start : start + size * _LENGTH_POOL]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            epoch += [pool[at : at + size] for at in range(0, len(pool), size)]
        batches += [epoch[place] for place in chance.permutation(len(epoch))]
    return batches


class Training:
    """AdamW, linear warm-up and decay, and a checkpoint that an interrupted run goes on from."""

    def __init__(
        self,
        model: Any,
        batches: Sequence[Batch],
        learning_rate: float,
        warmup_share: float,
        checkpoint: Path,
        settings: Mapping[str, Any],
    ) -> None:
        self.model, self.batches = model, batches
        self._checkpoint, self._settings = checkpoint, dict(settings)
        # Fused: one pass over the weights a step, a tenth of the time on a CPU.
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True)
        total = len(batches)
        warmup = max(1, int(total * warmup_share))
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: min((step + 1) / warmup, max(0, total - step) / (total - warmup + 1)),
        )
        self.notes: dict[str, Any] = {}
        """What the caller wants to find again after an interruption; numbers and tensors."""

    def run(
        self, loss_of: Callable[[Batch], Tensor], after: Callable[[int], bool] | None = None
    ) -> None:
        """Take every step that is left. `after(steps done)` may look at the model; True stops.

        Raises TrainingError where the loss is no number any more, DataError where the checkpoint
        was left by other settings.
        """
        first = self._resume()
        self.model.train()
        started, recent = time.monotonic(), []
        pairs = 0
        for step in range(first, len(self.batches)):
            loss = loss_of(self.batches[step])
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss.item()} at step {step + 1} of {len(self.batches)}; "
                    "lower the learning rate"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self._optimizer.step()
            self._optimizer.zero_grad()
            self._schedule.step()
            recent.append(float(loss.detach()))
            pairs += len(self.batches[step])
            done = step + 1
            if done % _LOG_EVERY == 0 or done == len(self.batches):
                log.info(
                    "step %d of %d, loss %.4f, %.0f texts/s",
                    done,
                    len(self.batches),
                    float(np.mean(recent[-_LOG_EVERY:])),
                    pairs / (time.monotonic() - started),
                    extra={"progress": (done, len(self.batches))},
                )
            if after is not None and after(done):
                break
            if done % _SAVE_EVERY == 0:
                self._save(done)

    def finish(self) -> None:
        """Drop the checkpoint: what it led to has been written."""
        self._checkpoint.unlink(missing_ok=True)

    def _save(self, step: int) -> None:
        state = {
            "step": step,
            "settings": self._settings,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "notes": self.notes,
        }
        with replacing(self._checkpoint) as unfinished:
            torch.save(state, unfinished)

    def _resume(self) -> int:
        delete_unfinished(self._checkpoint.parent, self._checkpoint.name)
        if not self._checkpoint.is_file():
            return 0
        state = torch.load(self._checkpoint, weights_only=True, map_location=device())
        if state["settings"] != self._settings:
            raise DataError(
                f"{self._checkpoint} was left by a run with other settings; "
                "give the same settings, or remove the folder to start again"
            )
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.notes = state["notes"]
        log.info("going on at step %d", state["step"])
        return int(state["step"])
