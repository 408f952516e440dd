"""Titles -> teacher: label-free pairs of words that the titles at hand do not have.

Students that start from an encoder's token vectors move those that their titles hold and leave
the others where they were; a shop of another kind is made of the others. Here every whole word of
the encoder's vocabulary meets words of like and of unlike meaning, in made-up queries and titles
that a teacher then labels: it has read of all of them, the students have not. Ours.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.teacher.transfer_pairs import TransferPair
from qtr_rerank.text import words

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""A bi-encoder: texts -> unit vectors (texts, dim)."""

_WORD = re.compile("[a-z]{3,}")
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class VocabularyPairSettings:
    """How many pairs, how many of each query, and how near in meaning a related word is: one of
    so many `neighbours`. `given_rate` is the share of queries that are given ones.
    """

    pairs: int = 150_000
    per_query: int = 4
    neighbours: int = 40
    given_rate: float = 0.2
    seed: int = 7

    def __post_init__(self) -> None:
        if min(self.pairs, self.per_query) < 1 or self.neighbours < 2:
            raise SettingsError(
                f"pairs={self.pairs}, per_query={self.per_query}, neighbours={self.neighbours}; "
                "expected at least 1, 1 and 2"
            )
        if not 0.0 <= self.given_rate <= 1.0:
            raise SettingsError(f"given_rate={self.given_rate}; expected 0 to 1")


def whole_words(vocabulary: Sequence[str]) -> list[str]:
    """The tokens that are words by themselves: letters alone, three or more."""
    return [token for token in vocabulary if _WORD.fullmatch(token)]


def make_vocabulary_pairs(
    vocabulary: Sequence[str],
    titles: Sequence[str],
    given_queries: Sequence[str],
    encode: Encode,
    settings: VocabularyPairSettings,
) -> Iterator[TransferPair]:
    """Pairs from the words of a `vocabulary`, with pieces of real `titles` between them; the same
    inputs and seed give the same. Raises DataError where there are too few words.
    """
    known = whole_words(vocabulary)
    if len(known) <= settings.neighbours:
        raise DataError(
            f"the vocabulary has {len(known)} whole words; expected more than "
            f"{settings.neighbours}, as an uncased English one has"
        )
    related = _related(known, given_queries, encode, settings.neighbours)
    maker = _Maker(known, titles, related, random.Random(settings.seed))
    given_rate = settings.given_rate if given_queries else 0.0
    seen: set[tuple[str, str]] = set()
    repeated = 0
    while len(seen) < settings.pairs and repeated < 100 * settings.per_query:
        if maker.chance.random() < given_rate:
            place = maker.chance.randrange(len(given_queries))
            query, topics = given_queries[place], [len(known) + place]
        else:
            topics = maker.topics()
            query = maker.text_of(topics)
        for _ in range(settings.per_query):
            pair = (query, maker.title(query, topics))
            if pair in seen or len(seen) == settings.pairs:
                repeated += 1
                continue
            repeated = 0
            seen.add(pair)
            yield TransferPair(query, query, pair[1], "words")


def _related(
    known: Sequence[str], given_queries: Sequence[str], encode: Encode, count: int
) -> NDArray[np.int64]:
    """(words + given queries, count): the places of the words nearest in meaning, best first."""
    vectors = encode([*known, *given_queries])
    towards = vectors[: len(known)].T
    rows = []
    for start in range(0, len(vectors), _BLOCK):
        cosine = vectors[start : start + _BLOCK] @ towards
        best = np.argpartition(-cosine, count, axis=1)[:, : count + 1]
        order = np.argsort(-np.take_along_axis(cosine, best, 1), axis=1, kind="stable")
        rows.append(np.take_along_axis(best, order, 1)[:, :count])
    return np.concatenate(rows).astype(np.int64)


class _Maker:
    """Draws texts. A topic is a place in `related`: a word, or a given query."""

    def __init__(
        self,
        known: Sequence[str],
        titles: Sequence[str],
        related: NDArray[np.int64],
        chance: random.Random,
    ) -> None:
        self._known, self._titles, self._related = known, titles, related
        self.chance = chance

    def topics(self) -> list[int]:
        """1 to 4 words: one, and others that have to do with it, or not."""
        first = self.chance.randrange(len(self._known))
        found = [first]
        for _ in range(self.chance.choice((0, 1, 1, 2, 2, 3))):
            near = self.chance.random() < 0.65
            found.append(self._near(first) if near else self.chance.randrange(len(self._known)))
        self.chance.shuffle(found)
        return list(dict.fromkeys(found))

    def text_of(self, topics: Sequence[int]) -> str:
        return " ".join(self._known[place] for place in topics)

    def title(self, query: str, topics: Sequence[int]) -> str:
        """The query's words, kept, said in other words or left out, in different company."""
        kept_rate = self.chance.choice((0.0, 0.3, 0.6, 1.0))
        other_rate = self.chance.random()
        found: list[str] = []
        for word in words(query):
            if self.chance.random() < kept_rate:
                found.append(word)
            elif self.chance.random() < other_rate:
                found.append(self._known[self._near(self.chance.choice(topics))])
        same = self.chance.random() < 0.6
        topic = self.chance.choice(topics) if same else self.chance.randrange(len(self._known))
        for _ in range(self.chance.randint(1, 4)):
            found.append(self._known[self._near(topic)])
        if self.chance.random() < 0.6:
            self.chance.shuffle(found)
        at = self.chance.randrange(len(found) + 1)
        return " ".join(dict.fromkeys([*found[:at], *self._piece(), *found[at:]]))

    def _near(self, topic: int) -> int:
        return int(self.chance.choice(self._related[topic]))

    def _piece(self) -> list[str]:
        """Up to five neighbouring words of a real title: brands, sizes, numbers."""
        if not self._titles:
            return []
        title = words(self._titles[self.chance.randrange(len(self._titles))])
        start = self.chance.randrange(len(title)) if title else 0
        return title[start : start + self.chance.randint(0, 5)]
