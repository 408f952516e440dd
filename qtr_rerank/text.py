"""Normalisation of queries and titles, the only copy: trainer, indexer and server all call it."""

from __future__ import annotations

import re
import unicodedata

_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[^\W_]+(?:[.,'/-][^\W_]+)*")
# Controls, and lone surrogates: they come from broken JSON escapes, and no tokenizer takes them.
_CONTROL = dict.fromkeys((*range(32), 127, *range(0xD800, 0xE000)), " ")


def normalise(text: str) -> str:
    """Compatibility forms folded (NFKC), lower case, control characters and runs of space to one.

    Idempotent. Accents stay: the vocabularies fold them as they need.
    """
    # Twice: lower-casing can undo the composition (e.g. U+0130), and the second pass settles it.
    folded = text.translate(_CONTROL)
    for _ in range(2):
        folded = unicodedata.normalize("NFKC", folded).lower()
    return _SPACE.sub(" ", folded).strip()


def words(text: str) -> list[str]:
    """Normalised words; inner dots, commas, hyphens, slashes and apostrophes stay inside them.

    So sizes and part numbers survive as one word: `43.2`, `dv7-1211ea`, `1/2`.
    """
    return _WORD.findall(normalise(text))
