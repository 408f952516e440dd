"""The experiments' common parts: options, and steps that are commands, printed and run once.

`StepRunner` (qtr_rerank.recipe.steps) keeps what finished steps wrote, as it does for `qtr train`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from qtr_rerank.cli import cli
from qtr_rerank.recipe.steps import Step, StepRunner

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Program:
    """A command line and the name that a user types for it."""

    name: str
    command: click.Command

    def run(self, *words: object) -> None:
        """Print the command as a user would type it, and run it in this process."""
        arguments = [str(word) for word in words]
        click.echo(f"+ {self.name} {' '.join(arguments)}")
        self.command.main(args=arguments, standalone_mode=False)

    def step(self, runner: StepRunner, outcome: Path, *words: object) -> None:
        """Run the command as a step that writes `outcome`, a path in the runner's folder."""
        step(runner, outcome, lambda: self.run(*words))


QTR = Program("qtr", cli)


def step(runner: StepRunner, outcome: Path, make: Callable[[], object]) -> None:
    """Run a step that is named after its outcome, a path in the runner's folder."""
    runner.run(Step(str(outcome.relative_to(runner.folder)), outcome, make))


def data_option(holds: str) -> Callable[[Command], Command]:
    """--data, or QTR_DATA_DIR: the folder of the data sets."""
    return click.option(
        "--data",
        envvar="QTR_DATA_DIR",
        required=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help=f"Folder that holds {holds}; or set QTR_DATA_DIR.",
    )


encoder_option = click.option(
    "--encoder",
    envvar="ENCODER",
    default="sentence-transformers/all-MiniLM-L6-v2",
    show_default=True,
    help="A Hugging Face id or a local folder; or set ENCODER.",
)


def open_run(work: Path, settings: Mapping[str, Any]) -> StepRunner:
    """The run in the folder `work`. The encoder counts by its last name alone: it may be moved.

    Raises DataError if the folder holds a run with other settings.
    """
    named = dict(settings)
    if "encoder" in named:
        named["encoder"] = Path(named["encoder"]).name
    return StepRunner(work, named, option="--work")
