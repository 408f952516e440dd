"""Encodes text as WordPiece ids, with BERT's vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from qtr_rerank.errors import ArtifactError
from qtr_rerank.text import normalise

FILE = "tokenizer.json"
PAD_ID = 0
"""Padding in every id array; the id of `[PAD]` in BERT's vocabularies."""


class WordPiece:
    """A WordPiece vocabulary; ids have no special tokens and are padded with 0.

    `Tokenizer.encode_batch` is safe to call from several threads; so is this.
    """

    unit = 1

    def __init__(self, tokenizer: Tokenizer) -> None:
        if tokenizer.token_to_id("[PAD]") != PAD_ID:
            raise ArtifactError(
                f"the vocabulary has [PAD] at {tokenizer.token_to_id('[PAD]')}, expected 0; "
                "use a BERT vocabulary"
            )
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, path: Path) -> WordPiece:
        """Read a `tokenizer.json`. Raises ArtifactError where it is missing or unreadable."""
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; the model folder is incomplete")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:
            raise ArtifactError(f"{path} is not a tokenizer file: {error}") from error

    @classmethod
    def load(cls, folder: Path) -> WordPiece:
        """Read the `tokenizer.json` of a folder, as `from_file` does."""
        return cls.from_file(folder / FILE)

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def save(self, folder: Path) -> None:
        """Write the vocabulary as `tokenizer.json`; the same vocabulary gives the same bytes."""
        self._tokenizer.save(str(folder / FILE))

    def tokens(self) -> list[str]:
        """The pieces in the order of their ids."""
        vocabulary = self._tokenizer.get_vocab()
        return sorted(vocabulary, key=vocabulary.__getitem__)

    def encode(
        self, texts: Sequence[str], max_tokens: int, *, fixed_width: bool = False
    ) -> NDArray[np.int32]:
        """Ids (texts, tokens), cut at `max_tokens`, padded with 0 to the longest text (at least
        one column), or to `max_tokens` where `fixed_width` is set.
        """
        # Longer texts are cut before tokenising: only the first words of a title count. A piece
        # has at least one character; a word of up to 100 characters may give a single id.
        characters = max_tokens * 101
        encodings = self._tokenizer.encode_batch_fast(
            [normalise(text[: characters * 4])[:characters] for text in texts],
            add_special_tokens=False,
        )
        rows = [encoding.ids[:max_tokens] for encoding in encodings]
        longest = max_tokens if fixed_width else max([1, *map(len, rows)])
        ids = np.zeros((len(rows), longest), dtype=np.int32)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = row
        return ids
