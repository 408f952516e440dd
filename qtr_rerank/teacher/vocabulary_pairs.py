"""Vocabulary -> transfer pairs: unlabelled pairs of words that the training titles lack.

A student's token vectors start from an encoder's, and training moves only those of tokens that the
titles contain. A shop of another kind uses the other tokens. So every whole word of the encoder's
vocabulary is put beside words of similar and of other meaning, in synthetic queries and titles
that a teacher then labels: the teacher was pre-trained on all these words. Our own method.
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
    """`pairs` in all, `per_query` of each query. A word is related to another if it is one of its
    nearest `neighbours` by cosine. `given_rate` is the share of given (not generated) queries.
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
    """The tokens that are whole words: three or more of the letters a to z."""
    return [token for token in vocabulary if _WORD.fullmatch(token)]


def make_vocabulary_pairs(
    vocabulary: Sequence[str],
    titles: Sequence[str],
    given_queries: Sequence[str],
    encode: Encode,
    settings: VocabularyPairSettings,
) -> Iterator[TransferPair]:
    """Distinct pairs made of the words of `vocabulary` and excerpts of real `titles`.

    Deterministic for the same seed. Raises DataError if the vocabulary has too few whole words.
    """
    vocabulary_words = whole_words(vocabulary)
    if len(vocabulary_words) <= settings.neighbours:
        raise DataError(
            f"the vocabulary has {len(vocabulary_words)} whole words; expected more than "
            f"{settings.neighbours}; choose an uncased English encoder"
        )
    related = _related(vocabulary_words, given_queries, encode, settings.neighbours)
    generator = _TextGenerator(vocabulary_words, titles, related, random.Random(settings.seed))
    given_rate = settings.given_rate if given_queries else 0.0
    seen: set[tuple[str, str]] = set()
    repeated = 0
    while len(seen) < settings.pairs and repeated < 100 * settings.per_query:
        if generator.rng.random() < given_rate:
            number = generator.rng.randrange(len(given_queries))
            query, topics = given_queries[number], [len(vocabulary_words) + number]
        else:
            topics = generator.topics()
            query = generator.text_of(topics)
        for _ in range(settings.per_query):
            pair = (query, generator.title(query, topics))
            if pair in seen or len(seen) == settings.pairs:
                repeated += 1
                continue
            repeated = 0
            seen.add(pair)
            yield TransferPair(query, query, pair[1], "words")


def _related(
    vocabulary_words: Sequence[str], given_queries: Sequence[str], encode: Encode, count: int
) -> NDArray[np.int64]:
    """(words + given queries, count): positions of the nearest words by cosine, nearest first."""
    vectors = encode([*vocabulary_words, *given_queries])
    word_vectors = vectors[: len(vocabulary_words)].T
    rows = []
    for start in range(0, len(vectors), _BLOCK):
        cosine = vectors[start : start + _BLOCK] @ word_vectors
        best = np.argpartition(-cosine, count, axis=1)[:, : count + 1]
        order = np.argsort(-np.take_along_axis(cosine, best, 1), axis=1, kind="stable")
        rows.append(np.take_along_axis(best, order, 1)[:, :count])
    return np.concatenate(rows).astype(np.int64)


class _TextGenerator:
    """Generates queries and titles. A topic is a row of `related`: a word or a given query."""

    def __init__(
        self,
        vocabulary_words: Sequence[str],
        titles: Sequence[str],
        related: NDArray[np.int64],
        rng: random.Random,
    ) -> None:
        self._words, self._titles, self._related = vocabulary_words, titles, related
        self.rng = rng

    def topics(self) -> list[int]:
        """1 to 4 distinct words: a random one, and others that are related to it or random."""
        first = self.rng.randrange(len(self._words))
        topics = [first]
        for _ in range(self.rng.choice((0, 1, 1, 2, 2, 3))):
            related = self.rng.random() < 0.65
            topics.append(
                self._related_word(first) if related else self.rng.randrange(len(self._words))
            )
        self.rng.shuffle(topics)
        return list(dict.fromkeys(topics))

    def text_of(self, topics: Sequence[int]) -> str:
        return " ".join(self._words[topic] for topic in topics)

    def title(self, query: str, topics: Sequence[int]) -> str:
        """Other words among the query's, each of which is kept, replaced or dropped."""
        kept_rate = self.rng.choice((0.0, 0.3, 0.6, 1.0))
        replaced_rate = self.rng.random()
        title: list[str] = []
        for word in words(query):
            if self.rng.random() < kept_rate:
                title.append(word)
            elif self.rng.random() < replaced_rate:
                title.append(self._words[self._related_word(self.rng.choice(topics))])
        on_topic = self.rng.random() < 0.6
        topic = self.rng.choice(topics) if on_topic else self.rng.randrange(len(self._words))
        for _ in range(self.rng.randint(1, 4)):
            title.append(self._words[self._related_word(topic)])
        if self.rng.random() < 0.6:
            self.rng.shuffle(title)
        at = self.rng.randrange(len(title) + 1)
        return " ".join(dict.fromkeys([*title[:at], *self._excerpt(), *title[at:]]))

    def _related_word(self, topic: int) -> int:
        return int(self.rng.choice(self._related[topic]))

    def _excerpt(self) -> list[str]:
        """Up to five adjacent words of a real title: brands, sizes, numbers."""
        if not self._titles:
            return []
        title = words(self._titles[self.rng.randrange(len(self._titles))])
        start = self.rng.randrange(len(title)) if title else 0
        return title[start : start + self.rng.randint(0, 5)]
