"""Shows the progress of long commands: log lines in a file, a bar in a terminal.

The library only logs. A log record with `extra={"progress": (done, total)}` moves the bar.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

_WIDTH = 30


class _Bar(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._drawn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Redraw the bar, or print the message on a line of its own."""
        message = record.getMessage()
        done, total = getattr(record, "progress", (0, 0))
        if self._drawn:
            click.echo("\r\x1b[K", nl=False, err=True)
        self._drawn = done < total
        if self._drawn:
            filled = _WIDTH * done // total
            bar = "#" * filled + "-" * (_WIDTH - filled)
            click.echo(f"  [{bar}] {100 * done // total:3d}% {message}", nl=False, err=True)
        else:
            click.echo(message, err=True)


@contextmanager
def shown_progress() -> Iterator[None]:
    """Within the block, print the project's log on stderr as bars and lines, in a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    log, bar = logging.getLogger("qtr_rerank"), _Bar()
    log.addHandler(bar)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(bar)
        log.propagate = True
