"""A list of tokens, counted in texts and saved as a text file: the base of two vocabularies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from qtr_rerank.errors import ArtifactError

UNKNOWN_ID = 1
"""The id of unknown tokens; 0 is padding, the list begins at 2."""
_FIRST = 2


class TokenList:
    """Tokens and their ids. The file has one token a line, in the order of their ids from 2 on."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tuple(tokens)
        self._ids = {token: place for place, token in enumerate(self._tokens, _FIRST)}

    @classmethod
    def most_frequent(cls, tokens: Iterable[str], most: int) -> TokenList:
        """The `most` most frequent of `tokens`, most frequent first, ties in alphabetical order."""
        counts = Counter(tokens)
        return cls(sorted(counts, key=lambda token: (-counts[token], token))[:most])

    @classmethod
    def from_file(cls, path: Path) -> TokenList:
        """Read what `save` wrote. Raises ArtifactError where it is missing or unreadable."""
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; the model folder is incomplete")
        try:
            # Not splitlines(), which also splits at characters other than line feeds.
            tokens = path.read_text(encoding="utf-8").split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{path} is not a text file in UTF-8: {error}") from error
        if len(set(tokens)) < len(tokens) or "" in tokens:
            raise ArtifactError(f"{path} has empty or repeated lines; export the model again")
        return cls(tokens)

    def __len__(self) -> int:
        """Number of ids, including padding and unknown."""
        return _FIRST + len(self._tokens)

    def save(self, path: Path) -> None:
        """Write the list; the same list gives the same bytes."""
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{token}\n" for token in self._tokens)

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """The id of each token."""
        return [self._ids.get(token, UNKNOWN_ID) for token in tokens]
