"""Vocabulary pairs: every word is used, beside related words and excerpts of titles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.teacher.vocabulary_pairs import (
    VocabularyPairSettings,
    make_vocabulary_pairs,
    whole_words,
)

LETTERS = "abcdefghij"
VOCABULARY = ["[PAD]", "##ing", "an", *(f"{a}{b}{a}" for a in LETTERS for b in LETTERS)]
TITLES = ["Acme hose 20 m green", "Acme lamp 40 W"]


def by_first_letter(texts: Sequence[str]) -> NDArray[np.float32]:
    """A bi-encoder for which words with the same first letter have the same meaning."""
    vectors = np.zeros((len(texts), len(LETTERS)), dtype=np.float32)
    vectors[np.arange(len(texts)), [LETTERS.index(text[0]) for text in texts]] = 1.0
    return vectors


def test_word_pieces_and_short_words_are_not_whole_words() -> None:
    assert whole_words(["[PAD]", "##ing", "an", "hose", "20", "café"]) == ["hose"]


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.integers(1, 200), st.integers(1, 5), st.integers(0, 10_000))
def test_pairs_are_distinct_deterministic_and_of_the_given_number(
    pairs: int, per_query: int, seed: int
) -> None:
    settings = VocabularyPairSettings(pairs, per_query, neighbours=9, seed=seed)
    first, second = (
        list(make_vocabulary_pairs(VOCABULARY, TITLES, ["bab case"], by_first_letter, settings))
        for _ in range(2)
    )
    assert first == second
    assert len({(pair.query, pair.title) for pair in first}) == len(first) == pairs
    assert all(pair.query and pair.title for pair in first)


def test_titles_contain_related_words_and_excerpts_of_real_titles() -> None:
    settings = VocabularyPairSettings(2_000, neighbours=9, given_rate=0.5)
    pairs = list(make_vocabulary_pairs(VOCABULARY, TITLES, ["bab case"], by_first_letter, settings))
    given_pairs = [pair for pair in pairs if pair.query == "bab case"]
    assert 0.4 < len(given_pairs) / len(pairs) < 0.6
    words_of_b = sum(word.startswith("b") for pair in given_pairs for word in pair.title.split())
    words_of_c = sum(
        len(word) == 3 and word.startswith("c")
        for pair in given_pairs
        for word in pair.title.split()
    )
    assert words_of_b > 5 * words_of_c
    assert any("hose 20 m" in pair.title for pair in pairs)
    used = {word for pair in pairs for word in pair.title.split()}
    assert set(whole_words(VOCABULARY)) <= used


def test_a_vocabulary_without_whole_words_is_an_error() -> None:
    with pytest.raises(DataError, match="has 1 whole words"):
        list(
            make_vocabulary_pairs(
                ["##a", "hose"], TITLES, [], by_first_letter, VocabularyPairSettings()
            )
        )


def test_zero_pairs_is_an_error() -> None:
    with pytest.raises(SettingsError, match="pairs=0"):
        VocabularyPairSettings(pairs=0)
