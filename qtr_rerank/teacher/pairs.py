"""Titles -> teacher: label-free training pairs, the transfer set that students are distilled on.

Queries are given, or made from titles. Each meets titles found lexically and at random. No label
is needed: a teacher labels the pairs later. BERT2DNN (section on the transfer set) shows that the
size of this set, rather than its labels, makes the student.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qtr_rerank.errors import SettingsError
from qtr_rerank.text import words

Search = Callable[[str, int], Sequence[int]]
"""A lexical search: (query, k) -> places of titles, best first."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How many pairs, and of what kind. Rates are probabilities per query."""

    generated_queries: int = 60_000
    max_query_words: int = 4
    lexical_depth: int = 30
    lexical_per_query: int = 4
    random_per_query: int = 1
    given_lexical_per_query: int = 24
    given_random_per_query: int = 2
    misspelling_rate: float = 0.12
    seed: int = 7

    def __post_init__(self) -> None:
        if self.generated_queries < 0 or self.max_query_words < 1:
            raise SettingsError(
                f"generated_queries={self.generated_queries} and max_query_words="
                f"{self.max_query_words}; expected at least 0 and 1"
            )
        if not 0.0 <= self.misspelling_rate <= 1.0:
            raise SettingsError(f"misspelling_rate={self.misspelling_rate}; expected 0 to 1")


@dataclass(frozen=True, slots=True)
class TransferPair:
    """One unlabelled pair. `clean_query` is the query before a misspelling was put into `query`:
    the teacher reads the clean form, the student the other, and so learns to read misspellings.
    """

    query: str
    clean_query: str
    title: str
    source: str


def make_pairs(
    titles: Sequence[str], given_queries: Sequence[str], search: Search, settings: PairSettings
) -> Iterator[TransferPair]:
    """Pairs, query by query, each (query, title) once; the same inputs and seed give the same."""
    chance = random.Random(settings.seed)
    seen: set[tuple[str, str]] = set()
    for query in given_queries:
        places = _candidates(
            query,
            titles,
            search,
            chance,
            settings.given_lexical_per_query,
            settings.given_random_per_query,
            settings.lexical_depth * 2,
        )
        yield from _fresh(query, query, places, titles, seen)
    made = 0
    while made < settings.generated_queries:
        title = titles[chance.randrange(len(titles))]
        clean = generate_query(title, chance, settings.max_query_words)
        if not clean:
            continue
        made += 1
        misspelt = chance.random() < settings.misspelling_rate
        query = misspell(clean, chance) if misspelt else clean
        places = _candidates(
            clean,
            titles,
            search,
            chance,
            settings.lexical_per_query,
            settings.random_per_query,
            settings.lexical_depth,
        )
        yield from _fresh(query, clean, places, titles, seen)


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


def _candidates(
    query: str,
    titles: Sequence[str],
    search: Search,
    chance: random.Random,
    lexical: int,
    at_random: int,
    depth: int,
) -> list[tuple[int, str]]:
    found = list(search(query, depth))
    # A sample of the depth, not the top: the teacher must also see near misses.
    sampled = sorted(chance.sample(found, min(lexical, len(found))), key=found.index)
    strangers = [chance.randrange(len(titles)) for _ in range(at_random)]
    return [(p, "lexical") for p in sampled] + [(p, "random") for p in strangers]


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
