"""The library call: Reranker.rerank and rerank_ids."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank import Product, Reranker
from qtr_rerank.errors import ArtifactError, CatalogIndexError, DataError, UnknownIdError
from tests.small_index import build_small_index

TITLES = ["Phone case, clear", "USB-C charger 20 W for phones", "Garden hose 20 m", "Phone case"]


@pytest.fixture(scope="module", params=["bert-bilstm", "bert2dnn", "match"])
def reranker(request: pytest.FixtureRequest) -> Reranker:
    return Reranker.load(request.param)


def test_what_was_asked_for_comes_before_what_was_not(reranker: Reranker) -> None:
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


def test_top_k_is_the_head_of_the_whole(reranker: Reranker) -> None:
    whole = reranker.rerank("phone case", TITLES)
    assert reranker.rerank("phone case", TITLES, top_k=2) == whole[:2]
    assert reranker.rerank("phone case", TITLES, top_k=0) == []


def test_documents_of_every_form_come_back_unchanged(reranker: Reranker) -> None:
    product = Product(id="p1", title="Phone case", brand="Kestrel")
    documents: list[Any] = [product, {"id": 7, "title": "Garden hose", "stock": [1]}, "Mug"]
    before = copy.deepcopy(documents)
    ranked = reranker.rerank("phone case", documents)
    assert documents == before
    assert {hit.id for hit in ranked} == {"p1", "7", "2"}
    assert all(hit.document is documents[hit.index] for hit in ranked)


def test_results_are_plain_python_and_go_into_json(reranker: Reranker) -> None:
    ranked = reranker.rerank("phone case", TITLES)
    assert json.loads(json.dumps([asdict(hit) for hit in ranked]))[0]["rank"] == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [(None, "document 1 is 'None'"), ({"name": "x"}, "document 1"), ({"title": 3}, "document 1")],
)
def test_a_document_without_a_title_is_named(
    reranker: Reranker, document: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        reranker.rerank("phone", ["ok", document])


def test_a_negative_top_k_is_refused(reranker: Reranker) -> None:
    with pytest.raises(DataError, match="top_k is -1"):
        reranker.rerank("phone", TITLES, top_k=-1)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ArtifactError, match="bert-bilstm"):
        Reranker.load("bert3")


def test_ids_score_as_their_titles_do(reranker: Reranker, tmp_path: Path) -> None:
    products = [Product(id=f"p{place}", title=title) for place, title in enumerate(TITLES)]
    build_small_index(tmp_path / "index", products)
    indexed = Reranker.load(reranker.name, index=tmp_path / "index")
    by_id = indexed.rerank_ids("phone case", ["p3", "p0", "p2", "p1"])
    by_title = reranker.rerank("phone case", [TITLES[place] for place in (3, 0, 2, 1)])
    assert [hit.index for hit in by_id] == [hit.index for hit in by_title]
    assert [hit.logit for hit in by_id] == pytest.approx([hit.logit for hit in by_title], abs=2e-3)
    with pytest.raises(UnknownIdError, match="p9"):
        indexed.rerank_ids("phone case", ["p0", "p9"])


def test_ids_without_an_index_say_how_to_get_one(reranker: Reranker) -> None:
    with pytest.raises(CatalogIndexError, match="index=FOLDER"):
        reranker.rerank_ids("phone", ["p1"])
