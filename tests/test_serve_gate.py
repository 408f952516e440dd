"""The gate before the models: order, limits, deadlines, what is scored together, and that no slot
and no answer is ever lost.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from qtr_rerank.errors import ScoringError
from qtr_rerank.rerank.reranker import Request
from qtr_rerank.serve.faults import RequestFaultError
from qtr_rerank.serve.gate import Gate, Job, Logits


class Scoring:
    """Logits that tell whose they are. While it is `closed`, scoring goes on and on."""

    def __init__(self) -> None:
        self.runs: list[list[str]] = []
        self.opened = threading.Event()
        self.opened.set()

    def __call__(self, model: str, requests: Sequence[Request], deadline: float) -> list[Logits]:
        self.runs.append([request.query for request in requests])
        assert self.opened.wait(60)
        if any("poison" in request.titles for request in requests):
            raise ScoringError("poisoned")
        return [
            np.full(len(request.titles), float(request.query), np.float32) for request in requests
        ]


def _job(
    query: float, size: int = 1, model: str = "m", seconds: float = 60.0, title: str = "t"
) -> Job:
    return Job(model, Request(str(query), [title] * size), time.perf_counter() + seconds)


class Crowd:
    """A gate whose slot is taken, and jobs that come one after the other and wait."""

    def __init__(self, queue: int = 100, batch: int = 1) -> None:
        self.scoring = Scoring()
        self.gate = Gate(self.scoring, concurrency=1, queue=queue, batch=batch)
        self._pool = ThreadPoolExecutor(queue + 1)
        self.scoring.opened.clear()
        self.comes(_job(-1))

    def comes(self, job: Job) -> Future[None]:
        inside = self.gate.inside
        done = self._pool.submit(self.gate.run, job)
        deadline = time.perf_counter() + 60
        while self.gate.inside <= inside and not done.done():
            assert time.perf_counter() < deadline
            time.sleep(0.001)
        return done

    def lets_go(self) -> list[list[str]]:
        """Which queries each run scored, the first one's left out."""
        self.scoring.opened.set()
        self._pool.shutdown()
        assert self.gate.inside == 0
        return self.scoring.runs[1:]


def _filled(job: Job) -> bool:
    wanted = np.full(len(job.request.titles), float(job.request.query), np.float32)
    return job.logits is not None and np.array_equal(job.logits, wanted)


def test_who_waits_goes_in_the_order_of_coming() -> None:
    crowd = Crowd()
    # Longer than a lock can wait for, too.
    jobs = [_job(number, seconds=1e30 if number % 2 else 60) for number in range(20)]
    for job in jobs:
        crowd.comes(job)
    assert crowd.lets_go() == [[str(number)] for number in range(20)]
    assert all(map(_filled, jobs))


def test_what_waits_is_scored_together_as_far_as_it_fits() -> None:
    crowd = Crowd(batch=100)
    sizes = [10, 60, 50, 30, 0, 200, 1]
    jobs = [_job(number, size) for number, size in enumerate(sizes)]
    for job in jobs:
        crowd.comes(job)
    # The first takes along what fits beside it, the large one goes by itself.
    assert crowd.lets_go() == [["0", "1", "3", "4"], ["2", "6"], ["5"]]
    assert all(map(_filled, jobs))


def test_only_requests_to_one_model_are_scored_together() -> None:
    crowd = Crowd(batch=100)
    jobs = [_job(number, model="ab"[number % 2]) for number in range(6)]
    for job in jobs:
        crowd.comes(job)
    assert crowd.lets_go() == [["0", "2", "4"], ["1", "3", "5"]]
    assert all(map(_filled, jobs))


def test_a_failure_is_told_to_the_request_that_causes_it_alone() -> None:
    crowd = Crowd(batch=100)
    jobs = [_job(number, title="poison" if number == 2 else "fine") for number in range(5)]
    told = [crowd.comes(job) for job in jobs]
    crowd.lets_go()
    assert [type(one.exception()) for one in told].count(ScoringError) == 1
    assert isinstance(told[2].exception(), ScoringError)
    assert [_filled(job) for job in jobs] == [True, True, False, True, True]


def test_past_its_deadline_a_request_goes_on_without_logits() -> None:
    crowd = Crowd(batch=100)
    late = _job(1, seconds=0.01)
    crowd.comes(late).result(60)
    assert (late.logits, late.begun) == (None, None)
    assert crowd.lets_go() == []


def test_too_many_are_refused_at_once() -> None:
    crowd = Crowd(queue=1)
    crowd.comes(_job(1))
    with pytest.raises(RequestFaultError, match="2 requests are being answered") as refused:
        crowd.gate.run(_job(2))
    assert refused.value.retry_after == 1
    assert crowd.lets_go() == [["1"]]


@pytest.mark.parametrize("batch", [1, 8])
def test_no_slot_and_no_answer_is_lost_where_many_run_out_of_time(batch: int) -> None:
    lock, now, most = threading.Lock(), 0, 0
    all_three = threading.Barrier(3)

    def score(model: str, requests: Sequence[Request], deadline: float) -> list[Logits]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        if model == "meeting":
            all_three.wait(60)
        time.sleep(0.0005)
        with lock:
            now -= 1
        return Scoring()(model, requests, deadline)

    gate = Gate(score, concurrency=3, queue=100, batch=batch)

    def come(number: int) -> Job:
        job = _job(number, size=number % 5, seconds=math.inf if number % 3 else 0.004)
        gate.run(job)
        return job

    with ThreadPoolExecutor(40) as pool:
        jobs = list(pool.map(come, range(1_500)))
        # All three slots are free again.
        meeting = [_job(1, model="meeting") for _ in range(3)]
        list(pool.map(gate.run, meeting))
    assert gate.inside == 0
    assert most == 3
    assert all(map(_filled, meeting))
    patient = [job for job in jobs if job.deadline == math.inf]
    assert len(patient) == 1_000
    assert all(map(_filled, patient))
    assert all(job.logits is None or _filled(job) for job in jobs)
