"""Retrieve: BM25 in OpenSearch, over the alias that `indexer.bulk` moves to the newest load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import CatalogIndexError, UnknownIdError
from qtr_rerank.records import Candidate, Filters, Product
from qtr_rerank.retrieve.client_opensearch import connect, engine_errors
from qtr_rerank.retrieve.fields import (
    FIELD_BOOSTS,
    MAX_QUERY_WORDS,
    codes,
    query_words,
    search_fields,
)

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# Name in FIELD_BOOSTS -> field of the index. Brand and category are keywords, for filters, with a
# text subfield.
_STEMMED = {
    "title": "title",
    "brand": "brand.text",
    "category": "category.text",
    "attributes": "attributes_text",
    "description": "description",
}
# Boost of a match in the unstemmed title, as a share of the title's boost.
_EXACT_SHARE = 0.1
# The share of a word's score in fields other than its best one that is added.
_TIE_BREAKER = 0.3
# OpenSearch's default index.max_result_window; longer lists are read in pages.
_PAGE = 10_000
_FETCH_PAGE = 1_000
# A Lucene term has at most 32,766 bytes, and a character up to 4.
_KEYWORD_CHARACTERS = 8_191


class OpenSearchLexical:
    """A `LexicalIndex` over an alias of a running OpenSearch."""

    def __init__(self, client: OpenSearch, url: str, alias: str) -> None:
        self._client = client
        self._url = url
        self._alias = alias

    @classmethod
    def connect(cls, settings: OpenSearchSettings, alias: str) -> OpenSearchLexical:
        """Open the index behind `alias`.

        Raises EngineUnavailableError if no node responds, CatalogIndexError if it has no such
        alias.
        """
        client = connect(settings)
        with engine_errors(settings.url):
            if not client.indices.exists_alias(name=alias):
                client.close()
                raise CatalogIndexError(
                    f"OpenSearch has no alias {alias!r}; make it with "
                    "'python -m indexer CATALOG --index DIR --engine opensearch --alias NAME'"
                )
        return cls(client, settings.url, alias)

    def search(
        self, query: str, k: int, filters: Filters | None = None, misses: int = 0
    ) -> list[Candidate]:
        words = query_words(query)
        if not words:
            return []
        request: dict[str, Any] = {
            "query": bm25_query(words, filters or Filters(), misses),
            "sort": [{"_score": "desc"}, {"id": "asc"}],
            "track_total_hits": False,
            "_source": False,
            "docvalue_fields": ["id"],
        }
        found: list[Candidate] = []
        while len(found) < k:
            request["size"] = min(k - len(found), _PAGE)
            with engine_errors(self._url):
                # The index may have a default pipeline that reranks.
                response = self._client.search(
                    index=self._alias, body=request, params={"search_pipeline": "_none"}
                )
            hits = response["hits"]["hits"]
            for hit in hits:
                score, product_id = hit["sort"]
                rank = len(found) + 1
                found.append(Candidate(product_id, float(score), rank, {"lexical": rank}))
            if len(hits) < request["size"]:
                break
            request["search_after"] = hits[-1]["sort"]
        return found

    def products(self, ids: Sequence[str]) -> list[Product]:
        found: list[Product] = []
        for start in range(0, len(ids), _FETCH_PAGE):
            page = list(ids[start : start + _FETCH_PAGE])
            with engine_errors(self._url):
                response = self._client.mget(index=self._alias, body={"ids": page})
            for product_id, document in zip(page, response["docs"], strict=True):
                if not document.get("found"):
                    raise UnknownIdError(
                        f"the index {self._alias!r} holds no product with id {product_id!r}"
                    )
                found.append(Product.from_dict(document["_source"]))
        return found

    def __len__(self) -> int:
        with engine_errors(self._url):
            return int(self._client.count(index=self._alias)["count"])

    def close(self) -> None:
        self._client.close()


def index_body() -> dict[str, Any]:
    """Settings and mappings of an index while it is loaded: no replicas, no refreshes.

    With one shard, BM25 uses the document frequencies of the whole catalog; one shard holds tens
    of millions of products.
    """
    folding = ["cjk_width", "lowercase", "asciifolding"]
    stemming = ["possessive", *folding, "stem"]
    # The tokenizer makes a token of each ideograph, and Lucene refuses more than 1,024 clauses.
    limited = ["query_limit"]
    return {
        "settings": {
            "index": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"},
            "analysis": {
                "filter": {
                    "possessive": {"type": "stemmer", "language": "possessive_english"},
                    "stem": {"type": "stemmer", "language": "porter2"},
                    "query_limit": {"type": "limit", "max_token_count": MAX_QUERY_WORDS},
                },
                "analyzer": {
                    "exact": {"tokenizer": "standard", "filter": folding},
                    "exact_query": {"tokenizer": "standard", "filter": limited + folding},
                    "stemmed": {"tokenizer": "standard", "filter": stemming},
                    "stemmed_query": {"tokenizer": "standard", "filter": limited + stemming},
                },
            },
        },
        "mappings": {
            # Other fields of the catalog are in `extra`, which is not mapped.
            "dynamic": "strict",
            "properties": {
                "id": {"type": "keyword", "index": False},
                "position": {"type": "integer"},
                "title": {**_text("stemmed"), "fields": {"exact": _text("exact")}},
                "brand": _keyword_and_text(),
                "category": _keyword_and_text(),
                "price": {"type": "double"},
                "description": _text("stemmed"),
                "attributes_text": _text("stemmed"),
                # A part number matches or not: its count and the title's length do not matter.
                "codes": {
                    "type": "text",
                    "analyzer": "whitespace",
                    "norms": False,
                    "index_options": "docs",
                },
                "image": {"type": "keyword", "index": False, "doc_values": False},
                "attributes": {"type": "object", "enabled": False},
                "extra": {"type": "object", "enabled": False},
            },
        },
    }


def document(product: Product, position: int) -> dict[str, Any]:
    """The stored document: `Product.to_dict`, the row in the catalog, and two search fields."""
    texts = search_fields(product)
    return {
        **product.to_dict(),
        "position": position,
        "attributes_text": texts["attributes"],
        "codes": texts["codes"],
    }


def _text(analyzer: str) -> dict[str, Any]:
    return {"type": "text", "analyzer": analyzer, "search_analyzer": f"{analyzer}_query"}


def _keyword_and_text() -> dict[str, Any]:
    return {
        "type": "keyword",
        "ignore_above": _KEYWORD_CHARACTERS,
        "fields": {"text": _text("stemmed")},
    }


def bm25_query(words: Sequence[str], filters: Filters, misses: int = 0) -> dict[str, Any]:
    """A query that matches any of the words in any field.

    cross_fields, because a query's words are in different fields (`nordvik walking shoe`): each
    word scores by its best field, with one document frequency over all fields. With best_fields or
    most_fields, a product with one word in all fields would beat one with all words.
    """
    text = " ".join(words)
    stemmed = [f"{field}^{FIELD_BOOSTS[name]}" for name, field in _STEMMED.items()]
    should: list[Mapping[str, Any]] = [
        {
            "multi_match": {
                "query": text,
                "type": "cross_fields",
                "fields": stemmed,
                "tie_breaker": _TIE_BREAKER,
            }
        },
        {"match": {"title.exact": {"query": text, "boost": FIELD_BOOSTS["title"] * _EXACT_SHARE}}},
    ]
    numbers = codes(text)
    if numbers:
        boost = FIELD_BOOSTS["codes"]
        should.append({"match": {"codes": {"query": " ".join(numbers), "boost": boost}}})
    return {
        "bool": {
            "should": should,
            "minimum_should_match": 1,
            "filter": filter_clauses(filters, misses),
        }
    }


def filter_clauses(filters: Filters, misses: int = 0) -> list[Mapping[str, Any]]:
    """Filters as clauses of a bool filter; a product may fail `misses` of the filtered fields."""
    clauses: list[Mapping[str, Any]] = []
    if filters.brands:
        clauses.append({"terms": {"brand": list(filters.brands)}})
    if filters.categories:
        clauses.append({"terms": {"category": list(filters.categories)}})
    limits = {"gte": filters.price_min, "lte": filters.price_max}
    limits = {side: limit for side, limit in limits.items() if limit is not None}
    if limits:
        clauses.append({"range": {"price": limits}})
    if not misses:
        return clauses
    if len(clauses) <= misses:
        return []
    return [{"bool": {"should": clauses, "minimum_should_match": len(clauses) - misses}}]
