"""Reranker: rerank, rerank_ids, rerank_many, arerank, logits."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank import Product, QtrError, Ranked, Reranker
from qtr_rerank.errors import (
    ArtifactError,
    CatalogIndexError,
    DataError,
    ScoringError,
    SettingsError,
    UnknownIdError,
)
from tests.small_index import build_small_index

TITLES = ["Phone case, clear", "USB-C charger 20 W for phones", "Garden hose 20 m", "Phone case"]
MATCH = Reranker.load("match")


@pytest.fixture(scope="module", params=["bert-bilstm", "bert2dnn", "match"])
def reranker(request: pytest.FixtureRequest) -> Reranker:
    return Reranker.load(request.param)


def test_relevant_titles_rank_first(reranker: Reranker) -> None:
    ranked = reranker.rerank("garden hose", TITLES)
    assert ranked[0].document == "Garden hose 20 m"
    assert [hit.rank for hit in ranked] == [1, 2, 3, 4]
    assert ranked[0].first_rank == 3
    assert all(a.logit >= b.logit for a, b in pairwise(ranked))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=12), st.text(max_size=20))
def test_reranking_is_a_permutation(reranker: Reranker, titles: list[str], query: str) -> None:
    ranked = reranker.rerank(query, titles)
    assert sorted(hit.index for hit in ranked) == list(range(len(titles)))
    assert all(titles[hit.index] == hit.document for hit in ranked)


def test_equal_scores_keep_the_given_order(reranker: Reranker) -> None:
    ranked = reranker.rerank("mouse", ["same title"] * 5)
    assert [hit.index for hit in ranked] == [0, 1, 2, 3, 4]


_WORDS = ["phone", "case", "usb", "c", "charger", "20", "w", "garden", "hose", "2", "l", "kettle"]
_TITLE_WORDS = st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(_TITLE_WORDS | st.text(max_size=20), min_size=1, max_size=40),
    _TITLE_WORDS,
    st.data(),
)
def test_the_batch_never_changes_a_logit(
    reranker: Reranker, titles: list[str], query: str, data: st.DataObject
) -> None:
    whole = reranker.logits(query, titles)
    size = data.draw(st.integers(1, len(titles)))
    parts = [
        reranker.logits(query, titles[start : start + size])
        for start in range(0, len(titles), size)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    order = data.draw(st.permutations(range(len(titles))))
    shuffled = reranker.logits(query, [titles[row] for row in order])
    np.testing.assert_array_equal(shuffled, whole[list(order)])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(_TITLE_WORDS, min_size=1, max_size=8),
    st.lists(st.integers(0, 7), max_size=60),
    _TITLE_WORDS,
)
def test_equal_titles_tie_and_keep_the_given_order(
    reranker: Reranker, titles: list[str], picks: list[int], query: str
) -> None:
    documents = [titles[pick % len(titles)] for pick in picks]
    ranked = reranker.rerank(query, documents)
    for title in set(documents):
        hits = [hit for hit in ranked if hit.document == title]
        assert len({hit.logit for hit in hits}) == 1
        assert [hit.index for hit in hits] == sorted(hit.index for hit in hits)


def test_top_k_truncates_the_same_order(reranker: Reranker) -> None:
    whole = reranker.rerank("phone case", TITLES)
    assert reranker.rerank("phone case", TITLES, top_k=2) == whole[:2]
    assert reranker.rerank("phone case", TITLES, top_k=0) == []


def test_documents_of_every_type_are_returned_unchanged(reranker: Reranker) -> None:
    product = Product(id="p1", title="Phone case", brand="Kestrel")
    documents: list[Any] = [product, {"id": 7, "title": "Garden hose", "stock": [1]}, "Mug"]
    before = copy.deepcopy(documents)
    ranked = reranker.rerank("phone case", documents)
    assert documents == before
    assert {hit.id for hit in ranked} == {"p1", "7", "2"}
    assert all(hit.document is documents[hit.index] for hit in ranked)


def test_results_can_be_written_as_json(reranker: Reranker) -> None:
    ranked = reranker.rerank("phone case", TITLES)
    assert json.loads(json.dumps([asdict(hit) for hit in ranked]))[0]["rank"] == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [(None, "document 1 is 'None'"), ({"name": "x"}, "document 1"), ({"title": [3]}, "document 1")],
)
def test_an_error_names_a_document_without_a_title(
    reranker: Reranker, document: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        reranker.rerank("phone", ["ok", document])


def test_documents_may_be_a_generator_and_titles_numbers(reranker: Reranker) -> None:
    ranked = reranker.rerank("phone", (title for title in TITLES))
    assert [hit.document for hit in ranked] == [
        hit.document for hit in reranker.rerank("phone", TITLES)
    ]
    (five, two) = reranker.rerank("5", [{"title": 5, "id": None}, {"title": "two", "id": 7}])
    assert five.logit == pytest.approx(reranker.rerank("5", ["5"])[0].logit, abs=1e-5)
    assert (five.id, two.id) == ("0", "7")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"documents": "a text"}, "the documents are 'a text'; expected a list"),
        ({"documents": {"title": "x"}}, "the documents are .*; expected a list"),
        ({"documents": None}, "the documents are 'None'; expected a list"),
        ({"query": None}, "the query is None; expected a text"),
        ({"top_k": "a"}, "top_k is 'a'; expected 0 or more"),
        ({"min_score": "x"}, "min_score is 'x'; expected a probability"),
        ({"timeout_ms": "x"}, "timeout_ms is 'x'; expected 0 or more"),
    ],
)
def test_invalid_arguments_are_explained(given: dict[str, Any], message: str) -> None:
    with pytest.raises(QtrError, match=message):
        MATCH.rerank(**({"query": "phone", "documents": TITLES} | given))


def test_ids_must_be_strings(tmp_path: Path) -> None:
    build_small_index(tmp_path / "index", [Product(id="1", title="mug")], ["twin", "match"])
    indexed = Reranker.load("match", index=tmp_path / "index")
    assert [hit.id for hit in indexed.rerank_ids("mug", (one for one in ["1"]))] == ["1"]
    with pytest.raises(DataError, match="id 0 is 1; expected a text, as in the catalog"):
        indexed.rerank_ids("mug", [1])  # type: ignore[list-item]
    with pytest.raises(DataError, match="the ids are '1'; expected a list"):
        indexed.rerank_ids("mug", "1")


def test_an_empty_query_keeps_the_given_order(reranker: Reranker) -> None:
    ranked = reranker.rerank(" ", TITLES, prior=1.0)
    assert [hit.document for hit in ranked] == TITLES
    logits = reranker.logits("", TITLES)
    assert logits.tolist() == [0.0] * len(TITLES)


def test_unscored_documents_keep_their_order_with_a_blend() -> None:
    documents = [{"text": str(number), "sold": number} for number in range(5)]
    ranked = MATCH.rerank("phone", documents, blend={"sold": 0.5}, timeout_ms=0)
    assert [hit.index for hit in ranked] == [0, 1, 2, 3, 4]


def test_timeout_starts_at_the_call_even_if_threads_are_busy() -> None:
    async def rerank_behind_a_busy_thread() -> list[Ranked]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, time.sleep, 0.2)
        ranked = await MATCH.arerank("phone", TITLES, timeout_ms=50)
        await busy
        return ranked

    # In a new thread, because the browser tests leave a running event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        ranked = pool.submit(lambda: asyncio.run(rerank_behind_a_busy_thread())).result()
    assert {hit.stage for hit in ranked} == {"retrieve"}


def test_a_negative_top_k_is_refused(reranker: Reranker) -> None:
    with pytest.raises(DataError, match="top_k is -1"):
        reranker.rerank("phone", TITLES, top_k=-1)


def test_an_error_about_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ArtifactError, match="bert-bilstm"):
        Reranker.load("bert3")


def test_ids_score_like_their_titles(reranker: Reranker, tmp_path: Path) -> None:
    products = [Product(id=f"p{row}", title=title) for row, title in enumerate(TITLES)]
    build_small_index(tmp_path / "index", products)
    indexed = Reranker.load(reranker.name, index=tmp_path / "index")
    by_id = indexed.rerank_ids("phone case", ["p3", "p0", "p2", "p1"])
    by_title = reranker.rerank("phone case", [TITLES[row] for row in (3, 0, 2, 1)])
    assert [hit.index for hit in by_id] == [hit.index for hit in by_title]
    assert [hit.logit for hit in by_id] == pytest.approx([hit.logit for hit in by_title], abs=2e-3)
    with pytest.raises(UnknownIdError, match="p9"):
        indexed.rerank_ids("phone case", ["p0", "p9"])


def test_ids_without_an_index_are_refused(reranker: Reranker) -> None:
    with pytest.raises(CatalogIndexError, match="index=FOLDER"):
        reranker.rerank_ids("phone", ["p1"])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"title": st.text(max_size=20)},
            optional={"bm25": st.floats(allow_nan=False, allow_infinity=False)},
        ),
        max_size=10,
    ),
    st.floats(0, 1),
)
def test_blending_is_a_permutation_with_scores_from_0_to_1(
    documents: list[dict[str, Any]], weight: float
) -> None:
    if not any("bm25" in document for document in documents):
        documents = [*documents, {"title": "", "bm25": 1.0}]
    ranked = MATCH.rerank("phone case", documents, blend={"bm25": weight})
    assert sorted(hit.index for hit in ranked) == list(range(len(documents)))
    assert all(0.0 <= hit.score <= 1.0 for hit in ranked)
    assert all(a.score >= b.score for a, b in pairwise(ranked))


def test_a_blend_is_the_weighted_mean_of_probability_and_signal() -> None:
    documents: list[Any] = [
        {"title": "Phone case", "bm25": 10.0},
        {"title": "Garden hose", "bm25": 30.0},
        Product(id="p", title="Mug", extra={"bm25": 20}),
        {"title": "Phone charger"},  # no signal counts as the lowest
    ]
    alone = {hit.index: hit.score for hit in MATCH.rerank("phone case", documents)}
    mixed = {
        hit.index: hit.score for hit in MATCH.rerank("phone case", documents, blend={"bm25": 0.25})
    }
    for index, signal in enumerate([0.0, 1.0, 0.5, 0.0]):
        assert mixed[index] == pytest.approx(0.75 * alone[index] + 0.25 * signal)
    by_signal = MATCH.rerank("phone case", documents, blend={"bm25": 1.0})
    assert [hit.index for hit in by_signal][:2] == [1, 2]
    # Ties of the blend are ordered by logit.
    assert [hit.index for hit in by_signal][2:] == [0, 3]


def test_blended_ties_keep_the_given_order() -> None:
    documents = [{"title": "same title", "bm25": 4.0}] * 5
    ranked = MATCH.rerank("mouse", documents, blend={"bm25": 0.5})
    assert [hit.index for hit in ranked] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("blend", "message"),
    [
        ({"bm25": -0.1}, "the weight -0.1; expected 0 to 1"),
        ({"bm25": float("nan")}, "the weight nan"),
        ({"bm25": 0.6, "sales": 0.5}, "add up to 1.1; expected at most 1"),
        ({"sales": 0.5}, "no document has a number 'sales'"),
        ({"word": 0.5}, "document 0 has 'word' 'x'; expected a number"),
        ({"huge": 0.5}, "document 0 has 'huge' '1000.*expected a number"),
        ({"nan": 0.5}, "document 0 has 'nan' nan; expected a finite number"),
    ],
)
def test_an_invalid_blend_is_explained(blend: dict[str, float], message: str) -> None:
    documents = [
        {"title": "Mug", "bm25": 1.0, "word": "x", "nan": float("nan"), "huge": 10**400},
        {"title": "Cup", "bm25": 1.0},
    ]
    with pytest.raises(QtrError, match=message):
        MATCH.rerank("mug", documents, blend=blend)


def test_min_score_drops_lower_hits() -> None:
    whole = MATCH.rerank("phone case", TITLES)
    least = whole[1].score
    kept = MATCH.rerank("phone case", TITLES, min_score=least)
    assert kept == whole[:2]
    assert MATCH.rerank("phone case", TITLES, min_score=1.0) == []


def test_after_a_timeout_the_given_order_is_kept_and_flagged(reranker: Reranker) -> None:
    ranked = reranker.rerank("phone case", TITLES, timeout_ms=0, min_score=0.9)
    assert [hit.index for hit in ranked] == [0, 1, 2, 3]
    assert {hit.stage for hit in ranked} == {"retrieve"}
    assert {hit.score for hit in ranked} == {0.0}
    assert reranker.rerank("phone case", TITLES, timeout_ms=60_000) == reranker.rerank(
        "phone case", TITLES
    )


@pytest.mark.parametrize(
    "settings", [{"timeout_ms": -1}, {"timeout_ms": float("nan")}, {"min_score": 1.5}]
)
def test_out_of_range_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        MATCH.rerank("mug", ["Mug"], **settings)


def test_rerank_many_keeps_the_order_and_reports_progress() -> None:
    requests = [("phone case", TITLES), ("garden hose", TITLES[::-1]), ("mug", [])]
    done: list[int] = []
    results = MATCH.rerank_many(iter(requests), top_k=2, progress=done.append)
    assert results == [MATCH.rerank(query, titles, top_k=2) for query, titles in requests]
    assert done == [1, 2, 3]


def test_arerank_does_not_block_the_event_loop() -> None:
    async def both() -> tuple[list[Ranked], int]:
        turns = 0
        task = asyncio.create_task(MATCH.arerank("phone case", TITLES * 500, top_k=2))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        return await task, turns

    # In a new thread, because the browser tests leave a running event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        ranked, turns = pool.submit(lambda: asyncio.run(both())).result()
    assert ranked == MATCH.rerank("phone case", TITLES * 500, top_k=2)
    assert turns > 1


def test_threads_share_a_reranker(reranker: Reranker) -> None:
    queries = ["phone case", "garden hose", "usb charger", "mug"] * 8
    alone = [reranker.rerank(query, TITLES) for query in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: reranker.rerank(query, TITLES), queries)) == alone


def test_stored_and_new_titles_are_scored_together(reranker: Reranker, tmp_path: Path) -> None:
    products = [Product(id=f"p{n}", title=title) for n, title in enumerate(TITLES)]
    build_small_index(tmp_path / "index", products, [*{"twin", reranker.name}])
    indexed = Reranker.load(reranker.name, index=tmp_path / "index")
    assert indexed.store is not None
    positions = indexed.store.find(["p2", "none", "p0", "other", "p1"])
    assert positions.tolist()[1::2] == [-1, -1]
    logits = indexed.logits("garden hose", [None, TITLES[3], None, None, "ignored"], positions)
    expected = indexed.logits("garden hose", [TITLES[2], TITLES[3], TITLES[0], None, TITLES[1]])
    assert np.isnan(logits).tolist() == [False, False, False, True, False]
    np.testing.assert_array_equal(logits, expected)


def test_a_failing_model_is_named_or_with_fail_open_skipped(tmp_path: Path) -> None:
    # Features of another shape, which the graph refuses.
    build_small_index(tmp_path / "index", [Product(id="p", title="Mug")], ["twin", "bert2dnn"])
    features = tmp_path / "index" / "store" / "features"
    for stored in (features / "bert2dnn").glob("*.npy"):
        np.save(stored, np.zeros((1, 3), dtype=np.float32))
    broken = Reranker.load("bert2dnn", index=tmp_path / "index")
    with pytest.raises(ScoringError, match=r"score.*\.onnx failed: "):
        broken.rerank_ids("mug", ["p", "p"])
    ranked = broken.rerank_ids("mug", ["p", "p"], fail_open=True)
    assert [(hit.id, hit.stage, hit.score) for hit in ranked] == [("p", "retrieve", 0.0)] * 2


def test_a_prior_favours_the_given_order() -> None:
    ranked = {hit.index: hit for hit in MATCH.rerank("phone case", TITLES)}
    with_prior = MATCH.rerank("phone case", TITLES, prior=2.0)
    for hit in with_prior:
        penalty = 2.0 * np.log((hit.index + 11) / 11)
        assert hit.logit == pytest.approx(ranked[hit.index].logit - penalty, abs=1e-5)
    assert all(a.score >= b.score for a, b in pairwise(with_prior))
    # A huge prior keeps the given order.
    assert [hit.index for hit in MATCH.rerank("mug", TITLES, prior=1e4)] == [0, 1, 2, 3]
    with pytest.raises(SettingsError, match="prior is -1"):
        MATCH.rerank("mug", TITLES, prior=-1)
