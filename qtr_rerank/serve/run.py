"""Plug in: the server as a process, waitress in front of the application, until told to end."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from types import FrameType
from typing import Any

from flask import Flask
from waitress import wasyncore  # type: ignore[import-untyped]
from waitress.server import create_server  # type: ignore[import-untyped]

from qtr_rerank.errors import SettingsError
from qtr_rerank.serve.settings import ServeSettings

# Beyond those that score or wait: for /health, /metrics and for refusals.
_SPARE_THREADS = 8
_BACKLOG = 1024
# The longest that the loop sleeps: answers and signals wake it.
_TURN_SECONDS = 1.0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises SettingsError where it cannot be had."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # From here on clients may connect, and wait: the address can be announced.
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        if listener is not None:
            listener.close()
        raise SettingsError(
            f"{host}:{port} cannot be listened on ({getattr(error, 'strerror', None) or error}); "
            "name another with --host and --port"
        ) from error
    return listener


def run(app: Flask, listener: socket.socket, settings: ServeSettings) -> None:
    """Answer until SIGINT or SIGTERM; then no new requests, and those that are there to their end.

    They have the time-out of a request for it, and a second signal ends at once.
    """
    sockets: dict[int, Any] = {}
    server = create_server(
        app,
        map=sockets,
        sockets=[listener],
        threads=settings.concurrency + settings.queue + _SPARE_THREADS,
        connection_limit=1000,
        backlog=_BACKLOG,
        ident="qtr_rerank",
        # The application refuses large bodies, in the shape of the API; this is the last resort.
        max_request_body_size=4 * settings.body_bytes,
        channel_timeout=60,
    )
    stopped = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True
        server.pull_trigger()  # wakes the loop

    # SIGINT, too: a shell that starts a job in the background has it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def turn() -> None:
        wasyncore.loop(timeout=_TURN_SECONDS, use_poll=True, map=sockets, count=1)

    with contextlib.suppress(KeyboardInterrupt):
        while not stopped:
            turn()
        # Closed for newcomers: a balancer sends them elsewhere.
        server.del_channel()
        listener.close()
        until = time.monotonic() + settings.timeout_ms / 1000.0
        while _busy(server) and time.monotonic() < until:
            turn()
    server.task_dispatcher.shutdown(timeout=0)
    server.close()


def _busy(server: Any) -> bool:
    """Whether a request is being read or answered."""
    return any(
        channel.request is not None or channel.requests or channel.total_outbufs_len
        for channel in list(server.active_channels.values())
    )
