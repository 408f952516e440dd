"""Plug in: gunicorn around a WSGI application, one process or several, until a signal ends it."""

from __future__ import annotations

import errno
import math
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.errors import HaltServer  # type: ignore[import-untyped]
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from qtr_rerank.errors import QtrError, SettingsError
from qtr_rerank.serve.request_errors import quoted

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

_BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 60


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free port. Raises SettingsError where that fails."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        if listener is not None:
            listener.close()
        raise SettingsError(_cannot_listen(host, port, error)) from error
    return listener


def _cannot_listen(host: str, port: int, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return f"port {port} on {host} is taken; stop what listens there, or pass --port 0"
    if code == errno.EACCES:
        return f"port {port} needs more rights than this user has; pass a --port from 1024 up"
    reason = getattr(error, "strerror", None) or error
    return f"cannot listen on --host {host} --port {port}: {reason}; try --host 127.0.0.1"


def address_of(host: str, listener: socket.socket) -> str:
    """The URL of a listening socket, with the host as the user named it."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


def serve(
    load: Callable[[], Any],
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    threads: int,
    workers: int = 1,
    grace_seconds: float = 10.0,
    worker_ended: Callable[[int], None] = lambda pid: None,
) -> None:
    """Respond until SIGINT or SIGTERM; takes over `listener`.

    Each worker process calls `load` for its WSGI application, after the fork: threads that the
    application starts would not survive it. `ready` is called once, when the last worker has
    loaded. `worker_ended` is called with the process id of each worker that ends.

    The first signal refuses new connections and gives requests in flight `grace_seconds`; a second
    one ends at once. Workers end with their parent. Raises QtrError where `load` does, and where a
    worker could not start.
    """
    parent = os.getpid()
    booted = multiprocessing.Value("i", 0)
    failures: SimpleQueue[str] = multiprocessing.SimpleQueue()

    def load_or_stop() -> Any:
        try:
            return load()
        except QtrError as error:
            failures.put(str(error))
            # Otherwise gunicorn would start the worker again.
            os.kill(parent, signal.SIGTERM)
            raise SystemExit(0) from error

    def count_booted(_worker: Any) -> None:
        # Ctrl-C reaches the whole group; only the parent decides when workers stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with booted.get_lock():
            booted.value += 1
            last = booted.value == workers
        if last:
            ready()

    options = {
        # gunicorn closes the descriptor, so the socket must not.
        "bind": f"fd://{listener.detach()}",
        "workers": workers,
        "threads": threads,
        "worker_class": _Worker,
        "keepalive": _KEEP_ALIVE_SECONDS,
        # Time for a response to be written, too.
        "graceful_timeout": math.ceil(grace_seconds) + 1,
        "loglevel": "warning",
        "control_socket_disable": True,
        "when_ready": _stop_gracefully_on_both_signals,
        "post_worker_init": count_booted,
        "child_exit": lambda _arbiter, worker: worker_ended(worker.pid),
    }
    try:
        _Application(load_or_stop, options).run()
    except (SystemExit, HaltServer) as end:
        code = end.code if isinstance(end, SystemExit) else 1
        if os.getpid() != parent:
            # A worker is a fork: unwinding further would run the parent's clean-up.
            os._exit(code if isinstance(code, int) else 1)
        if code:
            raise QtrError("a worker could not start; the lines above say why") from end
    if not failures.empty():
        raise QtrError(failures.get())


def _stop_gracefully_on_both_signals(arbiter: Any) -> None:
    """gunicorn stops gracefully on SIGTERM alone, and at once on SIGINT."""
    stops = iter([signal.SIGTERM])

    def stop(_signal: int, frame: FrameType | None) -> None:
        arbiter.signal(next(stops, signal.SIGQUIT), frame)

    # SIGINT, too: a shell ignores it for jobs in the background.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


class _Application(BaseApplication):  # type: ignore[misc]
    """gunicorn's application, configured from Python."""

    def __init__(self, load: Callable[[], Any], options: Mapping[str, Any]) -> None:
        self._load = load
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._load()


class _Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker with threads."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """Close the listening sockets when the worker stops, so that new connections are refused
        while requests in flight are finished.
        """
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                listener.close()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Quote only the beginning of a request that is not HTTP; gunicorn quotes up to 8 kB."""
        if isinstance(exc, ParseException) and str(exc) != quoted(str(exc)):
            util.write_error(client, 400, "Bad Request", quoted(str(exc)))
        else:
            super().handle_error(req, client, addr, exc)
