"""Pairs -> more pairs: variations of texts that a teacher then labels, for distillation.

BertBiLSTM (arXiv 2108.10197) augments data in distillation and publishes no recipe; ours follows
Tang et al. (arXiv 1903.12136, section 3.3): words masked, words swapped, n-grams sampled. Without
a part-of-speech tagger a word is swapped with one that stands in the same kind of text. Product
search adds cross-pairing: a query meets the title of another query.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qtr_rerank.errors import SettingsError
from qtr_rerank.teacher.transfer_pairs import TransferPair


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How many variations of each pair, and how often of each kind (relative weights)."""

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
                f"weights (mask, swap, ngram, cross) {weights}; expected none below 0, one above"
            )
        if not 0.0 < self.word_rate <= 1.0:
            raise SettingsError(f"word_rate={self.word_rate}; expected above 0, at most 1")


def augment(pairs: Sequence[tuple[str, str]], settings: AugmentSettings) -> Iterator[TransferPair]:
    """Variations of (query, title) pairs, each once and none that was given.

    `source` names the kind. One side of a pair is varied at a time, the title twice as often as
    the query: it has more to lose.
    """
    chance = random.Random(settings.seed)
    seen = set(pairs)
    query_words = sorted({word for query, _ in pairs for word in query.split()})
    title_words = sorted({word for _, title in pairs for word in title.split()})
    titles = [title for _, title in pairs]
    kinds: dict[str, tuple[float, Callable[[list[str], Sequence[str]], list[str]]]] = {
        "mask": (settings.mask, lambda text, _: _mask(text, settings.word_rate, chance)),
        "swap": (settings.swap, lambda text, pool: _swap(text, pool, settings.word_rate, chance)),
        "ngram": (settings.ngram, lambda text, _: _ngram(text, settings.longest_ngram, chance)),
    }
    names = [*kinds, "cross"]
    weights = [*(weight for weight, _ in kinds.values()), settings.cross]
    for query, title in pairs:
        for kind in chance.choices(names, weights, k=settings.per_pair):
            if kind == "cross":
                varied = (query, chance.choice(titles))
            elif chance.random() < 2 / 3:
                varied = (query, " ".join(kinds[kind][1](title.split(), title_words)))
            else:
                varied = (" ".join(kinds[kind][1](query.split(), query_words)), title)
            if all(varied) and varied not in seen:
                seen.add(varied)
                yield TransferPair(varied[0], varied[0], varied[1], kind)


def _mask(text: list[str], rate: float, chance: random.Random) -> list[str]:
    """Words dropped; at least one stays. (BERT's [MASK] never stands in a shop's text.)"""
    kept = [word for word in text if chance.random() >= rate]
    return kept or text[:1]


def _swap(text: list[str], pool: Sequence[str], rate: float, chance: random.Random) -> list[str]:
    return [chance.choice(pool) if chance.random() < rate else word for word in text]


def _ngram(text: list[str], longest: int, chance: random.Random) -> list[str]:
    if not text:
        return []
    length = min(len(text), chance.randint(1, longest))
    start = chance.randrange(len(text) - length + 1)
    return text[start : start + length]
