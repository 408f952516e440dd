"""rerank_hits: a search engine's JSON response with its hits in a new order."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank import Product, Reranker
from qtr_rerank.errors import DataError
from tests.small_index import build_small_index

MATCH = Reranker.load("match")
TITLES = ["Phone case, clear", "USB-C charger 20 W", "Garden hose 20 m", "Garden hose reel"]


def opensearch(titles: list[Any]) -> dict[str, Any]:
    """The response of OpenSearch and Elasticsearch."""
    hits = [
        {"_index": "shop", "_id": f"p{place}", "_score": 9.0 - place, "_source": {"title": title}}
        for place, title in enumerate(titles)
    ]
    return {
        "took": 3,
        "hits": {"total": {"value": 999, "relation": "eq"}, "max_score": 9.0, "hits": hits},
        "aggregations": {"brands": {"buckets": []}},
    }


def solr(titles: list[Any]) -> dict[str, Any]:
    docs = [{"id": f"p{place}", "title": title} for place, title in enumerate(titles)]
    return {
        "responseHeader": {"status": 0, "QTime": 2},
        "response": {"numFound": 999, "start": 0, "docs": docs},
        "facet_counts": {},
    }


def expected_order(query: str, titles: list[str]) -> list[str]:
    return [f"p{hit.index}" for hit in MATCH.rerank(query, titles)]


def test_hits_of_opensearch_come_in_the_order_of_the_model_and_nothing_else_changes() -> None:
    response = opensearch(TITLES)
    before = copy.deepcopy(response)
    reranked = MATCH.rerank_hits("garden hose", response)
    assert response == before
    assert [hit["_id"] for hit in reranked["hits"]["hits"]] == expected_order("garden hose", TITLES)
    assert reranked["hits"]["hits"][0]["_source"]["title"].startswith("Garden hose")
    reranked["hits"]["hits"].sort(key=lambda hit: hit["_id"])
    assert reranked == before


def test_documents_of_solr_come_in_the_order_of_the_model_and_nothing_else_changes() -> None:
    response = solr([[title] for title in TITLES])
    before = copy.deepcopy(response)
    reranked = MATCH.rerank_hits("garden hose", response)
    assert response == before
    docs = reranked["response"]["docs"]
    assert [doc["id"] for doc in docs] == expected_order("garden hose", TITLES)
    docs.sort(key=lambda doc: doc["id"])
    assert reranked == before


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(max_size=20) | st.none() | st.integers(), max_size=10),
    st.text(max_size=20),
    st.sampled_from([opensearch, solr]),
)
def test_every_hit_comes_back_once(titles: list[Any], query: str, make: Any) -> None:
    response = make(["a title", *titles])
    reranked = MATCH.rerank_hits(query, response)
    outer, inner = ("hits", "hits") if make is opensearch else ("response", "docs")
    assert sorted(map(str, reranked[outer][inner])) == sorted(map(str, response[outer][inner]))


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ({"name": "Garden hose"}, "name"),
        ({"product": {"name": "Garden hose"}}, "product.name"),
        ({"product.name": "Garden hose"}, "product.name"),
        ({"brand": "Garden", "name": ["hose"]}, ["brand", "name"]),
    ],
)
def test_the_field_to_read_can_be_named(source: dict[str, Any], title: Any) -> None:
    other = {"name": "Mug", "product": {"name": "Mug"}, "brand": "Mug", "product.name": "Mug"}
    response = {"hits": {"hits": [{"_id": "a", "_source": other}, {"_id": "b", "_source": source}]}}
    reranked = MATCH.rerank_hits("garden hose", response, title=title)
    assert [hit["_id"] for hit in reranked["hits"]["hits"]] == ["b", "a"]


def test_fields_are_read_where_source_is_off() -> None:
    hits = [{"_id": str(n), "fields": {"title": [title]}} for n, title in enumerate(TITLES)]
    reranked = MATCH.rerank_hits("garden hose", {"hits": {"hits": hits}})
    ids = [f"p{hit['_id']}" for hit in reranked["hits"]["hits"]]
    assert ids == expected_order("garden hose", TITLES)


def test_a_hit_without_the_field_stays_behind() -> None:
    response = opensearch([None, "Mug", "Garden hose"])
    reranked = MATCH.rerank_hits("garden hose", response)
    assert [hit["_id"] for hit in reranked["hits"]["hits"]] == ["p2", "p1", "p0"]


def test_a_prior_and_a_time_out_count_as_in_rerank() -> None:
    response = opensearch(TITLES)
    assert MATCH.rerank_hits("garden hose", response, prior=1e4) == response
    assert MATCH.rerank_hits("garden hose", response, timeout_ms=0) == response


def test_an_empty_page_is_no_error() -> None:
    assert MATCH.rerank_hits("mug", opensearch([])) == opensearch([])


def test_with_an_index_hits_are_scored_by_id(tmp_path: Path) -> None:
    products = [Product(id=f"p{n}", title=title) for n, title in enumerate(TITLES)]
    build_small_index(tmp_path / "index", products, ["twin", "match"])
    indexed = Reranker.load("match", index=tmp_path / "index")
    response = opensearch([None] * len(TITLES))
    reranked = indexed.rerank_hits("garden hose", response)
    assert [hit["_id"] for hit in reranked["hits"]["hits"]] == expected_order("garden hose", TITLES)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({}, "expected the JSON of a search, with hits.hits"),
        ({"hits": {"hits": "x"}}, "expected the JSON of a search"),
        (["hits"], "expected the JSON of a search"),
        ({"hits": {"hits": ["x"]}}, "hit 0 is 'x'; expected a JSON object"),
        (
            {"hits": {"hits": [{"_id": "a", "_source": {"name": "Mug"}}]}},
            "no hit has a text in title; the first has name; name the field with title=",
        ),
        (
            {"hits": {"hits": [{"_id": "a", "_source": {"title": {"en": "Mug"}}}]}},
            "no hit has a text in title",
        ),
    ],
)
def test_a_response_of_another_form_is_explained(response: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MATCH.rerank_hits("mug", response)
