"""Retrieve: ties in ranked lists, broken in an order that is the same each time. Pure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.retrieve.schema import Matches
from qtr_rerank.runtime.id_table import Positions


def whole_ties(fetch: Callable[[int], Matches], k: int, total: int) -> Matches:
    """At least the best `k` of `fetch(limit)`, with no tie cut at the end.

    An engine picks equal hits at its limit at random, so the limit grows until it falls between
    two scores, or reaches `total`. The caller sorts the ties and cuts.
    """
    limit = min(k, total)
    while True:
        hits = fetch(min(limit + 1, total))
        if limit >= total or len(hits) <= limit or hits.scores[-1] < hits.scores[k - 1]:
            return hits
        limit *= 2


def by_position(hits: Matches) -> Matches:
    """The hits by falling score; equal scores by position in the catalog."""
    order = np.lexsort((hits.positions, -hits.scores))
    return Matches(hits.positions[order], hits.scores[order])


def tie_order(
    differs: NDArray[np.bool_],
    positions: Positions,
    id_keys: Callable[[Positions], NDArray[np.bytes_]],
) -> NDArray[np.int64]:
    """The order (hits,) of a sorted list in which tied hits stand in the order of their ids.

    `differs` (hits - 1,) says where a hit is worse than the one before. `id_keys` is called only
    for the positions of ties: `IdTable.sort_keys`.
    """
    order = np.arange(len(positions))
    if not len(positions) or differs.all():
        return order
    groups = np.concatenate([[0], np.cumsum(differs)])
    tied = np.flatnonzero(np.bincount(groups)[groups] > 1)
    order[tied] = tied[np.lexsort((id_keys(positions[tied]), groups[tied]))]
    return order
