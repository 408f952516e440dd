"""Recipe: a resumable sequence of steps. What a finished step has written is not made again.

`qtr train`, its preset and the experiments all run their steps through `StepRunner`.
"""

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
_IDENTITY, _SECONDS = "recipe.json", "steps.json"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run: `make` writes `outcome`, a file or a folder. Names are unique in a run."""

    name: str
    outcome: Path
    make: Callable[[], object]


class StepRunner:
    """Runs steps and keeps, in `folder`, what they write and the seconds that each took.

    A step is skipped if an earlier call finished it and its outcome is still there.
    """

    def __init__(
        self, out: Path, identity: Mapping[str, Any], *, subfolder: str = "", option: str = "--out"
    ) -> None:
        """Start a run in `out`, or continue the one that an earlier call left there.

        `identity` (JSON types) is everything that must be equal for a run to continue. The steps'
        files go to `subfolder` of `out`. Raises DataError if `out` belongs to a run with another
        identity, or holds other files; the message names `option` as the remedy.
        """
        self.folder = out / subfolder
        current = json.loads(json.dumps(identity))
        path = self.folder / _IDENTITY
        if path.is_file():
            earlier = json.loads(path.read_text(encoding="utf-8"))
            names = dict.fromkeys([*current, *earlier])
            differing = [name for name in names if current.get(name) != earlier.get(name)]
            if differing:
                raise DataError(
                    f"{out} was begun with other {' and '.join(differing)} (see {path}); "
                    f"give the same to continue, or another {option}"
                )
        elif out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(
                f"{out} is not empty and holds no earlier run of this command; "
                f"give another {option}"
            )
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, current)
        seconds = self.folder / _SECONDS
        self.seconds: dict[str, float] = (
            json.loads(seconds.read_text(encoding="utf-8")) if seconds.is_file() else {}
        )
        """Step name -> how long it took. For an interrupted step: its last part alone."""

    def run(self, step: Step, position: str = "") -> None:
        """Run the step unless it is finished; the log shows `position` ("[3/9] ") and its name."""
        if step.name in self.seconds and step.outcome.exists():
            log.info("%s%s: kept", position, step.name)
            return
        log.info("%s%s", position, step.name)
        started = time.monotonic()
        step.make()
        self.seconds[step.name] = round(time.monotonic() - started, 1)
        write_json(self.folder / _SECONDS, self.seconds)
