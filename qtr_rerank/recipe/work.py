"""Recipe: the folder of a run. What a step has left there is not made again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtr_rerank.atomic import write_json
from qtr_rerank.errors import DataError

log = logging.getLogger(__name__)
_IDENTITY, _STEPS = "recipe.json", "steps.json"


@dataclass(frozen=True, slots=True)
class Step:
    """`make` leaves `outcome` behind, a file or a folder."""

    name: str
    outcome: Path
    make: Callable[[], object]


class Work:
    """`DIR/work`: steps in order, each with the seconds that it took."""

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        """Claim `out` for a run. `identity` maps what must be the same to go on with one to its
        value. Raises DataError where `out` is another run's, or no run's.
        """
        self.folder = out / "work"
        mine = json.loads(json.dumps(identity))
        path = self.folder / _IDENTITY
        if path.is_file():
            theirs = json.loads(path.read_text(encoding="utf-8"))
            differing = [name for name in mine if mine[name] != theirs.get(name)]
            if differing:
                raise DataError(
                    f"{out} was begun with other {' and '.join(differing)} (see {path}); "
                    "give the same to go on, or another --out"
                )
        elif out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(f"{out} was not made by 'qtr train' and is not empty; give another")
        else:
            self.folder.mkdir(parents=True)
            write_json(path, mine)
        steps = self.folder / _STEPS
        self.seconds: dict[str, float] = json.loads(steps.read_text()) if steps.is_file() else {}

    def run(self, step: Step, number: int, of: int) -> None:
        """Make the step's outcome, unless it was made to its end before."""
        if step.name in self.seconds and step.outcome.exists():
            log.info("[%d/%d] %s: kept", number, of, step.name)
            return
        log.info("[%d/%d] %s", number, of, step.name)
        started = time.monotonic()
        step.make()
        # Of an interrupted step only the last part is in its seconds.
        self.seconds[step.name] = round(time.monotonic() - started, 1)
        write_json(self.folder / _STEPS, self.seconds)
