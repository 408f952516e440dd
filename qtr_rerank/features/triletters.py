"""Encodes text as tri-letter ids, the input of TwinBERT.

After TwinBERT (arXiv 2002.06275) and the code derived from its authors' (microsoft/TextGNN):
lower case, everything but letters, digits and space deleted, words marked (`#word#`) and cut into
windows of three letters: `#wo wor ord rd#`. A word is one row of ids, which the model sums.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.features.token_list import TokenList
from qtr_rerank.text import normalise

FILE = "triletters.txt"
LETTERS_A_WORD = 20
"""Tri-letters that are kept of a word, and columns that a word takes."""
MOST_TRILETTERS = 49_292
"""The size that the paper gives: 49,284 of letters and digits, and eight special ones."""
_DELETED = re.compile(r"[^a-zA-Z0-9 ]")
# Longer texts are cut before cleaning: only the first words of a title count.
_CHARACTERS_A_WORD = 404


class TriLetters:
    """A tri-letter vocabulary: ids (texts, words * 20), each word padded with 0 to 20 columns."""

    unit = LETTERS_A_WORD

    def __init__(self, letters: TokenList) -> None:
        self._letters = letters

    @classmethod
    def from_texts(cls, texts: Iterable[str], most: int = MOST_TRILETTERS) -> TriLetters:
        """The most frequent of the texts, `most` ids at most, including padding and unknown."""
        found = (letters for text in texts for word in _words(text) for letters in _windows(word))
        return cls(TokenList.most_frequent(found, most - 2))

    @classmethod
    def load(cls, folder: Path) -> TriLetters:
        """Read `triletters.txt`. Raises ArtifactError where it is missing or unreadable."""
        return cls(TokenList.from_file(folder / FILE))

    def __len__(self) -> int:
        return len(self._letters)

    def save(self, folder: Path) -> None:
        """Write `triletters.txt`; the same vocabulary gives the same bytes."""
        self._letters.save(folder / FILE)

    def encode(
        self, texts: Sequence[str], max_tokens: int, *, fixed_width: bool = False
    ) -> NDArray[np.int32]:
        """Ids (texts, words * 20), cut at `max_tokens` words, padded with 0 to the longest text
        (at least one word), or to `max_tokens` words where `fixed_width` is set.
        """
        rows = [_words(text[: max_tokens * _CHARACTERS_A_WORD])[:max_tokens] for text in texts]
        longest = max_tokens if fixed_width else max([1, *map(len, rows)])
        ids = np.zeros((len(rows), longest, self.unit), dtype=np.int32)
        for place, row in enumerate(rows):
            for number, word in enumerate(row):
                letters = self._letters.ids(_windows(word))
                ids[place, number, : len(letters)] = letters
        return ids.reshape(len(rows), longest * self.unit)


def _words(text: str) -> list[str]:
    return _DELETED.sub("", normalise(text)).split()


def _windows(word: str) -> list[str]:
    """`#word#` in windows of three, the first 20 of them."""
    marked = f"#{word}#"
    return [marked[place : place + 3] for place in range(len(marked) - 2)][:LETTERS_A_WORD]
