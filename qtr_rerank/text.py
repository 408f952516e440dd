"""Normalises queries and titles, the same way for training, indexing and serving."""

from __future__ import annotations

import re
import unicodedata

_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[^\W_]+(?:[.,'/-][^\W_]+)*")
# Control characters, and lone surrogates: broken JSON escapes give them, tokenizers reject them.
_CONTROL = dict.fromkeys((*range(32), 127, *range(0xD800, 0xE000)), " ")


def normalise(text: str) -> str:
    """NFKC, lower case, control characters and runs of white space as one space.

    Idempotent. Accents stay: each vocabulary folds them as it needs.
    """
    # Twice: lower-casing can undo the composition (e.g. U+0130); the second pass restores it.
    folded = text.translate(_CONTROL)
    for _ in range(2):
        folded = unicodedata.normalize("NFKC", folded).lower()
    return _SPACE.sub(" ", folded).strip()


def words(text: str) -> list[str]:
    """Normalised words; inner dots, commas, hyphens, slashes and apostrophes do not split them.

    Sizes and part numbers stay one word: `43.2`, `dv7-1211ea`, `1/2`.
    """
    return _WORD.findall(normalise(text))
