"""Normalisation of queries and titles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.text import normalise, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  USB-C\tCable\n", "usb-c cable"),
        ("ＵＳＢ ½ m", "usb 1⁄2 m"),
        ("Café", "café"),
        ("a\x00b", "a b"),
        ("", ""),
    ],
)
def test_variants_of_a_text_normalise_to_one(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text())
def test_normalise_is_idempotent(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('HP dv7-1211ea 43.2 cm (17")', ["hp", "dv7-1211ea", "43.2", "cm", "17"]),
        ("men's 1/2 in.", ["men's", "1/2", "in"]),
        ("!!! _ --", []),
    ],
)
def test_sizes_and_part_numbers_stay_one_word(text: str, expected: list[str]) -> None:
    assert words(text) == expected
