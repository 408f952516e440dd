"""Retrieve: nearest title vectors in OpenSearch (its k-NN plugin), for catalogs that outgrow one
machine's memory: the vectors lie in the cluster, beside the products that `indexer.bulk` loads.
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
# The k-NN plugin's own limit.
_MOST = 10_000
# As for FAISS: a graph looks at no fewer nodes than these.
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

        Raises EngineUnavailableError, CatalogIndexError where the products have no vectors.
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
        """As DenseIndex says, nearly all of the nearest; at most 10,000.

        Filters hold while the graph is searched, so that `k` are found where there are so many.
        """
        total = min(len(self), _MOST)
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
        """Release the connections. Calling it twice is no fault."""
        self._client.close()

    def _fetch(self, vector: list[float], limit: int, clauses: list[Any]) -> Matches:
        asked: dict[str, Any] = {"vector": vector, "k": limit}
        if clauses:
            asked["filter"] = {"bool": {"filter": clauses}}
        if self._engine == "faiss":
            asked["method_parameters"] = {"ef_search": max(limit, _EF_SEARCH)}
        body = {
            "size": limit,
            "query": {"knn": {FIELD: asked}},
            "_source": False,
            "docvalue_fields": ["position"],
            "track_total_hits": False,
        }
        # An index's default pipeline is for shoppers' searches.
        with engine_errors(self._url):
            answer = self._client.search(
                index=self._alias, body=body, params={"search_pipeline": "_none"}
            )
        hits = answer["hits"]["hits"]
        return Matches(
            np.array([hit["fields"]["position"][0] for hit in hits], dtype=np.int64),
            np.array([_inner_product(hit["_score"]) for hit in hits], dtype=np.float64),
        )


def vector_field(dimension: int, engine: KnnEngine) -> dict[str, Any]:
    """The mapping of title vectors: an HNSW graph by inner product."""
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
    """The k-NN plugin's score (above 0) as the inner product that it stands for.

    https://docs.opensearch.org/latest/field-types/supported-field-types/knn-spaces/
    """
    return score - 1.0 if score >= 1.0 else 1.0 - 1.0 / score
