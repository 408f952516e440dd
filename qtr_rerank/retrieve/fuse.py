"""Retrieve: several ranked lists become one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import SettingsError
from qtr_rerank.retrieve.schema import Matches
from qtr_rerank.retrieve.ties import tie_order
from qtr_rerank.runtime.id_table import Positions


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """A fused list, best first: columns (products,).

    `ranks` maps each list's name to the rank (from 1) that it gave each product, 0 where the list
    lacks it; `list_scores` to its scores, NaN where it lacks the product. `best_possible` is the
    score of a product that is first in every list.
    """

    positions: Positions
    scores: NDArray[np.float64]
    ranks: Mapping[str, NDArray[np.int64]]
    list_scores: Mapping[str, NDArray[np.float64]]
    best_possible: float

    def __len__(self) -> int:
        return len(self.positions)


def reciprocal_rank_fusion(
    lists: Mapping[str, Matches],
    k: int,
    id_keys: Callable[[Positions], NDArray[np.bytes_]],
    constant: int = 60,
    weights: Mapping[str, float] | None = None,
) -> Fused:
    """The best `k` by the sum over lists of weight / (constant + rank).

    Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods", SIGIR 2009; the default constant is theirs. Only ranks count, so lists
    whose scores cannot be compared (BM25, cosine) can be fused.

    `lists` maps each retriever's name to its list. `weights` (1 where a name has none) must be
    above 0 and name only lists that are there. Equal scores: the better best rank first, then by
    id (`id_keys`, see `IdTable.sort_keys`). Where a list holds a product twice, its better rank
    counts. Raises SettingsError.
    """
    weights = weights or {}
    _require(lists, constant, weights)
    every = np.concatenate([np.empty(0, np.int64), *(one.positions for one in lists.values())])
    products, columns = np.unique(every, return_inverse=True)
    ranks = np.zeros((len(lists), len(products)), dtype=np.int64)
    list_scores = np.full((len(lists), len(products)), np.nan)
    scores = np.zeros(len(products))
    start = 0
    for row, (name, one) in enumerate(lists.items()):
        # Backwards, so that the better rank of a product that came twice is written last.
        places = columns[start : start + len(one)][::-1]
        ranks[row, places] = np.arange(len(one), 0, -1)
        list_scores[row, places] = one.scores[::-1]
        in_list = ranks[row] > 0
        scores[in_list] += weights.get(name, 1.0) / (constant + ranks[row, in_list])
        start += len(one)
    best_rank = np.where(ranks > 0, ranks, np.iinfo(np.int64).max).min(axis=0, initial=2**62)
    order = np.lexsort((best_rank, -scores))
    differs = (np.diff(scores[order]) != 0) | (np.diff(best_rank[order]) != 0)
    order = order[tie_order(differs, products[order], id_keys)][: max(k, 0)]
    return Fused(
        positions=products[order],
        scores=scores[order],
        ranks={name: ranks[row, order] for row, name in enumerate(lists)},
        list_scores={name: list_scores[row, order] for row, name in enumerate(lists)},
        best_possible=sum(weights.get(name, 1.0) for name in lists) / (constant + 1),
    )


def _require(lists: Mapping[str, Matches], constant: int, weights: Mapping[str, float]) -> None:
    unknown = sorted(set(weights) - set(lists))
    if unknown:
        raise SettingsError(
            f"weights name the list {unknown[0]!r}, which does not exist; expected {sorted(lists)}"
        )
    for name, weight in weights.items():
        if not weight > 0:
            raise SettingsError(f"the weight of {name!r} is {weight}; expected a number above 0")
    if constant < 0:
        raise SettingsError(f"the fusion constant is {constant}; expected at least 0")
