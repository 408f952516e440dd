"""Page: `python -m demo --index DIR` serves the shop with gunicorn until a signal ends it."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

from demo import create_app
from qtr_rerank.errors import QtrError
from qtr_rerank.serve.run import address_of, listen
from qtr_rerank.serve.run import serve as serve_until_signal

Command = TypeVar("Command", bound=Callable[..., Any])


def listen_options(command: Command) -> Command:
    """--host, --port, --threads."""
    for option in (
        click.option(
            "--threads", default=4, type=click.IntRange(1, 64), help="Requests served at once."
        ),
        click.option(
            "--port",
            default=8000,
            type=click.IntRange(0, 65535),
            help="Port to listen on; 0 takes a free one.",
        ),
        click.option("--host", default="127.0.0.1", help="Address to listen on."),
    ):
        command = option(command)
    return command


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--index",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Index folder, as `python -m indexer CATALOG --index DIR` leaves it.",
)
@listen_options
def serve(folder: Path, host: str, port: int, threads: int) -> None:
    """Serve the search page over an index."""
    serve_shop(folder, host, port, threads)


def serve_shop(folder: Path, host: str, port: int, threads: int) -> None:
    """Serve until SIGTERM or Ctrl-C; the address is printed once it can be connected to."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # The page explains a failed search in a sentence; its client logs a traceback.
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)
    listener = listen(host, port)
    address = address_of(host, listener)
    serve_until_signal(
        lambda: create_app(folder), listener, lambda: click.echo(address), threads=threads
    )


def main() -> None:
    """Every expected error is one line on stderr and exit status 1."""
    explained(serve, "python -m demo")


def explained(command: click.Command, name: str, obj: object = None) -> None:
    """Run a command, with `obj` as click's. An expected error is one line, and SIGTERM ends it in
    order.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        command(prog_name=name, obj=obj)
    except QtrError as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(1)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
