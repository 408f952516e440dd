"""Latency of a model in milliseconds, on titles of the sample catalog (`qtr bench`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qtr_rerank.data.sample import sample_catalog
from qtr_rerank.runtime.scorer import Scorer

QUERY = "wireless headphones black"
ONE, HUNDRED, STORED = "1 pair from text", "100 pairs from text", "1,000 stored"
PAIRS = {ONE: 1, HUNDRED: 100, STORED: 1000}
"""Pairs that one call scores, by workload; workloads that are not named here score none."""

_WARM_UP_CALLS, _LEAST_CALLS = 3, 3


@dataclass(frozen=True, slots=True)
class Milliseconds:
    """Milliseconds of one call: median and 95th percentile over `calls` calls."""

    median: float
    p95: float
    calls: int


@dataclass(frozen=True, slots=True)
class Latency:
    """One model's times by workload (`1 pair from text`, ...)."""

    model: str
    threads: int
    milliseconds: dict[str, Milliseconds]
    titles_per_second: float | None
    """None for a model that cannot read titles alone."""

    @property
    def per_pair(self) -> dict[str, float]:
        """Median milliseconds per pair, for the workloads that score pairs."""
        return {
            name: time.median / PAIRS[name]
            for name, time in self.milliseconds.items()
            if name in PAIRS
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def speedups(latency: Latency, base: Latency) -> dict[str, float]:
    """Speedup per pair against `base`, by workload.

    A workload that `base` does not have (scoring stored titles) is compared with its 100 pairs
    from text.
    """
    return {
        name: base.per_pair.get(name, base.per_pair[HUNDRED]) / each
        for name, each in latency.per_pair.items()
    }


def measure_latency(name_or_folder: str, *, threads: int = 1, seconds: float = 1.0) -> Latency:
    """Time a student on titles of the sample catalog.

    From text: tokenise, encode and score 1 or 100 pairs of one query. Stored: encode the query and
    score 1,000 titles whose features are in memory, as in an index. Query alone: encode a query.
    """
    scorer = Scorer.load(name_or_folder, threads)
    titles = _titles()
    stored = scorer.encode_titles(titles)
    times = _time_from_text(scorer.score_texts, titles, seconds)
    times[STORED] = _time(lambda: scorer.score(scorer.encode_queries([QUERY]), stored), seconds)
    times["query alone"] = _time(lambda: scorer.encode_queries([QUERY]), seconds)
    encoding = _time(lambda: scorer.encode_titles(titles), seconds)
    return Latency(scorer.name, threads, times, 1000.0 * len(titles) / encoding.median)


def measure_cross_encoder(
    name: str,
    score_texts: Callable[[str, Sequence[str]], object],
    *,
    threads: int = 1,
    seconds: float = 1.0,
) -> Latency:
    """Time a cross-encoder, which can store nothing, on the same texts as `measure_latency`.

    It must have been loaded for `threads`.
    """
    return Latency(name, threads, _time_from_text(score_texts, _titles(), seconds), None)


def _titles() -> list[str]:
    return [product.title for product in sample_catalog()][::3][: PAIRS[STORED]]


def _time_from_text(
    score_texts: Callable[[str, Sequence[str]], object], titles: Sequence[str], seconds: float
) -> dict[str, Milliseconds]:
    return {
        ONE: _time(lambda: score_texts(QUERY, titles[:1]), seconds),
        HUNDRED: _time(lambda: score_texts(QUERY, titles[: PAIRS[HUNDRED]]), seconds),
    }


def _time(job: Callable[[], object], seconds: float) -> Milliseconds:
    # The first calls allocate memory and fill caches, so they are not counted. Where one call of a
    # large model takes longer than `seconds`, one warm-up call and three counted calls remain.
    until = time.perf_counter() + seconds
    for _ in range(_WARM_UP_CALLS):
        job()
        if time.perf_counter() > until:
            break
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while len(taken) < _LEAST_CALLS or time.perf_counter() < until:
        started = time.perf_counter()
        job()
        taken.append((time.perf_counter() - started) * 1000.0)
    median, p95 = np.percentile(taken, [50, 95])
    return Milliseconds(round(float(median), 4), round(float(p95), 4), len(taken))
