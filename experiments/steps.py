"""What the experiments share: options, the claim on a work folder, steps that are not run twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from qtr_rerank.cli import cli
from qtr_rerank.errors import DataError

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Program:
    """A command line, by the name that a user types."""

    name: str
    command: click.Command

    def run(self, *words: object) -> None:
        """Print the command as a user would type it, and run it here."""
        said = [str(word) for word in words]
        click.echo(f"+ {self.name} {' '.join(said)}")
        self.command.main(args=said, standalone_mode=False)

    def step(self, outcome: Path, *words: object) -> None:
        """Run the command, unless its outcome is there."""
        if outcome.exists():
            click.echo(f"kept  {outcome}")
        else:
            self.run(*words)


QTR = Program("qtr", cli)


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


def claim(work: Path, made_with: Mapping[str, Any]) -> None:
    """Note what a work folder is made with, the encoder by its last name alone.

    Raises DataError where it was begun with something else: steps of two runs would be mixed.
    """
    note = work / "settings.json"
    asked = dict(made_with) | {"encoder": Path(made_with["encoder"]).name}
    work.mkdir(parents=True, exist_ok=True)
    if note.is_file() and json.loads(note.read_text(encoding="utf-8")) != asked:
        raise DataError(
            f"{work} was begun with {note.read_text(encoding='utf-8').strip()}, not with "
            f"{json.dumps(asked)}; give another --work, or remove it"
        )
    note.write_text(json.dumps(asked) + "\n", encoding="utf-8")
