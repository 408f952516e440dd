"""Plug in: how many requests are scored at once, and how many may wait for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from qtr_rerank.serve.faults import RequestFaultError


class Gate:
    """Lets `concurrency` requests through at once, first come first served; `queue` more wait,
    others are refused.
    """

    def __init__(self, concurrency: int, queue: int) -> None:
        self._lock = threading.Lock()
        self._free = concurrency
        self._most = concurrency + queue
        self._inside = 0
        # A semaphore lets newcomers overtake: each that waits has a lock, and is handed the slot.
        self._turns: deque[threading.Lock] = deque()

    @property
    def inside(self) -> int:
        """Requests that are being scored, or wait for it."""
        return self._inside

    @contextmanager
    def passed(self, deadline: float) -> Iterator[bool]:
        """Wait for a slot, and hold it: True; False where `deadline` (perf_counter) came first.

        Raises RequestFaultError (429) at once where too many wait already.
        """
        turn = self._enter()
        held = turn is None or self._waited(turn, deadline)
        try:
            yield held
        finally:
            self._leave(held)

    def _enter(self) -> threading.Lock | None:
        """None where a slot is free; else what to wait for."""
        with self._lock:
            if self._inside >= self._most:
                raise RequestFaultError(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"{self._most} requests are being answered or wait already; try again later, "
                    "or start the server with a longer --queue",
                    retry_after=1,
                )
            self._inside += 1
            if self._free:
                self._free -= 1
                return None
            turn = threading.Lock()
            turn.acquire()
            self._turns.append(turn)
            return turn

    def _waited(self, turn: threading.Lock, deadline: float) -> bool:
        if turn.acquire(timeout=max(0.0, deadline - time.perf_counter())):
            return True
        with self._lock:
            # The slot may have been handed over just as the time ran out.
            if turn not in self._turns:
                return True
            self._turns.remove(turn)
            return False

    def _leave(self, held: bool) -> None:
        with self._lock:
            self._inside -= 1
            if not held:
                return
            if self._turns:
                self._turns.popleft().release()
            else:
                self._free += 1
