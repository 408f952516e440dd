"""Titles: checked access to one table of a TOML file, with errors that name file and entry."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn, TypeGuard

from qtr_rerank.errors import DataError


class Entry:
    """One table, read key by key. Every method raises DataError for a missing or unfit value."""

    def __init__(self, where: str, content: object) -> None:
        self.where = where
        if not isinstance(content, dict):
            self.refuse(f"{content!r}; expected a table")
        self._content: Mapping[str, object] = content
        self._known: list[str] = []

    @classmethod
    def of_file(cls, path: Path) -> Entry:
        """The whole of a TOML file; `where` is the file's name."""
        try:
            return cls(path.name, tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DataError(f"{path.name} is not a readable TOML file: {error}") from None

    def refuse(self, reason: str) -> NoReturn:
        raise DataError(f"{self.where}: {reason}")

    def has(self, key: str) -> bool:
        self._known.append(key)
        return key in self._content

    def names(self) -> list[str]:
        """The keys of a table whose keys are data."""
        self._known += self._content
        return list(self._content)

    def raw(self, key: str) -> object:
        if not self.has(key):
            self.refuse(f"lacks '{key}'")
        return self._content[key]

    def text(self, key: str, default: str | None = None) -> str:
        if default is not None and not self.has(key):
            return default
        value = self.raw(key)
        if not isinstance(value, str) or not value or value != value.strip():
            self.refuse(f"{key} = {value!r}; expected a text without spaces at its ends")
        return value

    def one_of(self, key: str, allowed: Sequence[str], default: str) -> str:
        value = self.text(key, default)
        if value not in allowed:
            self.refuse(f"{key} = {value!r}; expected one of {', '.join(allowed)}")
        return value

    def texts(self, key: str, least: int = 1, blank: bool = False) -> tuple[str, ...]:
        """A list of different texts. With `blank` they may be "" and equal. Missing = empty."""
        value = self._content[key] if self.has(key) else []
        if (
            not isinstance(value, list)
            or len(value) < least
            or not all(isinstance(one, str) and one == one.strip() for one in value)
            or not (blank or (all(value) and len(set(value)) == len(value)))
        ):
            self.refuse(f"{key} = {value!r}; expected a list of {least} or more different texts")
        return tuple(value)

    def number(
        self, key: str, default: float, low: float = 0.0, high: float = 1_000_000.0
    ) -> float:
        value = self._content[key] if self.has(key) else default
        if not is_number(value) or not low <= value <= high:
            self.refuse(f"{key} = {value!r}; expected a number from {low:g} to {high:g}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._content[key] if self.has(key) else default
        if not isinstance(value, bool):
            self.refuse(f"{key} = {value!r}; expected true or false")
        return value

    def table(self, key: str) -> Entry:
        return Entry(f"{self.where}, {key}", self.raw(key))

    def finish(self) -> None:
        """Refuse the keys that nothing has read."""
        for key in self._content:
            if key not in self._known:
                near = get_close_matches(key, self._known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(self._known)}"
                self.refuse(f"unknown key '{key}'; {hint}")


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
