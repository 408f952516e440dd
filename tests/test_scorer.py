"""Scorer: the shipped students in real ONNX sessions."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank.runtime.scorer import Scorer

NAMES = ["bert-bilstm", "bert2dnn", "match", "twin"]
TITLES = [
    "USB-C to USB-C cable 2 m black",
    "Leather phone case for Galaxy S10",
    "Logitech M185 wireless mouse",
    "",
    "日本語 タイトル ☕",
    "word " * 500,
]
# Title features have half precision, and batches may be summed in another order.
TOLERANCE = 2e-3


@pytest.fixture(scope="module", params=NAMES)
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return Scorer.load(request.param)


def test_a_batch_scores_like_single_titles(scorer: Scorer) -> None:
    batch = scorer.score_texts("usb c cable", TITLES)
    alone = [scorer.score_texts("usb c cable", [title])[0] for title in TITLES]
    assert np.isfinite(batch).all()
    np.testing.assert_allclose(batch, alone, atol=TOLERANCE)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(len(TITLES))))
def test_the_order_of_a_batch_does_not_change_scores(scorer: Scorer, order: list[int]) -> None:
    expected = scorer.score_texts("wireless mouse", TITLES)
    shuffled = scorer.score_texts("wireless mouse", [TITLES[row] for row in order])
    np.testing.assert_allclose(shuffled, expected[order], atol=TOLERANCE)


def test_stored_features_score_like_texts(scorer: Scorer) -> None:
    stored = scorer.encode_titles(TITLES)
    from_store = scorer.score(scorer.encode_queries(["phone case"]), stored)
    np.testing.assert_allclose(from_store, scorer.score_texts("phone case", TITLES), atol=1e-5)


def test_the_shape_of_features_does_not_depend_on_the_titles(scorer: Scorer) -> None:
    short, long = scorer.encode_titles(["a"]), scorer.encode_titles(["word " * 500, "b"])
    for name, rows in short.items():
        assert rows.shape[1:] == long[name].shape[1:]
        assert rows.dtype == long[name].dtype


def test_score_pairs_scores_each_query_with_its_title(scorer: Scorer) -> None:
    queries = ["usb cable", "mouse", "usb cable", "phone case", "", "日本"]
    expected = [
        scorer.score_texts(query, [title])[0] for query, title in zip(queries, TITLES, strict=True)
    ]
    np.testing.assert_allclose(scorer.score_pairs(queries, TITLES), expected, atol=TOLERANCE)


def test_no_titles_give_no_scores(scorer: Scorer) -> None:
    assert scorer.score_texts("mouse", []).shape == (0,)
    assert scorer.score_pairs([], []).shape == (0,)


def test_probabilities_keep_the_order_of_logits(scorer: Scorer) -> None:
    logits = np.linspace(-30, 30, 201, dtype=np.float32)
    probabilities = scorer.probabilities(logits)
    assert (np.diff(probabilities) >= 0).all()
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert np.isfinite(scorer.probabilities(np.array([-1e30, 1e30], dtype=np.float32))).all()


def test_a_scorer_is_thread_safe(scorer: Scorer) -> None:
    expected = scorer.score_texts("usb cable", TITLES)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: scorer.score_texts("usb cable", TITLES), range(32)))
    for logits in results:
        np.testing.assert_array_equal(logits, expected)


def test_golden_scores_of_the_shipped_models(scorer: Scorer) -> None:
    """Detects a change of scores by a new library version or a change of the feature code."""
    golden = json.loads((Path(__file__).parent / "golden_scores.json").read_text())
    pairs = golden["pairs"]
    logits = scorer.score_pairs([query for query, _ in pairs], [title for _, title in pairs])
    np.testing.assert_allclose(logits, golden[scorer.name], atol=5e-3)
