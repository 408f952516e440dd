"""The interface of all vocabularies, and the vocabularies by name."""

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
    """Encodes text as ids; threads may share it. Id 0 is padding in every vocabulary."""

    @property
    def unit(self) -> int:
        """Columns of one token."""
        ...

    def __len__(self) -> int:
        """Number of ids."""
        ...

    def encode(
        self, texts: Sequence[str], max_tokens: int, *, fixed_width: bool = False
    ) -> NDArray[np.int32]:
        """Ids (texts, tokens * unit), cut at `max_tokens`, padded with 0 to the longest text (at
        least one token), or to `max_tokens` where `fixed_width` is set.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the vocabulary's file (`VOCABULARY_FILES`) into a folder."""
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


def load_vocabulary(folder: Path, name: str) -> Vocabulary:
    """Load the named vocabulary from a folder.

    Raises SettingsError for an unknown name, ArtifactError where the file is missing or unreadable.
    """
    if name not in _LOADERS:
        raise SettingsError(f"the vocabulary is {name!r}; expected one of {sorted(_LOADERS)}")
    return _LOADERS[name](folder)


def build_vocabulary(texts: Iterable[str], name: str) -> Vocabulary:
    """Build the named vocabulary from texts. Raises SettingsError where that is not possible."""
    if name not in _BUILDERS:
        raise SettingsError(
            f"the vocabulary {name!r} is not counted in texts; expected one of "
            f"{sorted(_BUILDERS)} (WordPiece comes with an encoder)"
        )
    return _BUILDERS[name](texts)


def used_columns(ids: NDArray[np.int32], unit: int) -> NDArray[np.int64]:
    """Columns (texts,) that each text needs, in whole tokens, up to its last non-padding id."""
    places = np.arange(1, ids.shape[1] + 1)
    last = np.where(ids != 0, places, 0).max(axis=1, initial=0)
    columns: NDArray[np.int64] = -(-last // unit) * unit
    return columns
