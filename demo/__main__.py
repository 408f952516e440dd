"""Page: `python -m demo --index DIR` serves the shop with waitress until it is interrupted."""

from __future__ import annotations

import errno
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click
from waitress.server import create_server  # type: ignore[import-untyped]

from demo import create_app
from qtr_rerank.errors import QtrError

Command = TypeVar("Command", bound=Callable[..., Any])


def listen_options(command: Command) -> Command:
    """--host, --port, --threads."""
    for option in (
        click.option(
            "--threads", default=4, type=click.IntRange(1, 64), help="Requests answered at a time."
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
    # A page with two dozen pictures fills the queue for a moment: that is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # The page says in a sentence what its client says with a trace.
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)
    app = create_app(folder)
    try:
        server = create_server(app, host=host, port=port, threads=threads, ident="qtr_rerank")
    except (OSError, ValueError) as error:
        raise QtrError(_cannot_listen(host, port, error)) from error
    # The socket listens since create_server: whoever reads this line can connect.
    click.echo(f"http://{_shown_host(host)}:{_port(server, port)}")
    server.run()


def main() -> None:
    """Every expected fault is one line on stderr and exit status 1."""
    explained(serve, "python -m demo")


def explained(command: click.Command, name: str) -> None:
    """Run a command; an expected fault is one line, and SIGTERM an orderly end."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        command(prog_name=name)
    except QtrError as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(1)


def _cannot_listen(host: str, port: int, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return f"port {port} on {host} is taken; stop what listens there, or pass --port 0"
    if code == errno.EACCES:
        return f"port {port} needs more rights than this user has; pass a --port from 1024 up"
    return f"cannot listen on --host {host} --port {port}: {error}; try --host 127.0.0.1"


def _port(server: object, asked: int) -> int:
    """The port that was really taken: it differs from the asked one where that is 0."""
    taken = getattr(server, "effective_port", None)
    if taken is None:  # a host name with several addresses listens on each of them
        listening = getattr(server, "effective_listen", ())
        taken = listening[0][1] if listening else asked
    return int(taken)


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
