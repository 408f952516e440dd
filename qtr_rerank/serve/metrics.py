"""Plug in: what the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TOGETHER = (1, 2, 4, 8, 16, 32)
_DOCUMENTS = (1, 10, 33, 100, 333, 1_000, 3_333, 10_000)


class Metrics:
    """The counters of one server."""

    def __init__(self, inside: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "qtr_requests",
            "Requests answered.",
            ["route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "qtr_request_seconds",
            "From a request's arrival to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.stages = Histogram(
            "qtr_stage_seconds",
            "Parts of a rerank request: parse, wait (for a slot), read, score, write.",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.documents = Histogram(
            "qtr_documents",
            "Documents in a rerank request.",
            ["model"],
            buckets=_DOCUMENTS,
            registry=self._registry,
        )
        self.together = Histogram(
            "qtr_together",
            "Requests that a rerank request was scored in one with, itself counted.",
            buckets=_TOGETHER,
            registry=self._registry,
        )
        self.degraded = Counter(
            "qtr_degraded",
            "Answers whose time ran out before all documents were scored.",
            ["model"],
            registry=self._registry,
        )
        self.unknown_ids = Counter(
            "qtr_unknown_ids",
            "Ids that the index does not hold, put last: is it of another load of the catalog?",
            ["model"],
            registry=self._registry,
        )
        queue = Gauge(
            "qtr_inside",
            "Requests that are being scored or wait for it.",
            registry=self._registry,
        )
        queue.set_function(inside)

    def stage_times(self, times_ms: Mapping[str, float]) -> None:
        """Note the parts of one request."""
        for stage, milliseconds in times_ms.items():
            self.stages.labels(stage).observe(milliseconds / 1000.0)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)
