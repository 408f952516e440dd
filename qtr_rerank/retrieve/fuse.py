"""Retrieve: several ranked lists become one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtr_rerank.errors import SettingsError
from qtr_rerank.records import Candidate


def reciprocal_rank_fusion(
    lists: Mapping[str, Sequence[Candidate]],
    k: int,
    constant: int = 60,
    weights: Mapping[str, float] | None = None,
) -> list[Candidate]:
    """The best `k` by the sum over lists of weight / (constant + rank).

    Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods", SIGIR 2009; `constant` 60 is theirs. Only ranks count, so lists whose
    scores cannot be compared (BM25, cosine) can be fused.

    `lists` maps each retriever's name to its list, best first; a place in the list is its rank.
    `weights` (1 where a name has none) must be above 0 and name only lists that are there.
    A fused candidate's `sources` holds its rank in each list that has it. Ties: the better best
    rank first, then by id. Where a list holds an id twice, the better place counts.
    """
    weights = weights or {}
    unknown = sorted(set(weights) - set(lists))
    if unknown:
        raise SettingsError(f"there is a weight for {unknown[0]!r}, but only lists {sorted(lists)}")
    for name, weight in weights.items():
        if not weight > 0:
            raise SettingsError(f"the weight of {name!r} is {weight}; expected a number above 0")
    if constant < 0:
        raise SettingsError(f"the fusion constant is {constant}; expected at least 0")

    sources: dict[str, dict[str, int]] = {}
    for name, candidates in lists.items():
        for rank, candidate in enumerate(candidates, start=1):
            sources.setdefault(candidate.id, {}).setdefault(name, rank)
    scores = {
        id: sum(weights.get(name, 1.0) / (constant + rank) for name, rank in ranks.items())
        for id, ranks in sources.items()
    }
    order = sorted(sources, key=lambda id: (-scores[id], min(sources[id].values()), id))
    return [
        Candidate(id=id, score=scores[id], rank=rank, sources=sources[id])
        for rank, id in enumerate(order[: max(k, 0)], start=1)
    ]
