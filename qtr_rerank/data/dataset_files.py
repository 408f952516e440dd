"""Finds a file of a public data set in its folder, under its published or repacked name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtr_rerank.errors import DataError


def find_file(folder: Path | str, names: Sequence[str]) -> Path | None:
    """The first of `names` in the folder, or the path itself where it is a file, else None."""
    path = Path(folder)
    if path.is_file():
        return path
    return next((path / name for name in names if (path / name).is_file()), None)


def first_file(folder: Path | str, names: Sequence[str]) -> Path:
    """As `find_file`, but raises DataError where there is none."""
    found = find_file(folder, names)
    if found is None:
        raise DataError(f"{folder} has none of {', '.join(names)}; see 'qtr data list'")
    return found
