"""Plug in: how many requests are scored at once, and how many may wait for that."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from qtr_rerank.serve.request_errors import RequestError


class AdmissionQueue:
    """Admits `concurrency` requests at once, first in, first out. `queue` more requests wait;
    others are refused.
    """

    def __init__(self, concurrency: int, queue: int) -> None:
        self._lock = threading.Lock()
        self._free = concurrency
        self._capacity = concurrency + queue
        self._in_flight = 0
        # One lock for each waiting request: a semaphore would let newcomers overtake.
        self._waiting: deque[threading.Lock] = deque()

    @property
    def in_flight(self) -> int:
        """Requests that are being scored or wait."""
        return self._in_flight

    @contextmanager
    def admitted(self, deadline: float) -> Iterator[bool]:
        """Wait for a slot and hold it; False where none is free by `deadline` (`perf_counter`).

        Raises RequestError (429) at once where the queue is full.
        """
        has_slot = self._enter(deadline)
        try:
            yield has_slot
        finally:
            self._leave(has_slot)

    def _enter(self, deadline: float) -> bool:
        with self._lock:
            if self._in_flight >= self._capacity:
                raise RequestError(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"{self._capacity} requests are in flight already; try again later, or start "
                    "the server with a longer --queue",
                    retry_after=1,
                )
            self._in_flight += 1
            if self._free:
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        left = min(max(0.0, deadline - time.perf_counter()), threading.TIMEOUT_MAX)
        if turn.acquire(timeout=left):
            return True
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        # The slot was handed over just as the time ran out.
        return True

    def _leave(self, has_slot: bool) -> None:
        with self._lock:
            self._in_flight -= 1
            if not has_slot:
                return
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
