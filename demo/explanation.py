"""Page: "Why here?": `Ranked.explain`, the parts of a hit's score, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qtr_rerank.records import Ranked


@dataclass(frozen=True, slots=True)
class Reason:
    """One part of the ranking and what it said about a product."""

    part: str
    text: str


def explain_first(hit: Ranked) -> tuple[Reason, ...]:
    """Why the first stage put the product at `hit.first_rank`: the two lists it merges."""
    explain = hit.explain
    return (
        Reason("Words", _words(explain)),
        Reason("Meaning", _meaning(explain)),
    )


def explain_final(hit: Ranked) -> tuple[Reason, ...]:
    """Why reranking put the product at `hit.rank`: the model, then what the first stage said."""
    return (
        Reason("Model", _model(hit)),
        Reason("First stage", _first_stage(hit)),
        *explain_first(hit),
    )


def percent(probability: float) -> str:
    """A probability as a percentage, never rounded to certainty."""
    if probability < 0.01:
        return "less than 1 %"
    if probability > 0.99:
        return "more than 99 %"
    return f"{probability:.0%}".replace("%", " %")


def _model(hit: Ranked) -> str:
    probability = hit.explain.get(hit.stage)
    if probability is None:
        return "did not score this product, which keeps its place behind the scored ones"
    return f"{percent(probability)} likely to match the query"


def _first_stage(hit: Ranked) -> str:
    place = f"place {hit.first_rank:,}"
    prior = hit.explain.get("prior")
    if prior is None:
        return place
    if hit.first_rank == 1:
        return f"{place}, which takes nothing off the model’s score of {_signed(hit.logit)}"
    before, after = _signed(hit.logit - prior), _signed(hit.logit)
    return f"{place}, which lowers the model’s score from {before} to {after}"


def _words(explain: Mapping[str, float]) -> str:
    rank = explain.get("lexical_rank")
    if rank is None:
        return "not among the products found by words"
    return f"place {rank:,.0f}, BM25 score {explain['bm25']:.1f}"


def _meaning(explain: Mapping[str, float]) -> str:
    rank = explain.get("dense_rank")
    if rank is None:
        return "not among the products found by meaning"
    return f"place {rank:,.0f}, cosine {explain['cosine']:.2f}"


def _signed(logit: float) -> str:
    """A logit with one decimal and a true minus sign."""
    return f"{logit:.1f}".replace("-", "−")
