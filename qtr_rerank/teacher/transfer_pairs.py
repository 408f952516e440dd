"""Titles -> teacher: label-free training pairs, the transfer set that students are distilled on.

Queries are given, or made from titles. Each meets titles found lexically, by meaning (where an
encoder is at hand) and at random. No label is needed: a teacher labels the pairs later. BERT2DNN
(section on the transfer set) shows that the size of this set, rather than its labels, makes the
student.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qtr_rerank.errors import SettingsError
from qtr_rerank.text import words

Search = Callable[[str, int], Sequence[int]]
"""A lexical search: (query, k) -> places of titles, best first."""

DenseSearch = Callable[[Sequence[str], int], Sequence[Sequence[int]]]
"""A search by meaning for many queries at once: (queries, k) -> places of titles, best first."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class TransferPairSettings:
    """How many pairs, and of what kind. Rates are probabilities per query."""

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
        """How many titles a query meets: lexical, random, dense."""
        if given:
            return (
                self.given_lexical_per_query,
                self.given_random_per_query,
                self.given_dense_per_query,
            )
        return self.lexical_per_query, self.random_per_query, self.dense_per_query


@dataclass(frozen=True, slots=True)
class TransferPair:
    """One unlabelled pair. `clean_query` is the query before a misspelling was put into `query`:
    the teacher reads the clean form, the student the other, and so learns to read misspellings.
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
    """Pairs, query by query, each (query, title) once; the same inputs and seed give the same.

    Where `settings.size` is set, pairs are dropped at random, as many of each kind of source as
    its share, until that many are left.
    """
    chance = random.Random(settings.seed)
    asked = [(query, query, True) for query in given_queries]
    asked += _generated(titles, settings, chance)
    near = dense([clean for _, clean, _ in asked], settings.dense_depth) if dense else None
    seen: set[tuple[str, str]] = set()
    pairs: list[TransferPair] = []
    for number, (query, clean, given) in enumerate(asked):
        lexical, strangers, close = settings.per_query(given)
        found = list(search(clean, settings.lexical_depth * (2 if given else 1)))
        chosen = [(place, "lexical") for place in _sampled(found, lexical, chance)]
        if near is not None:
            chosen += [(place, "dense") for place in _sampled(near[number], close, chance)]
        chosen += [(chance.randrange(len(titles)), "random") for _ in range(strangers)]
        pairs += _fresh(query, clean, chosen, titles, seen)
    yield from _cut(pairs, settings.size, chance)


def _generated(
    titles: Sequence[str], settings: TransferPairSettings, chance: random.Random
) -> list[tuple[str, str, bool]]:
    """(query, the query before a misspelling, False), made from titles."""
    made: list[tuple[str, str, bool]] = []
    misses = 0
    while len(made) < settings.generated_queries and misses < 1000:
        title = titles[chance.randrange(len(titles))]
        clean = generate_query(title, chance, settings.max_query_words)
        if not clean:
            misses += 1  # titles without a letter give no query, and there may be no others
            continue
        misspelt = chance.random() < settings.misspelling_rate
        made.append((misspell(clean, chance) if misspelt else clean, clean, False))
        misses = 0
    return made


def _cut(
    pairs: list[TransferPair], size: int | None, chance: random.Random
) -> Iterator[TransferPair]:
    if size is None or size >= len(pairs):
        yield from pairs
        return
    by_source: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        by_source.setdefault(pair.source, []).append(place)
    kept: list[int] = []
    for places in by_source.values():
        kept += chance.sample(places, round(len(places) * size / len(pairs)))
    for place in sorted(kept):
        yield pairs[place]


def generate_query(title: str, chance: random.Random, max_words: int) -> str:
    """1 to `max_words` words of a title: half the time neighbours, else a subset in order.

    Shoppers seldom type a bare number: a query of digits alone is not made (empty string).
    """
    title_words = words(title)
    if not title_words:
        return ""
    count = min(len(title_words), chance.randint(1, max_words))
    if chance.random() < 0.5:
        start = chance.randrange(len(title_words) - count + 1)
        chosen = title_words[start : start + count]
    else:
        chosen = [title_words[i] for i in sorted(chance.sample(range(len(title_words)), count))]
    if chance.random() < 0.1:
        chance.shuffle(chosen)
    query = " ".join(dict.fromkeys(chosen))
    return query if any(character.isalpha() for character in query) else ""


def misspell(query: str, chance: random.Random) -> str:
    """One slip of the fingers in one word of four letters or more: a letter dropped, doubled,
    replaced, or two neighbours swapped. Unchanged where no word is long enough.
    """
    parts = query.split(" ")
    long_places = [i for i, part in enumerate(parts) if len(part) >= 4 and part.isalpha()]
    if not long_places:
        return query
    place = chance.choice(long_places)
    word = parts[place]
    at = chance.randrange(1, len(word) - 1)
    slip = chance.randrange(4)
    if slip == 0:
        word = word[:at] + word[at + 1 :]
    elif slip == 1:
        word = word[:at] + word[at] + word[at:]
    elif slip == 2:
        word = word[:at] + chance.choice(_LETTERS) + word[at + 1 :]
    else:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join([*parts[:place], word, *parts[place + 1 :]])


def _sampled(found: Sequence[int], count: int, chance: random.Random) -> list[int]:
    """A sample in order: not the top alone, since the teacher must also see near misses."""
    return [found[i] for i in sorted(chance.sample(range(len(found)), min(count, len(found))))]


def _fresh(
    query: str,
    clean: str,
    places: Sequence[tuple[int, str]],
    titles: Sequence[str],
    seen: set[tuple[str, str]],
) -> Iterator[TransferPair]:
    for place, source in places:
        key = (query, titles[place])
        if key not in seen:
            seen.add(key)
            yield TransferPair(query, clean, titles[place], source)
