"""The gate before the models: how many at once, in which order, and that no slot is ever lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from qtr_rerank.serve.faults import RequestFaultError
from qtr_rerank.serve.gate import Gate


def _soon(seconds: float = 60.0) -> float:
    return time.perf_counter() + seconds


def _until_inside(gate: Gate, count: int) -> None:
    deadline = _soon()
    while gate.inside < count:
        assert time.perf_counter() < deadline
        time.sleep(0.001)


def test_who_waits_goes_in_the_order_of_coming() -> None:
    gate = Gate(concurrency=1, queue=20)
    served: list[int] = []

    def come(number: int) -> None:
        with gate.passed(_soon()) as held:
            assert held
            served.append(number)

    with ThreadPoolExecutor(20) as pool, gate.passed(_soon()):
        for number in range(20):
            pool.submit(come, number)
            _until_inside(gate, number + 2)
    assert served == list(range(20))


def test_a_newcomer_does_not_overtake() -> None:
    gate = Gate(concurrency=1, queue=5)
    served: list[str] = []

    def first() -> None:
        with gate.passed(_soon()):
            served.append("waited")

    waiter = threading.Thread(target=first)
    with gate.passed(_soon()):
        waiter.start()
        _until_inside(gate, 2)
    # The slot is the waiter's from the moment it was left, whether or not it has woken up yet.
    with gate.passed(_soon()):
        served.append("newcomer")
    waiter.join()
    assert served == ["waited", "newcomer"]


def test_past_its_deadline_a_request_goes_on_without_a_slot() -> None:
    gate = Gate(concurrency=1, queue=1)
    with gate.passed(_soon()) as first, gate.passed(_soon(0.01)) as late:
        assert (first, late) == (True, False)
    with gate.passed(_soon()) as again:
        assert again
    assert gate.inside == 0


def test_too_many_are_refused_at_once() -> None:
    gate = Gate(concurrency=1, queue=0)
    refused = pytest.raises(RequestFaultError, match="1 requests are being answered")
    with gate.passed(_soon()), refused, gate.passed(_soon()):
        pytest.fail("a refused request was let in")
    assert gate.inside == 0


def test_no_slot_is_lost_or_made_where_many_run_out_of_time() -> None:
    gate = Gate(concurrency=3, queue=100)
    lock, now, most, outcomes = threading.Lock(), 0, 0, []

    def come(number: int) -> None:
        nonlocal now, most
        with gate.passed(_soon(0.002 * (number % 5))) as held:
            with lock:
                now += held
                most = max(most, now)
            time.sleep(0.001)
            with lock:
                now -= held
                outcomes.append(held)

    with ThreadPoolExecutor(40) as pool:
        for done in [pool.submit(come, number) for number in range(1_000)]:
            done.result()
    assert len(outcomes) == 1_000
    assert 0 < sum(outcomes) < 1_000
    assert most <= 3
    # All three are free again.
    with gate.passed(_soon(0)) as one, gate.passed(_soon(0)) as two, gate.passed(_soon(0)) as three:
        assert (one, two, three) == (True, True, True)
    assert gate.inside == 0
