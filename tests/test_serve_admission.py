"""The admission queue: order, limits, deadlines, and that no slot is ever lost."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from qtr_rerank.serve.admission import AdmissionQueue
from qtr_rerank.serve.request_errors import RequestError


def _in(seconds: float) -> float:
    return time.perf_counter() + seconds


class Crowd:
    """A queue whose only slot is held, and requests that arrive one after the other and wait."""

    def __init__(self, queue: int = 100) -> None:
        self.queue = AdmissionQueue(concurrency=1, queue=queue)
        self.admitted: list[str] = []
        self._pool = ThreadPoolExecutor(queue + 1)
        self._released = threading.Event()
        self.arrive("first", _in(60))

    def arrive(self, name: str, deadline: float) -> Future[bool]:
        in_flight = self.queue.in_flight
        done = self._pool.submit(self._request, name, deadline)
        give_up = _in(60)
        while self.queue.in_flight <= in_flight and not done.done():
            assert time.perf_counter() < give_up
            time.sleep(0.001)
        return done

    def release(self) -> list[str]:
        """Let all go; who was admitted, in this order, without the first."""
        self._released.set()
        self._pool.shutdown()
        assert self.queue.in_flight == 0
        return self.admitted[1:]

    def _request(self, name: str, deadline: float) -> bool:
        with self.queue.admitted(deadline) as admitted:
            if admitted:
                self.admitted.append(name)
                assert self._released.wait(60)
            return admitted


@contextmanager
def _held(queue: AdmissionQueue) -> Iterator[None]:
    with queue.admitted(math.inf) as admitted:
        assert admitted
        yield


def test_queue_is_first_in_first_out() -> None:
    crowd = Crowd()
    for number in range(20):
        # A lock cannot wait for 1e30 seconds.
        crowd.arrive(str(number), _in(1e30 if number % 2 else 60))
    assert crowd.release() == [str(number) for number in range(20)]


def test_request_past_its_deadline_is_not_admitted_and_leaves_the_queue() -> None:
    crowd = Crowd()
    late = crowd.arrive("late", _in(0.01))
    assert late.result(60) is False
    crowd.arrive("patient", _in(60))
    assert crowd.release() == ["patient"]


def test_full_queue_refuses_at_once_and_says_when_to_try_again() -> None:
    crowd = Crowd(queue=1)
    crowd.arrive("waiting", _in(60))
    with (
        pytest.raises(RequestError, match="2 requests are in flight already") as refused,
        crowd.queue.admitted(_in(60)),
    ):
        pass
    assert refused.value.status == 429
    assert refused.value.retry_after == 1
    assert crowd.release() == ["waiting"]


def test_failing_request_gives_its_slot_back() -> None:
    queue = AdmissionQueue(concurrency=1, queue=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), _held(queue):
            raise ZeroDivisionError
    with _held(queue):
        assert queue.in_flight == 1


def test_no_slot_is_lost_when_many_requests_run_out_of_time() -> None:
    queue = AdmissionQueue(concurrency=3, queue=100)
    lock, now, most = threading.Lock(), 0, 0

    def request(number: int) -> bool:
        nonlocal now, most
        with queue.admitted(math.inf if number % 3 else _in(0.004)) as admitted:
            if admitted:
                with lock:
                    now += 1
                    most = max(most, now)
                time.sleep(0.0005)
                with lock:
                    now -= 1
            return admitted

    with ThreadPoolExecutor(40) as pool:
        admitted = list(pool.map(request, range(1_500)))
    assert queue.in_flight == 0
    assert most == 3
    assert all(admitted[number] for number in range(1_500) if number % 3)
    # All three slots are free again.
    with _held(queue), _held(queue), _held(queue):
        assert queue.in_flight == 3
