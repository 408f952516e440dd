"""What unjudged documents hide: a ranking's nDCG without them, and the range of its possible nDCG.

Pure functions of ranked ids and grades. `run_measures` calls them for every query of a run;
`qtr judge` and the experiments call them directly.

**The bounds.** Judge every document that a set of runs shows in its first ranks: what nDCG can a
ranking then have? The unjudged documents that the ranking shows there, and those of `pool` (which
the other runs show), may each get any grade from 0 to the query's best grade so far. `lower` and
`upper` are the least and the greatest nDCG over all these choices. The ideal order is formed anew
for each choice, so both bounds are reached:

- nDCG with unjudged documents as worth nothing (`Bounds.ndcg`) is not the least. A document that
  turns out to be relevant makes the ideal order better, too, wherever this ranking has it.
- Every unjudged document at the best grade does not give the greatest: the ideal may grow faster.

Documents that no run shows there count as worth nothing, as always. Gains are linear (the grade
itself), as in trec_eval; grades below 0 count as 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtr_rerank.errors import SettingsError
from qtr_rerank.evaluate.measure_settings import PERSISTENCE

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bounds:
    """nDCG@cutoff of one query's ranking, all from 0 to 1.

    `lower` <= `ndcg` <= `upper`, and all three are equal where all that is shown is judged.
    """

    lower: float
    """The least nDCG that grades of the unjudged documents can give."""
    upper: float
    """The greatest."""
    condensed: float
    """nDCG of the ranking without its unjudged documents (condensed list; Sakai, "Alternatives to
    Bpref", SIGIR 2007)."""
    judged: float
    """Judged@cutoff: the share of the first documents that are judged; 0 for an empty ranking."""
    ndcg: float
    """nDCG with unjudged documents worth nothing, as trec_eval computes it."""


def ndcg_bounds(
    ranking: Sequence[str],
    grades: Mapping[str, float],
    cutoff: int = 10,
    pool: Collection[str] = (),
) -> Bounds:
    """The bounds of one query's nDCG@cutoff, see the module.

    `ranking` is the whole list, best first: the condensed list draws judged documents from below
    the cutoff. `grades` are the query's judgments. `pool` holds what the other runs show in their
    first ranks; judged documents in it change nothing. Where no judged document is relevant, a
    document of the pool may be: any grade above 0 then gives the same nDCG.
    """
    shown = ranking[: _checked(cutoff)]
    weights = dict(zip(shown, _discounts(cutoff).tolist(), strict=False))
    lower, upper = _extremes(weights, grades, cutoff, pool)
    ndcg = _ndcg(shown, grades, cutoff)
    return Bounds(
        # Rounding must not part what is equal.
        lower=min(lower, ndcg),
        upper=min(1.0, max(upper, ndcg)),
        condensed=_ndcg([one for one in ranking if one in grades], grades, cutoff),
        judged=sum(one in grades for one in shown) / len(shown) if shown else 0.0,
        ndcg=ndcg,
    )


def difference_bounds(
    first: Sequence[str],
    second: Sequence[str],
    grades: Mapping[str, float],
    cutoff: int = 10,
    pool: Collection[str] = (),
) -> tuple[float, float]:
    """The least and the greatest nDCG@cutoff of `second` minus that of `first`, on one query.

    Over the same choices as `ndcg_bounds`, for both rankings at once: a document that both show
    has one grade. So the bounds are narrower than those of the rankings would suggest, and two
    equal rankings differ by 0 whatever the grades. Where they have different signs, judging could
    turn the comparison.
    """
    discounts = _discounts(_checked(cutoff)).tolist()
    weights = dict(zip(second[:cutoff], discounts, strict=False))
    for document, discount in zip(first[:cutoff], discounts, strict=False):
        weights[document] = weights.get(document, 0.0) - discount
    return _extremes(weights, grades, cutoff, pool)


def rank_biased_precision(
    ranking: Sequence[str],
    grades: Mapping[str, float],
    relevant: float = 1.0,
    persistence: float = PERSISTENCE,
) -> tuple[float, float]:
    """Rank-biased precision of one query's ranking, and its residual.

    RBP = (1 - p) * sum of p^(rank - 1) over the relevant documents: what a user finds at each
    document that he looks at, who goes on to the next one with probability p. The residual is the
    weight of the unjudged documents and of all ranks behind the last: RBP is between its value and
    value + residual, whatever they turn out to be (Moffat and Zobel, "Rank-biased precision for
    measurement of retrieval effectiveness", TOIS 27, 2008). No ideal order is needed, so both ends
    are exact.
    """
    weights = (1.0 - persistence) * persistence ** np.arange(len(ranking))
    found = np.array([grades.get(one, -1.0) >= relevant for one in ranking], np.float64)
    unknown = np.array([one not in grades for one in ranking], np.float64)
    behind = persistence ** len(ranking)
    return float(weights @ found), float(weights @ unknown + behind)


def _extremes(
    weights: Mapping[str, float], grades: Mapping[str, float], cutoff: int, pool: Collection[str]
) -> tuple[float, float]:
    """The least and the greatest sum of grade * weight, divided by the ideal DCG."""
    open_documents = (weights.keys() | set(pool)) - grades.keys()
    unjudged = np.array([weights.get(one, 0.0) for one in open_documents])
    judged = [(max(0.0, grade), weights.get(one, 0.0)) for one, grade in grades.items()]
    levels, weight_of = np.array(judged, np.float64).reshape(-1, 2).T
    lower = -_greatest(-unjudged, levels, -weight_of, cutoff)
    return lower + 0.0, _greatest(unjudged, levels, weight_of, cutoff)  # + 0.0: never -0


def _greatest(unjudged: Floats, grades: Floats, weights: Floats, cutoff: int) -> float:
    """The greatest of sum(grade * weight) / ideal DCG over the grades of the unjudged documents.

    `unjudged` are the weights of the unjudged documents, `grades` and `weights` those of the judged
    ones. The numerator is linear in the grades; the ideal DCG is, too, while their order stays. So
    the extreme is reached where each unjudged document has 0 or a grade that the query has already.

    Both sums are cut into layers, one for each step between two grades: in the layer up to grade g
    a document counts if its grade is at least g. With n unjudged documents in a layer, the best are
    the n of the highest weights, and the ideal depends on n alone. Dinkelbach's method ("On
    nonlinear fractional programming", Management Science 13, 1967) turns the ratio into differences
    numerator - ratio * ideal, and these are maximised layer by layer from the highest grade, whose
    documents are in all lower layers.
    """
    steps = np.unique(grades[grades > 0])
    # Documents relevant at least to each step, and their weight.
    relevant = grades >= steps[:, np.newaxis]
    counts, fixed = relevant.sum(axis=1), relevant @ weights
    # By n, the number of unjudged documents in a layer: (n + 1,).
    gained = np.concatenate([[0.0], np.cumsum(np.sort(unjudged)[::-1])])
    ideal = np.concatenate([[0.0], np.cumsum(_discounts(cutoff))])
    added = np.arange(len(gained))
    if not len(steps):
        # Nothing relevant is known, so nDCG is 0 unless an unjudged document is relevant.
        return float(np.max(gained[1:] / ideal[np.minimum(added[1:], cutoff)], initial=0.0))
    heights = np.diff(steps, prepend=0.0)
    tops = heights[:, np.newaxis] * (fixed[:, np.newaxis] + gained)  # (steps, n + 1)
    bottoms = heights[:, np.newaxis] * ideal[np.minimum(counts[:, np.newaxis] + added, cutoff)]
    ratio = float(tops[:, 0].sum() / bottoms[:, 0].sum())
    while True:
        top, bottom = np.zeros(len(gained)), np.zeros(len(gained))
        for layer in reversed(range(len(steps))):
            # The best choice for the layers from here up, with at most n documents in each.
            top, bottom = top + tops[layer], bottom + bottoms[layer]
            value = top - ratio * bottom
            best = np.maximum.accumulate(np.where(value >= np.maximum.accumulate(value), added, 0))
            top, bottom = top[best], bottom[best]
        improved = float(top[-1] / bottom[-1])
        if improved <= ratio + 1e-12:
            return ratio
        ratio = improved


def _ndcg(ranking: Sequence[str], grades: Mapping[str, float], cutoff: int) -> float:
    gains = [max(0.0, grades.get(one, 0.0)) for one in ranking[:cutoff]]
    best = sorted((max(0.0, grade) for grade in grades.values()), reverse=True)[:cutoff]
    ideal = _dcg(best, cutoff)
    return _dcg(gains, cutoff) / ideal if ideal > 0 else 0.0


def _dcg(gains: Sequence[float], cutoff: int) -> float:
    return float(np.dot(np.asarray(gains, np.float64), _discounts(cutoff)[: len(gains)]))


def _discounts(cutoff: int) -> Floats:
    """1 / log2(rank + 1) for the ranks 1 to cutoff."""
    discounts: Floats = 1.0 / np.log2(np.arange(2.0, cutoff + 2.0))
    return discounts


def _checked(cutoff: int) -> int:
    if cutoff < 1:
        raise SettingsError(f"the cutoff is {cutoff}; nDCG needs at least 1")
    return cutoff
