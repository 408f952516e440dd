"""The option `--set name=value`: sets any field of a settings class from the command line."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from qtr_rerank.errors import SettingsError

Settings = TypeVar("Settings")


def with_overrides(settings: Settings, assignments: Sequence[str]) -> Settings:
    """`settings` with `name=value` applied; `part.name=value` sets a field of a nested class.

    Values are parsed by the field's type. Raises SettingsError, with the known fields where the
    name is unknown.
    """
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise SettingsError(f"--set {assignment!r}: expected name=value")
        settings = _replaced(settings, name.strip().split("."), value.strip(), assignment)
    return settings


def _replaced(settings: Any, path: Sequence[str], value: str, assignment: str) -> Any:
    types_of = typing.get_type_hints(type(settings))
    names = [field.name for field in fields(settings)]
    if path[0] not in names:
        raise SettingsError(f"--set {assignment!r}: no field {path[0]!r}; there are {names}")
    if len(path) > 1:
        part = getattr(settings, path[0])
        if not is_dataclass(part):
            raise SettingsError(f"--set {assignment!r}: {path[0]!r} has no fields of its own")
        return replace(settings, **{path[0]: _replaced(part, path[1:], value, assignment)})
    return replace(settings, **{path[0]: _value(value, types_of[path[0]], assignment)})


def _value(text: str, expected: Any, assignment: str) -> Any:
    if isinstance(expected, types.UnionType):
        if text.lower() == "none" and type(None) in expected.__args__:
            return None
        expected = next(kind for kind in expected.__args__ if kind is not type(None))
    if typing.get_origin(expected) is typing.Literal:
        choices = typing.get_args(expected)
        if text not in choices:
            raise SettingsError(f"--set {assignment!r}: expected one of {list(choices)}")
        return text
    if expected is str:
        return text
    try:
        parsed = json.loads(text.lower() if expected is bool else text)
    except ValueError:
        parsed = None
    if typing.get_origin(expected) is tuple and isinstance(parsed, list):
        return tuple(parsed)
    if expected is float and isinstance(parsed, int) and not isinstance(parsed, bool):
        return float(parsed)
    if not isinstance(expected, type) or type(parsed) is not expected:
        kind = getattr(expected, "__name__", str(expected))
        raise SettingsError(f"--set {assignment!r}: {text!r} is not a valid {kind}")
    return parsed
