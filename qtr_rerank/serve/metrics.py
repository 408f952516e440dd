"""Plug in: the server's metrics, for Prometheus.

With several worker processes, each writes its metrics to files of a folder, and `/metrics` of any
worker sums them: prometheus_client's multiprocess mode. That mode is chosen by an environment
variable which prometheus_client reads when it is imported, so `share_between_workers` comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from qtr_rerank.environment import metrics_folder, metrics_folder_set_to

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_DOCUMENTS = (1, 10, 33, 100, 333, 1_000, 3_333, 10_000)


@contextmanager
def share_between_workers() -> Iterator[None]:
    """Sum the metrics of all worker processes that start meanwhile, in a temporary folder."""
    with TemporaryDirectory(prefix="qtr-metrics-") as folder, metrics_folder_set_to(Path(folder)):
        yield


def forget_worker(pid: int) -> None:
    """Drop the in-flight gauge of a worker that ended; its counters stay in the sum."""
    if metrics_folder():
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one worker."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = CollectorRegistry()
        self._requests = Counter(
            "qtr_requests", "Responses.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "qtr_request_seconds",
            "Time from a request's arrival to its response.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._stages = Histogram(
            "qtr_stage_seconds",
            "Time of a rerank request's stages: parse, read, wait (in the queue), score, write.",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._documents = Histogram(
            "qtr_documents",
            "Documents in a rerank request.",
            ["model"],
            buckets=_DOCUMENTS,
            registry=self._registry,
        )
        self._degraded = Counter(
            "qtr_degraded",
            "Responses whose time ran out before all documents were scored.",
            ["model"],
            registry=self._registry,
        )
        self._unknown_ids = Counter(
            "qtr_unknown_ids",
            "Ids that the index does not hold, put last: was it made from another catalog?",
            ["model"],
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "qtr_in_flight_requests",
            "Rerank requests that are being scored or wait.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def response(self, route: str, status: int, seconds: float) -> None:
        """Count a response of any route."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def reranked(
        self,
        model: str,
        documents: int,
        times_ms: Mapping[str, float],
        degraded: bool,
        unknown_ids: int,
    ) -> None:
        """Count a rerank request that succeeded."""
        for stage, milliseconds in times_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000.0)
        self._documents.labels(model).observe(documents)
        if degraded:
            self._degraded.labels(model).inc()
        if unknown_ids:
            self._unknown_ids.labels(model).inc(unknown_ids)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format, summed over the workers."""
        from prometheus_client import generate_latest

        return generate_latest(self._all_workers())

    def _all_workers(self) -> CollectorRegistry:
        if not metrics_folder():
            return self._registry
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        summed = CollectorRegistry()
        MultiProcessCollector(summed)  # type: ignore[no-untyped-call]
        return summed
