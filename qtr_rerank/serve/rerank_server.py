"""Plug in: the rerank server as processes: its settings, its application, gunicorn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from qtr_rerank.serve.metrics import forget_worker, share_between_workers
from qtr_rerank.serve.run import address_of, listen, serve
from qtr_rerank.serve.server_settings import ServerSettings

if TYPE_CHECKING:
    from flask import Flask

# More threads than requests that score or wait: for /health, /metrics and refusals.
_SPARE_THREADS = 8


def run_server(
    settings: ServerSettings, host: str, port: int, announce: Callable[[str], None]
) -> None:
    """Serve until a signal. `announce` gets the address once all workers respond there.

    Raises SettingsError where the port cannot be had, and QtrError where the models cannot be
    loaded.
    """
    listener = listen(host, port)
    address = address_of(host, listener)
    with share_between_workers() if settings.workers > 1 else nullcontext():
        serve(
            lambda: _load(settings),
            listener,
            lambda: announce(address),
            threads=settings.concurrency + settings.queue + _SPARE_THREADS,
            workers=settings.workers,
            grace_seconds=settings.timeout_ms / 1000.0,
            worker_ended=forget_worker,
        )


def _load(settings: ServerSettings) -> Flask:
    # Imported in the worker: the parent stays small, and prometheus_client is imported after
    # `share_between_workers`.
    from qtr_rerank.serve.app import create_app
    from qtr_rerank.serve.logs import log_to_stderr
    from qtr_rerank.serve.service import RerankService

    log_to_stderr()
    service = RerankService.load(settings)
    service.warm()
    return create_app(service)
