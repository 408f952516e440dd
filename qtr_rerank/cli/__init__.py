"""The command line `qtr`: one module for each command or group, imported when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from qtr_rerank.errors import QtrError

# Command -> module:attribute of its click command. Imported on use, so `qtr --help` stays quick.
COMMANDS = {
    "bench": "qtr_rerank.cli.bench:bench",
    "data": "qtr_rerank.cli.data:data",
    "distill": "qtr_rerank.cli.distill:distill",
    "evaluate": "qtr_rerank.cli.evaluate:evaluate",
    "export": "qtr_rerank.cli.export:export",
    "index": "qtr_rerank.cli.index:index",
    "judge": "qtr_rerank.cli.judge:judge",
    "models": "qtr_rerank.cli.models:models",
    "opensearch": "qtr_rerank.cli.opensearch:opensearch",
    "pairs": "qtr_rerank.cli.pairs:pairs",
    "sample": "qtr_rerank.cli.data:sample",
    "score": "qtr_rerank.cli.score:score",
    "search": "qtr_rerank.cli.search:search",
    "serve": "qtr_rerank.cli.serve:serve",
    "teacher": "qtr_rerank.cli.teacher:teacher",
    "train": "qtr_rerank.cli.train:train",
}


class LazyGroup(click.Group):
    """A click group that imports a command's module only when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{target} is not a click command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qtr-rerank", prog_name="qtr")
def cli() -> None:
    """Product search on a CPU: index, retrieve, rerank, measure."""


def main() -> None:
    """The console script: every expected error is one line on stderr and exit status 1."""
    try:
        cli(prog_name="qtr")
    except QtrError as error:
        click.echo(f"qtr: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("qtr: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of the output has closed it (`qtr search ... | head`): not an error.
        sys.stderr.close()
        sys.exit(0)
