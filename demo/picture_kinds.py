"""Page: which drawing fits a product, by the words of its title and category."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from qtr_rerank.data.sample import shop
from qtr_rerank.text import words

_FOLDER = Path(__file__).parent / "drawings"
DRAWINGS = frozenset(path.stem.replace("_", " ") for path in _FOLDER.glob("*.svg"))
FALLBACK = "box"

# Names of drawings, in the singular, that mean something else in other catalogs (network card,
# lead acid, cap screw).
_AMBIGUOUS = ("box", "can", "cap", "card", "filter", "lead", "tub", "tube")

Words = tuple[str, ...]


def guess_kind(title: str, category: str = "") -> str:
    """The drawing that fits the words best; `box` if none fits.

    The longest known name wins, of equally long ones the last, since English puts the noun last.
    Words after "for" or "with" say what a product goes with, not what it is; they count only if
    the rest has no known name.
    """
    head = re.split(r"\b(?:for|with|fits)\b|,| - |\(", title.lower(), maxsplit=1)[0]
    for text in (head, category, title):
        best = max(_names_in(text), default=None)
        if best is not None:
            return _drawings_by_name()[best[2]]
    return FALLBACK


def _names_in(text: str) -> Iterator[tuple[int, int, Words]]:
    """The known names in a text, as (number of words, position, words)."""
    names = _drawings_by_name()
    tokens = _singulars(text)
    for size in range(1, _longest_name() + 1):
        for start in range(len(tokens) - size + 1):
            name = tokens[start : start + size]
            if name in names:
                yield size, start, name


def _singulars(text: str) -> Words:
    return tuple(
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in words(text)
    )


@cache
def _drawings_by_name() -> Mapping[Words, str]:
    """The drawing for each known name: its own, the sample shop's and those of `names.toml`."""
    table = {_singulars(name): name for name in sorted(DRAWINGS)}
    for name in _AMBIGUOUS:
        del table[name,]
    for kind in shop().kinds.values():
        table |= {_singulars(noun): kind.picture for noun in (kind.type, *kind.nouns)}
    further = tomllib.loads((_FOLDER / "names.toml").read_text(encoding="utf-8"))
    for drawing, names in further.items():
        table |= {_singulars(name): drawing for name in names}
    return table


@cache
def _longest_name() -> int:
    return max(map(len, _drawings_by_name()))
