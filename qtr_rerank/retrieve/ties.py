"""Retrieve: the best `k` of an engine that breaks ties in an order of its own. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Hit = TypeVar("Hit")


def whole_ties(
    fetch: Callable[[int], Sequence[tuple[float, Hit]]], k: int, total: int
) -> Sequence[tuple[float, Hit]]:
    """At least the best `k` of `fetch(limit)` (best first), with no tie cut at the end.

    Which of several equal hits an engine returns at its limit is chance, so the limit grows until
    it falls between two scores; `total` is where growing ends. The caller sorts the ties and cuts.
    """
    limit = min(k, total)
    while True:
        hits = fetch(min(limit + 1, total))
        if limit >= total or len(hits) <= limit or hits[-1][0] < hits[k - 1][0]:
            return hits
        limit *= 2
