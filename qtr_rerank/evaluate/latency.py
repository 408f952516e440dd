"""Measure: what a student costs, in milliseconds, on titles of a shop's usual length."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qtr_rerank.data.sample import sample_catalog
from qtr_rerank.runtime.scorer import Scorer

QUERY = "wireless headphones black"


@dataclass(frozen=True, slots=True)
class Milliseconds:
    """Of one call, over many calls."""

    median: float
    p95: float
    calls: int


@dataclass(frozen=True, slots=True)
class Latency:
    """One model's times, by what was asked of it."""

    model: str
    threads: int
    milliseconds: dict[str, Milliseconds]
    titles_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def measure_latency(name_or_folder: str, *, threads: int = 1, seconds: float = 1.0) -> Latency:
    """Time a model on titles of the sample catalog.

    From text: tokenising, encoding and scoring, 1 and 100 pairs of one query. Stored: scoring
    1,000 titles whose features lie in memory, as in an index, the query read each time. Query: the
    encoding of a query alone.
    """
    scorer = Scorer.load(name_or_folder, threads)
    titles = [product.title for product in sample_catalog()][::3][:1000]
    stored = scorer.encode_titles(titles)
    jobs: dict[str, Callable[[], object]] = {
        "1 pair from text": lambda: scorer.score_texts(QUERY, titles[:1]),
        "100 pairs from text": lambda: scorer.score_texts(QUERY, titles[:100]),
        "1,000 stored": lambda: scorer.score(scorer.encode_queries([QUERY]), stored),
        "query alone": lambda: scorer.encode_queries([QUERY]),
    }
    times = {name: _time(job, seconds) for name, job in jobs.items()}
    encoding = _time(lambda: scorer.encode_titles(titles), seconds)
    return Latency(scorer.name, threads, times, 1000.0 * len(titles) / encoding.median)


def _time(job: Callable[[], object], seconds: float) -> Milliseconds:
    # The first calls allocate and fill caches; nobody waits for them twice.
    for _ in range(3):
        job()
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while not taken or time.perf_counter() < until:
        started = time.perf_counter()
        job()
        taken.append((time.perf_counter() - started) * 1000.0)
    median, p95 = np.percentile(taken, [50, 95])
    return Milliseconds(round(float(median), 4), round(float(p95), 4), len(taken))
