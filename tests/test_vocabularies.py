"""Vocabularies (tri-letters, n-grams, WordPiece): common behaviour, then each one's tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank.artifact import SHIPPED
from qtr_rerank.errors import ArtifactError, SettingsError
from qtr_rerank.features.ngrams import NGrams
from qtr_rerank.features.token_list import UNKNOWN_ID, TokenList
from qtr_rerank.features.triletters import TriLetters
from qtr_rerank.features.vocabulary import (
    VOCABULARY_FILES,
    Vocabulary,
    build_vocabulary,
    load_vocabulary,
    used_columns,
)

TEXTS = ["Red shoe, size 9", "red mug", "Shoe rack", "USB-C cable 2m", "red red red", "日本 mug"]
VOCABULARIES: dict[str, Vocabulary] = {
    "wordpiece": load_vocabulary(SHIPPED / "twin", "wordpiece"),
    "triletters": build_vocabulary(TEXTS, "triletters"),
    "ngrams": build_vocabulary(TEXTS, "ngrams"),
}
reads = pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=list(VOCABULARIES))


@reads
@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(max_size=40) | st.sampled_from(TEXTS), max_size=6),
    most=st.integers(1, 9),
    fixed=st.booleans(),
)
def test_ids_are_whole_tokens_of_known_width_padded_at_the_end(
    vocabulary: Vocabulary, texts: list[str], most: int, fixed: bool
) -> None:
    ids = vocabulary.encode(texts, most, fixed_width=fixed)
    assert ids.dtype == np.int32
    assert ids.shape[0] == len(texts)
    assert ids.shape[1] % vocabulary.unit == 0
    assert vocabulary.unit <= ids.shape[1] <= most * vocabulary.unit
    assert not fixed or ids.shape[1] == most * vocabulary.unit
    assert (ids >= 0).all()
    assert (ids < len(vocabulary)).all()
    tokens = ids.reshape(len(texts), ids.shape[1] // vocabulary.unit, vocabulary.unit)
    # Padding follows text: of the tokens in a text, and of the parts in a token.
    for filled in (tokens != 0, (tokens != 0).any(axis=2)):
        assert (np.diff(filled.astype(int), axis=-1) <= 0).all()
    np.testing.assert_array_equal(ids, vocabulary.encode(texts, most, fixed_width=fixed))


@reads
@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=40) | st.sampled_from(TEXTS), most=st.integers(1, 9))
def test_ids_do_not_depend_on_batch_width_or_limit(
    vocabulary: Vocabulary, text: str, most: int
) -> None:
    alone = vocabulary.encode([text], most)
    together = vocabulary.encode([*TEXTS, text], 12, fixed_width=True)[-1:]
    columns = int(used_columns(alone, vocabulary.unit)[0])
    np.testing.assert_array_equal(together[:, :columns], alone[:, :columns])


@reads
def test_used_columns_are_whole_tokens(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode(["red mug", "", "red"], 8, fixed_width=True)
    columns = used_columns(ids, vocabulary.unit)
    assert columns[1] == 0
    assert columns[0] > columns[2] > 0
    assert (columns % vocabulary.unit == 0).all()
    assert not ids[0, columns[0] :].any()


@pytest.mark.parametrize("name", list(VOCABULARIES))
def test_vocabulary_round_trips_through_its_file(name: str, tmp_path: Path) -> None:
    vocabulary = VOCABULARIES[name]
    vocabulary.save(tmp_path)
    content = (tmp_path / VOCABULARY_FILES[name]).read_bytes()
    again = load_vocabulary(tmp_path, name)
    assert len(again) == len(vocabulary)
    np.testing.assert_array_equal(again.encode(TEXTS, 9), vocabulary.encode(TEXTS, 9))
    again.save(tmp_path)
    assert (tmp_path / VOCABULARY_FILES[name]).read_bytes() == content


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_vocabulary_built_from_texts_knows_them(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("vocabulary")
    for name in ("triletters", "ngrams"):
        vocabulary = build_vocabulary(texts, name)
        vocabulary.save(folder)
        assert UNKNOWN_ID not in vocabulary.encode(texts, 100)
        again = load_vocabulary(folder, name)
        np.testing.assert_array_equal(again.encode(texts, 9), vocabulary.encode(texts, 9))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Mug", [[2, 3, 4]]),
        ("m-U.g  mug!", [[2, 3, 4], [2, 3, 4]]),
        ("ＭＵＧ", [[2, 3, 4]]),
        ("mat", [[1, 1, 1]]),
        ("!?", [[0, 0, 0]]),
    ],
    ids=["a word", "marks deleted", "wide letters", "unknown", "no letters"],
)
def test_triletters_are_windows_over_marked_words(text: str, rows: list[list[int]]) -> None:
    vocabulary = TriLetters(TokenList(["#mu", "mug", "ug#"]))
    ids = vocabulary.encode([text], 12).reshape(-1, 20)
    assert ids[:, :3].tolist() == rows
    assert not ids[:, 3:].any()


def test_long_words_and_texts_are_cut() -> None:
    vocabulary = TriLetters.from_texts(["abcdefghijklmnopqrstuvwxyz0123456789"])
    ids = vocabulary.encode(["abcdefghijklmnopqrstuvwxyz0123456789 " * 30], 12)
    assert ids.shape == (1, 240)
    assert (ids > UNKNOWN_ID).all()


@pytest.mark.parametrize(
    ("text", "grams"),
    [
        ("Red  SHOE", ["^ red", "red", "red shoe", "shoe", "shoe $s"]),
        ("mug", ["^ mug", "mug", "mug $s"]),
        (" ", []),
    ],
)
def test_ngrams_are_words_and_pairs(text: str, grams: list[str]) -> None:
    known = ["^ red", "red", "red shoe", "shoe", "shoe $s", "^ mug", "mug", "mug $s"]
    vocabulary = NGrams(TokenList(known))
    expected = [known.index(gram) + 2 for gram in grams] or [0]
    assert vocabulary.encode([text], 9)[0].tolist() == expected


@pytest.mark.parametrize(
    ("build", "kept"), [(TriLetters.from_texts, 4), (NGrams.from_texts, 6)], ids=["tri", "n-grams"]
)
def test_most_frequent_tokens_are_kept(build: Callable[..., Vocabulary], kept: int) -> None:
    vocabulary = build(["mug mug mug", "mug", "cup"], 4)
    assert len(vocabulary) == kept
    assert UNKNOWN_ID not in vocabulary.encode(["mug"], 2)[0, :2]
    assert UNKNOWN_ID in vocabulary.encode(["cup"], 2)


def test_frequency_ties_are_alphabetical() -> None:
    first, second = (TokenList.most_frequent(tokens, 2) for tokens in (["b", "a", "c"], "cab"))
    assert first.ids("abc") == second.ids("abc") == [2, 3, UNKNOWN_ID]


def test_unknown_vocabulary_error_lists_names(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'bytes'.*ngrams.*triletters.*wordpiece"):
        load_vocabulary(tmp_path, "bytes")
    with pytest.raises(SettingsError, match=r"'wordpiece' is not counted in texts"):
        build_vocabulary([], "wordpiece")


@pytest.mark.parametrize("name", list(VOCABULARIES))
@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"a\na\n"])
def test_broken_file_is_refused(name: str, content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / VOCABULARY_FILES[name]).write_bytes(content)
    with pytest.raises(ArtifactError, match=VOCABULARY_FILES[name]):
        load_vocabulary(tmp_path, name)
