"""Page: the text above a result list: heading, summary, and whether it fits the query. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from demo.page_request import PageRequest
from demo.pagination import Pager
from demo.stage_times import stage_times
from qtr_rerank.records import Product, SearchResult
from qtr_rerank.text import normalise

# A best hit below this probability that has no word of the query does not match it.
POOR_PROBABILITY = 0.3

_WORDS = re.compile(r"[^\W_]+")


def browsing_heading(request: PageRequest) -> str:
    """The heading of a list without a query: department, categories or brands."""
    return request.department or ", ".join(request.filters.categories or request.filters.brands)


def summary(result: SearchResult, pager: Pager | None = None, among: int | None = None) -> str:
    """The line under the heading: 1–24 of 312 results · retrieved in 3.1 ms · engine: embedded.

    `among` is the number of hits sorted, if they are sorted by something other than relevance.
    """
    count = f"{result.candidates:,} result{'' if result.candidates == 1 else 's'}"
    if among is not None and among < result.candidates:
        count = f"the {among:,} best of {count}"
    if pager and pager.pages > 1:
        count = f"{pager.first}–{pager.last} of {count}"
    return f"{count} · {stage_times(result.times_ms).sentence} · engine: {result.engine}"


def match_quality(request: PageRequest, result: SearchResult, best: Iterable[Product]) -> str:
    """How well the `best` products match the query: "good", "by meaning" or "poor".

    "good": at least one contains a word of the query. "by meaning": none does, as with a misspelt
    word, so they match in meaning only. "poor": the model also gives them a low probability.
    """
    if not request.query:
        return "good"
    query_words = _stems(request.query)
    texts = (f"{each.title} {each.brand} {each.category} {each.description}" for each in best)
    if any(query_words & _stems(text) for text in texts):
        return "good"
    if request.filters:  # filters are set from a result list, so the response is a list again
        return "by meaning"
    # The model's own opinion: `score` also counts the place in the first order.
    probabilities = [hit.explain[hit.stage] for hit in result.hits if hit.stage in hit.explain]
    improbable = bool(probabilities) and max(probabilities) < POOR_PROBABILITY
    return "poor" if improbable or not query_words else "by meaning"


def _stems(text: str) -> set[str]:
    """The words of a text without plural endings; "9-piece boxes" has 9, piec and box."""
    words = _WORDS.findall(normalise(text))
    return {word.removesuffix("s").removesuffix("e") for word in words}
