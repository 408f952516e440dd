"""Features: what every vocabulary does, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import SettingsError
from qtr_rerank.features import ngrams, triletters, wordpiece
from qtr_rerank.features.ngrams import NGrams
from qtr_rerank.features.triletters import TriLetters
from qtr_rerank.features.wordpiece import WordPiece

VocabularyName = Literal["wordpiece", "triletters", "ngrams"]


class Vocabulary(Protocol):
    """Text to ids. Id 0 is padding, in every vocabulary; all of them are safe between threads."""

    @property
    def unit(self) -> int:
        """Columns that a token takes."""
        ...

    def __len__(self) -> int:
        """How many ids there are."""
        ...

    def encode(
        self, texts: Sequence[str], max_tokens: int, *, fixed_width: bool = False
    ) -> NDArray[np.int32]:
        """Ids (texts, tokens * unit), cut at `max_tokens`, padded with 0 to the longest text (at
        least one token), or to `max_tokens` where `fixed_width` is set.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write its file, `VOCABULARY_FILES`, into a folder."""
        ...


VOCABULARY_FILES: Mapping[str, str] = {
    "wordpiece": wordpiece.FILE,
    "triletters": triletters.FILE,
    "ngrams": ngrams.FILE,
}
_LOADERS: Mapping[str, Callable[[Path], Vocabulary]] = {
    "wordpiece": WordPiece.load,
    "triletters": TriLetters.load,
    "ngrams": NGrams.load,
}
_BUILDERS: Mapping[str, Callable[[Iterable[str]], Vocabulary]] = {
    "triletters": TriLetters.from_texts,
    "ngrams": NGrams.from_texts,
}


def load_vocabulary(folder: Path, reads: str) -> Vocabulary:
    """The vocabulary that a folder keeps. Raises SettingsError for an unknown one,
    ArtifactError where its file is missing or unreadable.
    """
    if reads not in _LOADERS:
        raise SettingsError(f"the vocabulary is {reads!r}; expected one of {sorted(_LOADERS)}")
    return _LOADERS[reads](folder)


def build_vocabulary(texts: Iterable[str], reads: str) -> Vocabulary:
    """A vocabulary counted in texts. Raises SettingsError for one that is not made that way."""
    if reads not in _BUILDERS:
        raise SettingsError(
            f"the vocabulary {reads!r} is not counted in texts; expected one of "
            f"{sorted(_BUILDERS)} (WordPiece comes with an encoder)"
        )
    return _BUILDERS[reads](texts)


def used_columns(ids: NDArray[np.int32], unit: int) -> NDArray[np.int64]:
    """Columns that each text needs, whole tokens: up to its last id that is not padding."""
    places = np.arange(1, ids.shape[1] + 1)
    last = np.where(ids != 0, places, 0).max(axis=1, initial=0)
    columns: NDArray[np.int64] = -(-last // unit) * unit
    return columns
