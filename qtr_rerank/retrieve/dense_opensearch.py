"""Retrieve: nearest title vectors in OpenSearch's k-NN plugin, for catalogs that outgrow one
machine's memory. `indexer.bulk` stores the vectors with the products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import CatalogIndexError
from qtr_rerank.records import Filters
from qtr_rerank.retrieve.client_opensearch import connect, engine_errors
from qtr_rerank.retrieve.lexical_opensearch import filter_clauses
from qtr_rerank.retrieve.schema import Matches
from qtr_rerank.retrieve.ties import by_position, whole_ties

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

KnnEngine = Literal["lucene", "faiss"]
FIELD = "title_vector"
# The k-NN plugin's limit.
_MAX_K = 10_000
# As for FAISS: the least number of nodes that a graph search visits.
_EF_SEARCH = 256


class OpenSearchDense:
    """A `DenseIndex` over an alias of a running OpenSearch whose products have vectors."""

    def __init__(self, client: OpenSearch, url: str, alias: str, engine: KnnEngine) -> None:
        self._client = client
        self._url = url
        self._alias = alias
        self._engine = engine

    @classmethod
    def connect(cls, settings: OpenSearchSettings, alias: str) -> OpenSearchDense:
        """Open the vectors behind `alias`.

        Raises EngineUnavailableError, CatalogIndexError if the products have no vectors.
        """
        client = connect(settings)
        try:
            with engine_errors(settings.url):
                mappings = client.indices.get_mapping(index=alias)
        except BaseException:
            client.close()
            raise
        for found in mappings.values():
            field = found["mappings"].get("properties", {}).get(FIELD)
            if field is not None:
                return cls(client, settings.url, alias, field["method"]["engine"])
        client.close()
        raise CatalogIndexError(
            f"the products of {alias!r} have no vectors; index them with --dense opensearch"
        )

    def search(
        self,
        query_vector: NDArray[np.float32],
        k: int,
        filters: Filters | None = None,
        misses: int = 0,
    ) -> Matches:
        """As in DenseIndex, at most 10,000; approximate: a few of the nearest may be missing.

        The graph search applies the filters, so it returns `k` products if so many pass.
        """
        total = min(len(self), _MAX_K)
        if k < 1 or total == 0:
            return Matches.none()
        vector = query_vector.astype(float).tolist()
        clauses = filter_clauses(filters or Filters(), misses)

        def fetch(limit: int) -> Matches:
            return self._fetch(vector, limit, clauses)

        return by_position(whole_ties(fetch, k, total)).first(k)

    def __len__(self) -> int:
        with engine_errors(self._url):
            return int(self._client.count(index=self._alias)["count"])

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._client.close()

    def _fetch(self, vector: list[float], limit: int, clauses: list[Any]) -> Matches:
        knn: dict[str, Any] = {"vector": vector, "k": limit}
        if clauses:
            knn["filter"] = {"bool": {"filter": clauses}}
        if self._engine == "faiss":
            knn["method_parameters"] = {"ef_search": max(limit, _EF_SEARCH)}
        body = {
            "size": limit,
            "query": {"knn": {FIELD: knn}},
            "_source": False,
            "docvalue_fields": ["position"],
            "track_total_hits": False,
        }
        # The index may have a default pipeline that reranks.
        with engine_errors(self._url):
            response = self._client.search(
                index=self._alias, body=body, params={"search_pipeline": "_none"}
            )
        hits = response["hits"]["hits"]
        return Matches(
            np.array([hit["fields"]["position"][0] for hit in hits], dtype=np.int64),
            np.array([_inner_product(hit["_score"]) for hit in hits], dtype=np.float64),
        )


def vector_field(dimension: int, engine: KnnEngine) -> dict[str, Any]:
    """The mapping of the vector field: an HNSW graph by inner product."""
    return {
        "type": "knn_vector",
        "dimension": dimension,
        "method": {
            "name": "hnsw",
            "space_type": "innerproduct",
            "engine": engine,
            "parameters": {"m": 32, "ef_construction": 128},
        },
    }


def _inner_product(score: float) -> float:
    """The inner product from the k-NN plugin's score, which is always above 0.

    https://docs.opensearch.org/latest/field-types/supported-field-types/knn-spaces/
    """
    return score - 1.0 if score >= 1.0 else 1.0 - 1.0 / score
