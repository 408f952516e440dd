"""Teacher: how much of a query a title says, the lexical half of a label made without judges."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import Stemmer

from qtr_rerank.text import words


class Coverage:
    """The idf-weighted share of a query's stems that a title holds, 0..1.

    idf = log(1 + (N - n + 0.5) / (n + 0.5)) over the titles given (Robertson & Zaragoza 2009,
    eq. 3.14, as BM25 uses it). A stem that no title holds weighs the most.
    """

    def __init__(self, titles: Iterable[str], language: str = "english") -> None:
        self._stemmer = Stemmer.Stemmer(language)
        counts: Counter[str] = Counter()
        total = 0
        for title in titles:
            counts.update(set(self._stems(title)))
            total += 1
        self._idf = {
            stem: math.log1p((total - count + 0.5) / (count + 0.5))
            for stem, count in counts.items()
        }
        self._unknown = math.log1p((total + 0.5) / 0.5)

    def __call__(self, query: str, title: str) -> float:
        """0.0 where the query has no word."""
        query_stems = dict.fromkeys(self._stems(query))
        title_stems = set(self._stems(title))
        weights = {stem: self._idf.get(stem, self._unknown) for stem in query_stems}
        whole = sum(weights.values())
        if not whole:
            return 0.0
        return sum(w for stem, w in weights.items() if stem in title_stems) / whole

    def _stems(self, text: str) -> Sequence[str]:
        stems: Sequence[str] = self._stemmer.stemWords(words(text))
        return stems
