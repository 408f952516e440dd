"""Plug in: how many requests are scored at once, and how many may wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from qtr_rerank.serve.faults import RequestFaultError


class Gate:
    """Lets `concurrency` requests through at once; `queue` more wait, others are refused."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self._slots = threading.Semaphore(concurrency)
        self._lock = threading.Lock()
        self._most = concurrency + queue
        self._inside = 0

    @property
    def inside(self) -> int:
        """Requests that are being scored, or wait for it."""
        return self._inside

    @contextmanager
    def passed(self, deadline: float) -> Iterator[bool]:
        """Wait for a slot, and hold it: True; False where `deadline` (perf_counter) came first.

        Raises RequestFaultError (429) at once where too many wait already.
        """
        with self._lock:
            if self._inside >= self._most:
                raise RequestFaultError(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"{self._most} requests are being answered or wait already; try again later, "
                    "or start the server with a longer --queue",
                    retry_after=1,
                )
            self._inside += 1
        try:
            held = self._slots.acquire(timeout=max(0.0, deadline - time.perf_counter()))
            try:
                yield held
            finally:
                if held:
                    self._slots.release()
        finally:
            with self._lock:
                self._inside -= 1
