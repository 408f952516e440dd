"""Teacher: the share of a query that a title contains, one half of the weak labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import Stemmer

from qtr_rerank.text import words


class Coverage:
    """The idf-weighted share of a query's stems that a title contains, 0..1.

    idf = log(1 + (N - n + 0.5) / (n + 0.5)), where n of N titles contain the stem (the idf of BM25,
    Robertson & Zaragoza 2009, eq. 3.14). A stem that no title contains weighs most.
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
        """0.0 for a query without words."""
        query_stems = dict.fromkeys(self._stems(query))
        title_stems = set(self._stems(title))
        weights = {stem: self._idf.get(stem, self._unknown) for stem in query_stems}
        total = sum(weights.values())
        if not total:
            return 0.0
        return sum(w for stem, w in weights.items() if stem in title_stems) / total

    def _stems(self, text: str) -> Sequence[str]:
        stems: Sequence[str] = self._stemmer.stemWords(words(text))
        return stems
