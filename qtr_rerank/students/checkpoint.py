"""Students: what a training run leaves after each epoch, so that an interrupted one goes on from it
and ends where it would have ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qtr_rerank.atomic import delete_unfinished, replacing
from qtr_rerank.errors import DataError
from qtr_rerank.students.base import Student

log = logging.getLogger(__name__)


class Checkpoint:
    """The state of a run on disk; `made_with` (JSON values) tells runs apart."""

    def __init__(
        self,
        path: Path,
        made_with: Mapping[str, Any],
        student: Student,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        chance: np.random.Generator,
    ) -> None:
        self._path, self._made_with = path, json.dumps(made_with, sort_keys=True)
        self._parts: dict[str, Any] = {
            "student": student,
            "optimizer": optimizer,
            "schedule": schedule,
        }
        self._chance = chance

    def save(self, epochs: int, best: float, best_state: Mapping[str, Any]) -> None:
        """Note everything after so many epochs; all of it, or what stood before."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: part.state_dict() for name, part in self._parts.items()} | {
            "made_with": self._made_with,
            "epochs": epochs,
            "best": best,
            "best_state": dict(best_state),
            "numpy": json.dumps(self._chance.bit_generator.state),
            "torch": torch.get_rng_state(),
        }
        with replacing(self._path) as unfinished:
            torch.save(state, unfinished)

    def resume(self) -> tuple[int, float, Mapping[str, Any]] | None:
        """(epochs done, best loss, its weights), with everything else set back to where it was.

        None where nothing was begun. Raises DataError where another run left it.
        """
        delete_unfinished(self._path.parent, self._path.name)
        if not self._path.is_file():
            return None
        state = torch.load(self._path, weights_only=True)
        if state["made_with"] != self._made_with:
            raise DataError(
                f"{self._path} was left by a run with other settings or pairs; "
                "give the same ones, or remove the folder to start again"
            )
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self._chance.bit_generator.state = json.loads(state["numpy"])
        torch.set_rng_state(state["torch"])
        log.info("going on after epoch %d", state["epochs"])
        return int(state["epochs"]), float(state["best"]), state["best_state"]

    def finish(self) -> None:
        """Drop it: what it led to has been written."""
        self._path.unlink(missing_ok=True)
