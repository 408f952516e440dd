"""Augmented pairs for distillation, and settings given on the command line (`--set`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.cli.set_option import with_overrides
from qtr_rerank.errors import SettingsError
from qtr_rerank.teacher.augmented_pairs import AugmentSettings, augment

VOCABULARY = ["red", "blue", "steel", "kettle", "lamp", "hose", "40w", "ps4"]
WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1)
PAIRS = st.lists(st.tuples(WORDS.map(" ".join), WORDS.map(" ".join)), min_size=1, max_size=12)


@given(PAIRS, st.integers(1, 3))
def test_variations_are_new_and_never_empty(pairs: list[tuple[str, str]], per_pair: int) -> None:
    varied = list(augment(pairs, AugmentSettings(per_pair=per_pair)))
    texts = [(pair.query, pair.title) for pair in varied]
    assert len(set(texts)) == len(texts) <= per_pair * len(pairs)
    assert not set(texts) & set(pairs)
    assert all(pair.query and pair.title for pair in varied)
    assert all(pair.clean_query == pair.query for pair in varied)


@given(PAIRS)
def test_variations_depend_only_on_the_seed(pairs: list[tuple[str, str]]) -> None:
    assert list(augment(pairs, AugmentSettings())) == list(augment(pairs, AugmentSettings()))


@given(PAIRS)
def test_masking_removes_words_and_keeps_their_order(pairs: list[tuple[str, str]]) -> None:
    only = AugmentSettings(swap=0, ngram=0, cross=0, word_rate=0.5)
    for pair in augment(pairs, only):
        assert pair.source == "mask"
        assert any(
            _subsequence(pair.query.split(), query.split())
            and _subsequence(pair.title.split(), title.split())
            for query, title in pairs
        )


def test_cross_pairing_gives_a_query_the_title_of_another() -> None:
    pairs = [("lamp", "red lamp"), ("hose", "garden hose")]
    only = AugmentSettings(per_pair=8, mask=0, swap=0, ngram=0)
    varied = {(pair.query, pair.title) for pair in augment(pairs, only)}
    assert varied == {("lamp", "garden hose"), ("hose", "red lamp")}


def _subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(word in rest for word in part)


@pytest.mark.parametrize(
    "wrong",
    [
        {"per_pair": 0},
        {"mask": -1.0},
        {"mask": 0, "swap": 0, "ngram": 0, "cross": 0},
        {"word_rate": 0},
    ],
)
def test_impossible_settings_are_errors(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        AugmentSettings(**wrong)


@dataclass(frozen=True)
class _Inner:
    size: int = 3


@dataclass(frozen=True)
class _Outer:
    inner: _Inner = field(default_factory=_Inner)
    rate: float = 0.5
    name: str = "a"
    mode: Literal["x", "y"] = "x"
    flag: bool = False
    limit: int | None = None


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("inner.size=8", _Outer(inner=_Inner(8))),
        ("rate=2", _Outer(rate=2.0)),
        ("rate=1e-4", _Outer(rate=1e-4)),
        ("name=b=c", _Outer(name="b=c")),
        ("mode=y", _Outer(mode="y")),
        ("flag=True", _Outer(flag=True)),
        ("limit=5", _Outer(limit=5)),
        ("limit=none", _Outer()),
    ],
)
def test_a_value_is_parsed_by_the_type_of_its_field(assignment: str, expected: _Outer) -> None:
    assert with_overrides(_Outer(), [assignment]) == expected


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("rate", "expected name=value"),
        ("speed=1", r"no field 'speed'; there are \['inner', 'rate'"),
        ("inner.size=big", "'big' is not a valid int"),
        ("inner.size=1.5", "'1.5' is not a valid int"),
        ("rate=fast", "'fast' is not a valid float"),
        ("mode=z", r"expected one of \['x', 'y'\]"),
        ("name.first=1", "has no fields of its own"),
        ("flag=1", "'1' is not a valid bool"),
    ],
)
def test_an_assignment_that_does_not_fit_is_an_error(assignment: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        with_overrides(_Outer(), [assignment])
