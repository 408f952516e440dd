"""Plug in: the server as a process, waitress in front of the application, until told to end."""

from __future__ import annotations

import contextlib
import signal
import socket

from flask import Flask
from waitress.server import create_server  # type: ignore[import-untyped]

from qtr_rerank.errors import SettingsError
from qtr_rerank.serve.settings import ServeSettings

# Beyond those that score or wait: for /health, /metrics and for refusals.
_SPARE_THREADS = 8
_BACKLOG = 1024


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
    """Answer until SIGINT or SIGTERM."""
    server = create_server(
        app,
        sockets=[listener],
        threads=settings.concurrency + settings.queue + _SPARE_THREADS,
        connection_limit=1000,
        backlog=_BACKLOG,
        ident="qtr_rerank",
        # The application refuses large bodies, in the shape of the API; this is the last resort.
        max_request_body_size=4 * settings.body_bytes,
        channel_timeout=60,
    )
    # SIGINT, too: a shell that starts a job in the background has it ignored.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
    finally:
        server.close()
