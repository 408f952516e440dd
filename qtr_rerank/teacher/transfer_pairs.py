"""Titles -> transfer pairs: unlabelled (query, title) pairs that students are distilled on.

Queries are given (from a log, say) or generated from titles. Each query is paired with titles from
a lexical search, from a dense search (optional) and at random. A teacher labels the pairs later.
BERT2DNN (arXiv 2010.10442, section on the transfer set): a student's quality depends on the size
of this set more than on its labels.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qtr_rerank.errors import SettingsError
from qtr_rerank.text import words

Search = Callable[[str, int], Sequence[int]]
"""A lexical search: (query, k) -> positions of titles, best first."""

DenseSearch = Callable[[Sequence[str], int], Sequence[Sequence[int]]]
"""A dense search: (queries, k) -> for each query the positions of titles, best first."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class TransferPairSettings:
    """How many pairs of which source each query gets.

    `given_*_per_query` apply to given queries, the others to generated ones. `*_depth` is how many
    hits of a search the titles are sampled from (twice as many, lexically, for a given query).
    `misspelling_rate` is a probability per generated query. `size` limits the pairs.
    """

    generated_queries: int = 60_000
    max_query_words: int = 4
    lexical_depth: int = 30
    dense_depth: int = 30
    lexical_per_query: int = 3
    dense_per_query: int = 1
    random_per_query: int = 1
    given_lexical_per_query: int = 20
    given_dense_per_query: int = 6
    given_random_per_query: int = 2
    misspelling_rate: float = 0.12
    size: int | None = None
    seed: int = 7

    def __post_init__(self) -> None:
        if self.generated_queries < 0 or self.max_query_words < 1:
            raise SettingsError(
                f"generated_queries={self.generated_queries} and max_query_words="
                f"{self.max_query_words}; expected at least 0 and 1"
            )
        if not 0.0 <= self.misspelling_rate <= 1.0:
            raise SettingsError(f"misspelling_rate={self.misspelling_rate}; expected 0 to 1")
        if self.size is not None and self.size < 1:
            raise SettingsError(f"size={self.size}; expected at least 1, or none for all")

    def per_query(self, given: bool) -> tuple[int, int, int]:
        """How many titles a query is paired with: (lexical, random, dense)."""
        if given:
            return (
                self.given_lexical_per_query,
                self.given_random_per_query,
                self.given_dense_per_query,
            )
        return self.lexical_per_query, self.random_per_query, self.dense_per_query


@dataclass(frozen=True, slots=True)
class TransferPair:
    """One unlabelled pair. The teacher reads `clean_query`; the student reads `query`, which may
    be misspelt, and so learns to read misspellings. `source` says how the title was chosen.
    """

    query: str
    clean_query: str
    title: str
    source: str


def make_transfer_pairs(
    titles: Sequence[str],
    given_queries: Sequence[str],
    search: Search,
    settings: TransferPairSettings,
    dense: DenseSearch | None = None,
) -> Iterator[TransferPair]:
    """Distinct pairs, query by query, given queries first. Deterministic for the same seed.

    `settings.size` limits the pairs: every source keeps a random sample of its pairs, in
    proportion to its share.
    """
    rng = random.Random(settings.seed)
    queries = [(query, query, True) for query in given_queries]
    queries += _generated(titles, settings, rng)
    dense_hits = dense([clean for _, clean, _ in queries], settings.dense_depth) if dense else None
    seen: set[tuple[str, str]] = set()
    pairs: list[TransferPair] = []
    for number, (query, clean, given) in enumerate(queries):
        n_lexical, n_random, n_dense = settings.per_query(given)
        hits = list(search(clean, settings.lexical_depth * (2 if given else 1)))
        chosen = [(position, "lexical") for position in _sample(hits, n_lexical, rng)]
        if dense_hits is not None:
            chosen += [
                (position, "dense") for position in _sample(dense_hits[number], n_dense, rng)
            ]
        chosen += [(rng.randrange(len(titles)), "random") for _ in range(n_random)]
        pairs += _new_pairs(query, clean, chosen, titles, seen)
    yield from _limited(pairs, settings.size, rng)


def _generated(
    titles: Sequence[str], settings: TransferPairSettings, rng: random.Random
) -> list[tuple[str, str, bool]]:
    """(query, the query before a misspelling, False), generated from titles."""
    generated: list[tuple[str, str, bool]] = []
    misses = 0
    while len(generated) < settings.generated_queries and misses < 1000:
        title = titles[rng.randrange(len(titles))]
        clean = generate_query(title, rng, settings.max_query_words)
        if not clean:
            misses += 1  # perhaps no title has a letter: stop after many in a row
            continue
        misspelt = rng.random() < settings.misspelling_rate
        generated.append((misspell(clean, rng) if misspelt else clean, clean, False))
        misses = 0
    return generated


def _limited(
    pairs: list[TransferPair], size: int | None, rng: random.Random
) -> Iterator[TransferPair]:
    if size is None or size >= len(pairs):
        yield from pairs
        return
    by_source: dict[str, list[int]] = {}
    for position, pair in enumerate(pairs):
        by_source.setdefault(pair.source, []).append(position)
    kept: list[int] = []
    for positions in by_source.values():
        kept += rng.sample(positions, round(len(positions) * size / len(pairs)))
    for position in sorted(kept):
        yield pairs[position]


def generate_query(title: str, rng: random.Random, max_words: int) -> str:
    """1 to `max_words` words of a title: half the time adjacent ones, else a subset in order.

    Empty for a title without words, and instead of digits alone, which shoppers seldom type.
    """
    title_words = words(title)
    if not title_words:
        return ""
    count = min(len(title_words), rng.randint(1, max_words))
    if rng.random() < 0.5:
        start = rng.randrange(len(title_words) - count + 1)
        chosen = title_words[start : start + count]
    else:
        chosen = [title_words[i] for i in sorted(rng.sample(range(len(title_words)), count))]
    if rng.random() < 0.1:
        rng.shuffle(chosen)
    query = " ".join(dict.fromkeys(chosen))
    return query if any(character.isalpha() for character in query) else ""


def misspell(query: str, rng: random.Random) -> str:
    """A typing error in one word of four letters or more: a letter dropped, doubled or replaced,
    or two neighbours swapped. Unchanged if no word is long enough.
    """
    parts = query.split(" ")
    long_words = [i for i, part in enumerate(parts) if len(part) >= 4 and part.isalpha()]
    if not long_words:
        return query
    chosen = rng.choice(long_words)
    word = parts[chosen]
    at = rng.randrange(1, len(word) - 1)
    error = rng.randrange(4)
    if error == 0:
        word = word[:at] + word[at + 1 :]
    elif error == 1:
        word = word[:at] + word[at] + word[at:]
    elif error == 2:
        word = word[:at] + rng.choice(_LETTERS) + word[at + 1 :]
    else:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join([*parts[:chosen], word, *parts[chosen + 1 :]])


def _sample(hits: Sequence[int], count: int, rng: random.Random) -> list[int]:
    """A sample of the hits in order. Not just the top: near misses are needed, too."""
    return [hits[i] for i in sorted(rng.sample(range(len(hits)), min(count, len(hits))))]


def _new_pairs(
    query: str,
    clean: str,
    chosen: Sequence[tuple[int, str]],
    titles: Sequence[str],
    seen: set[tuple[str, str]],
) -> Iterator[TransferPair]:
    for position, source in chosen:
        key = (query, titles[position])
        if key not in seen:
            seen.add(key)
            yield TransferPair(query, clean, titles[position], source)
