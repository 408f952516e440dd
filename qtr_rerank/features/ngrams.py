"""Encodes text as ids of words and word pairs, the input of BERT2DNN.

After BERT2DNN (arXiv 2010.10442) and its code (e-commerce-search/bert2dnn, `tokenizer.py`): lower
case, split on white space. Each word follows the pair that it ends; marks at both ends of the text
occur in pairs only. `red shoe` becomes `^ red`, `red`, `red shoe`, `shoe`, `shoe $s`: n words give
2n + 1 ids, an empty text gives none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.features.token_list import TokenList
from qtr_rerank.text import normalise

FILE = "ngrams.txt"
MOST_NGRAMS = 150_000
"""The size that the paper gives."""
_START, _END = "^", "$s"
# Longer texts are cut before splitting: only the first words of a title count.
_CHARACTERS_A_TOKEN = 404


class NGrams:
    """A vocabulary of words and pairs of words: ids (texts, tokens), padded with 0."""

    unit = 1

    def __init__(self, grams: TokenList) -> None:
        self._grams = grams

    @classmethod
    def from_texts(cls, texts: Iterable[str], most: int = MOST_NGRAMS) -> NGrams:
        """The `most` most frequent words and pairs of the texts, plus padding and unknown."""
        return cls(TokenList.most_frequent((gram for text in texts for gram in _grams(text)), most))

    @classmethod
    def load(cls, folder: Path) -> NGrams:
        """Read `ngrams.txt`. Raises ArtifactError where it is missing or unreadable."""
        return cls(TokenList.from_file(folder / FILE))

    def __len__(self) -> int:
        return len(self._grams)

    def save(self, folder: Path) -> None:
        """Write `ngrams.txt`; the same vocabulary gives the same bytes."""
        self._grams.save(folder / FILE)

    def encode(
        self, texts: Sequence[str], max_tokens: int, *, fixed_width: bool = False
    ) -> NDArray[np.int32]:
        """Ids (texts, tokens), cut at `max_tokens`, padded with 0 to the longest text (at least
        one column), or to `max_tokens` where `fixed_width` is set.
        """
        rows = [
            self._grams.ids(_grams(text[: max_tokens * _CHARACTERS_A_TOKEN])[:max_tokens])
            for text in texts
        ]
        longest = max_tokens if fixed_width else max([1, *map(len, rows)])
        ids = np.zeros((len(rows), longest), dtype=np.int32)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        return ids


def _grams(text: str) -> list[str]:
    words = normalise(text).split()
    if not words:
        return []
    grams = [f"{_START} {words[0]}"]
    for word, following in zip(words, [*words[1:], _END], strict=True):
        grams += [word, f"{word} {following}"]
    return grams
