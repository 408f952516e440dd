"""Training in torch: what the teachers' loop and the students' loop share.

Batches of similar length, one optimizer step, and a checkpoint to resume from. The loops are in
`teacher/training_loop.py` (steps) and `students/distill.py` (epochs).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qtr_rerank.atomic import replacing
from qtr_rerank.errors import DataError, TrainingError

log = logging.getLogger(__name__)
_MAX_GRADIENT_NORM = 1.0

Batch = NDArray[np.int64]
"""Row numbers of the texts or pairs that one step reads."""


def similar_length_batches(
    lengths: NDArray[np.int64], size: int, pool: int, rng: np.random.Generator
) -> list[Batch]:
    """One epoch: every row once, in random batches of rows of similar length.

    Rows for `pool` batches are drawn together, sorted by length, then cut into batches. A larger
    pool wastes less time on padding, a smaller one mixes lengths better.
    """
    batches: list[Batch] = []
    shuffled = rng.permutation(len(lengths))
    for start in range(0, len(shuffled), size * pool):
        rows = shuffled[start : start + size * pool]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[at : at + size] for at in range(0, len(rows), size)]
    return [batches[number] for number in rng.permutation(len(batches))]


def take_step(
    loss: Tensor,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    where: str,
) -> float:
    """Backpropagate `loss`, clip the gradient and update the weights; returns the loss.

    Raises TrainingError if the loss is not finite; `where` says in which step or epoch.
    """
    value = float(loss.detach())
    if not np.isfinite(value):
        raise TrainingError(f"the loss became {value} {where}; lower the learning rate")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), _MAX_GRADIENT_NORM)
    optimizer.step()
    schedule.step()
    return value


class Checkpoint:
    """The state of a training run in one file. A resumed run ends where it would have ended.

    `made_with` (JSON values) identifies the run. `parts` are the model, the optimizer and the
    schedule; the state of torch's CPU generator, and of `rng` if given, is kept with them.
    """

    def __init__(
        self,
        path: Path,
        made_with: Mapping[str, Any],
        parts: Mapping[str, Any],
        rng: np.random.Generator | None = None,
    ) -> None:
        self._path, self._made_with = path, json.dumps(made_with, sort_keys=True)
        self._parts, self._rng = dict(parts), rng

    def save(self, progress: Mapping[str, Any]) -> None:
        """Replace the checkpoint; `progress` (numbers, texts, tensors) comes back from `resume`."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts.items()}
        state |= {"made_with": self._made_with, "progress": dict(progress)}
        state["torch_rng"] = torch.get_rng_state()
        if self._rng is not None:
            state["numpy_rng"] = json.dumps(self._rng.bit_generator.state)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as unfinished:
            torch.save(state, unfinished)

    def resume(self) -> dict[str, Any] | None:
        """Restore all parts and return the `progress` that was saved; None without a checkpoint.

        Raises DataError if the checkpoint is of another run.
        """
        if not self._path.is_file():
            return None
        # To the CPU: `load_state_dict` moves everything to where the model is.
        state = torch.load(self._path, weights_only=True, map_location="cpu")
        if state.get("made_with") != self._made_with:
            raise DataError(
                f"{self._path} is from a run with other settings or pairs; "
                "give the same ones, or remove the folder to start again"
            )
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["torch_rng"])
        if self._rng is not None:
            self._rng.bit_generator.state = json.loads(state["numpy_rng"])
        progress: dict[str, Any] = state["progress"]
        return progress

    def finish(self) -> None:
        """Delete the checkpoint: the results of the run have been written."""
        self._path.unlink(missing_ok=True)
