"""Plug in: how many requests are scored at once, how many may wait, and what is scored together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.rerank.reranker import Request
from qtr_rerank.serve.faults import RequestFaultError

Logits = NDArray[np.float32]
# Logits of requests to the model of that name, by the deadline of the first: see Gate.
Score = Callable[[str, Sequence[Request], float], Sequence[Logits]]


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(eq=False, slots=True)
class Job:
    """A request on its way: `deadline` and `begun`, when its scoring began, on `perf_counter`.

    `logits` (documents,) are None until it is scored, and where the deadline came first; `together`
    is how many requests were scored in one with it, itself counted.
    """

    model: str
    request: Request
    deadline: float
    logits: Logits | None = None
    begun: float | None = None
    together: int = 0
    _fault: Exception | None = None
    # Opened when there is something to do for the thread that waits: the slot is its own, or done.
    _turn: threading.Lock = field(default_factory=_locked)


class Gate:
    """Lets `concurrency` requests be scored at once, first come first served; `queue` more wait,
    others are refused.

    A request takes along what waits behind it for the same model, as long as all of it comes to
    `batch` documents at most: they are scored as one, in its time. Nothing waits for company.
    `score` gets one request and may stop at its deadline (NaN for what is left), or several.
    """

    def __init__(self, score: Score, concurrency: int, queue: int, batch: int) -> None:
        self._score = score
        self._lock = threading.Lock()
        self._free = concurrency
        self._most = concurrency + queue
        self._batch = batch
        self._inside = 0
        # Locks of their own, since a semaphore lets newcomers overtake.
        self._waiting: deque[Job] = deque()

    @property
    def inside(self) -> int:
        """Requests that are being scored, or wait for it."""
        return self._inside

    def run(self, job: Job) -> None:
        """Have the job scored, by this thread or by that of another request.

        Raises RequestFaultError (429) at once where too many wait already, and what `score` does.
        """
        has_slot = self._enter(job)
        try:
            if has_slot or self._comes_to_lead(job):
                self._lead(job)
        finally:
            with self._lock:
                self._inside -= 1
        if job._fault is not None:
            raise job._fault

    def _enter(self, job: Job) -> bool:
        """Whether a slot was free; else the job waits."""
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
                return True
            self._waiting.append(job)
            return False

    def _comes_to_lead(self, job: Job) -> bool:
        """Wait: True with a slot in hand; False where the job is done already, or out of time."""
        left = min(max(0.0, job.deadline - time.perf_counter()), threading.TIMEOUT_MAX)
        if not job._turn.acquire(timeout=left):
            with self._lock:
                if job in self._waiting:
                    self._waiting.remove(job)
                    return False
            # It is being scored with others, or was handed the slot just now.
            job._turn.acquire()
        return job.begun is None

    def _lead(self, job: Job) -> None:
        company = self._company(job)
        try:
            self._score_together([job, *company])
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft()._turn.release()
                else:
                    self._free += 1
            for other in company:
                other._turn.release()

    def _company(self, job: Job) -> list[Job]:
        now = time.perf_counter()
        left = self._batch - len(job.request.titles)
        company: list[Job] = []
        with self._lock:
            for other in self._waiting:
                size = len(other.request.titles)
                if other.model == job.model and size <= left and other.deadline > now:
                    company.append(other)
                    left -= size
            for other in company:
                self._waiting.remove(other)
        return company

    def _score_together(self, jobs: Sequence[Job]) -> None:
        begun = time.perf_counter()
        for job in jobs:
            job.begun, job.together = begun, len(jobs)
        try:
            requests = [job.request for job in jobs]
            for job, logits in zip(
                jobs, self._score(jobs[0].model, requests, jobs[0].deadline), strict=True
            ):
                job.logits = logits
        except Exception as error:  # noqa: BLE001 (raised again in the thread of each request)
            if len(jobs) == 1:
                jobs[0]._fault = error
                return
            # Each by itself: nobody answers for another's request.
            for job in jobs:
                self._score_together([job])
