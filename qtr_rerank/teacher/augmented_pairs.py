"""Pairs -> transfer pairs: variations of given pairs, which a teacher labels afterwards.

BertBiLSTM (arXiv 2108.10197) augments its data for distillation but does not publish how. We
follow Tang et al. (arXiv 1903.12136, section 3.3): words masked, words replaced, n-grams sampled.
They replace a word by one of the same part of speech; we take a random word of all queries (or of
all titles). We add cross-pairing: a query with the title of another query.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qtr_rerank.errors import SettingsError
from qtr_rerank.teacher.transfer_pairs import TransferPair


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How many variations of each pair (`per_pair`), and the relative weight of each kind.

    `word_rate` is the probability that a word is masked or swapped.
    """

    per_pair: int = 1
    mask: float = 1.0
    swap: float = 1.0
    ngram: float = 1.0
    cross: float = 1.0
    word_rate: float = 0.15
    longest_ngram: int = 5
    seed: int = 7

    def __post_init__(self) -> None:
        if self.per_pair < 1 or self.longest_ngram < 1:
            raise SettingsError(
                f"per_pair={self.per_pair}, longest_ngram={self.longest_ngram}; "
                "expected at least 1 each"
            )
        weights = (self.mask, self.swap, self.ngram, self.cross)
        if min(weights) < 0 or not any(weights):
            raise SettingsError(
                f"weights (mask, swap, ngram, cross) {weights}; expected none negative, one above 0"
            )
        if not 0.0 < self.word_rate <= 1.0:
            raise SettingsError(f"word_rate={self.word_rate}; expected above 0, at most 1")


def augment(pairs: Sequence[tuple[str, str]], settings: AugmentSettings) -> Iterator[TransferPair]:
    """Distinct variations of (query, title) pairs, none of them among `pairs`.

    `source` names the kind. Each variation changes one side of a pair, the title twice as often as
    the query: it has more words.
    """
    rng = random.Random(settings.seed)
    seen = set(pairs)
    query_words = sorted({word for query, _ in pairs for word in query.split()})
    title_words = sorted({word for _, title in pairs for word in title.split()})
    titles = [title for _, title in pairs]
    kinds: dict[str, tuple[float, Callable[[list[str], Sequence[str]], list[str]]]] = {
        "mask": (settings.mask, lambda text, _: _mask(text, settings.word_rate, rng)),
        "swap": (settings.swap, lambda text, pool: _swap(text, pool, settings.word_rate, rng)),
        "ngram": (settings.ngram, lambda text, _: _ngram(text, settings.longest_ngram, rng)),
    }
    names = [*kinds, "cross"]
    weights = [*(weight for weight, _ in kinds.values()), settings.cross]
    for query, title in pairs:
        for kind in rng.choices(names, weights, k=settings.per_pair):
            if kind == "cross":
                varied = (query, rng.choice(titles))
            elif rng.random() < 2 / 3:
                varied = (query, " ".join(kinds[kind][1](title.split(), title_words)))
            else:
                varied = (" ".join(kinds[kind][1](query.split(), query_words)), title)
            if all(varied) and varied not in seen:
                seen.add(varied)
                yield TransferPair(varied[0], varied[0], varied[1], kind)


def _mask(text: list[str], rate: float, rng: random.Random) -> list[str]:
    """Words dropped, not replaced by [MASK], which no shop's text contains; at least one stays."""
    kept = [word for word in text if rng.random() >= rate]
    return kept or text[:1]


def _swap(text: list[str], pool: Sequence[str], rate: float, rng: random.Random) -> list[str]:
    return [rng.choice(pool) if rng.random() < rate else word for word in text]


def _ngram(text: list[str], longest: int, rng: random.Random) -> list[str]:
    if not text:
        return []
    length = min(len(text), rng.randint(1, longest))
    start = rng.randrange(len(text) - length + 1)
    return text[start : start + length]
