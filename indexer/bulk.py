"""Index: load a catalog into OpenSearch, behind an alias that moves only when the load is whole.

Each load makes a version, `ALIAS-20261121t094500123456`. Searches go on over the version before
until the alias moves, in one step. That one is kept, so that one request moves back; older
versions are deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import CatalogIndexError, DataError
from qtr_rerank.records import Product
from qtr_rerank.retrieve.client_opensearch import DEFAULT_PIPELINE, connect, engine_errors
from qtr_rerank.retrieve.dense_opensearch import FIELD as VECTOR_FIELD
from qtr_rerank.retrieve.dense_opensearch import KnnEngine, vector_field
from qtr_rerank.retrieve.lexical_opensearch import document, index_body

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# A node takes requests up to 100 MB; smaller ones keep its memory, and ours, low.
_CHUNK_BYTES = 10 * 1024 * 1024
_CHUNK_PRODUCTS = 500
_BULK_SECONDS = 120
_MERGE_SECONDS = 3600
_MAX_ID_BYTES = 512
# A busy node says 429: waits of 1, 2, 4, ... 60 seconds, some five minutes in all.
_RETRIES = 9
_FIRST_WAIT_SECONDS = 1
_LONGEST_WAIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class FailedProduct:
    """A product that OpenSearch did not take, with its row (from 0) and OpenSearch's reason."""

    id: str
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What a load left: the version behind the alias, how many products it holds, what failed."""

    index: str
    count: int
    failed: tuple[FailedProduct, ...]


@dataclass(frozen=True, slots=True)
class TitleVectors:
    """Vectors (products, dim), by row of the catalog, and the k-NN engine that searches them."""

    rows: NDArray[np.float32]
    engine: KnnEngine = "lucene"


def bulk_load(
    settings: OpenSearchSettings,
    alias: str,
    products: Iterable[Product],
    *,
    replicas: int = 0,
    vectors: TitleVectors | None = None,
) -> BulkReport:
    """Load `products` into a new version and move `alias` to it.

    `products` is read once, as a stream; with `vectors` each has its title's beside it. Single
    products that OpenSearch refuses are reported; an id that comes again is one of them (the first
    row stays). On any other fault the new version is deleted and the alias stays where it was.

    Raises EngineUnavailableError, CatalogIndexError where `alias` names an index or OpenSearch
    took no product, DataError where there is none.
    """
    # A request sent twice would find its own products there, and report them as doubles.
    client = connect(settings, retries=0)
    try:
        with engine_errors(settings.url):
            if client.indices.exists(index=alias) and not client.indices.exists_alias(name=alias):
                raise CatalogIndexError(
                    f"{alias!r} is an index in OpenSearch, and an alias was expected; "
                    "delete that index or choose another alias"
                )
            index = f"{alias}-{datetime.now(UTC):%Y%m%dt%H%M%S%f}"
            client.indices.create(index=index, body=_body(vectors))
            try:
                report = _fill(client, index, products, replicas, vectors)
            except BaseException:
                client.indices.delete(index=index, ignore_unavailable=True)
                raise
            _keep_default_pipeline(client, alias, index)
            previous = _swap(client, alias, index)
            _delete_older(client, alias, kept=[index, *previous])
        return report
    finally:
        client.close()


def _body(vectors: TitleVectors | None) -> dict[str, Any]:
    body = index_body()
    if vectors is not None:
        body["settings"]["index"]["knn"] = True
        mapping = vector_field(vectors.rows.shape[1], vectors.engine)
        body["mappings"]["properties"][VECTOR_FIELD] = mapping
        # It is searched by, and never read.
        body["mappings"]["_source"] = {"excludes": [VECTOR_FIELD]}
    return body


def _fill(
    client: OpenSearch,
    index: str,
    products: Iterable[Product],
    replicas: int,
    vectors: TitleVectors | None,
) -> BulkReport:
    from opensearchpy.helpers import streaming_bulk

    taken = 0
    failed: list[FailedProduct] = []
    # Rows by id of what was sent and not answered yet: one chunk, as answers are read in between.
    sent: dict[str, list[int]] = {}
    results = streaming_bulk(
        client,
        _actions(index, products, failed, sent, vectors),
        chunk_size=_CHUNK_PRODUCTS,
        max_chunk_bytes=_CHUNK_BYTES,
        raise_on_error=False,
        max_retries=_RETRIES,
        initial_backoff=_FIRST_WAIT_SECONDS,
        max_backoff=_LONGEST_WAIT_SECONDS,
        request_timeout=_BULK_SECONDS,
    )
    for ok, result in results:
        item = result["create"]
        rows = sent[item["_id"]]
        position = rows.pop(0)
        if not rows:
            del sent[item["_id"]]
        if ok:
            taken += 1
        else:
            failed.append(FailedProduct(item["_id"], position, _reason(item)))
    failed.sort(key=lambda product: product.position)
    if failed and not taken:
        raise CatalogIndexError(
            f"OpenSearch refused all {len(failed)} products; the first, {failed[0].id!r}, "
            f"because: {failed[0].reason}"
        )
    if not taken:
        raise DataError("the catalog has no products, and an empty one is not put in service")
    client.indices.refresh(index=index)
    count = int(client.count(index=index)["count"])
    if count != taken:
        raise CatalogIndexError(
            f"OpenSearch took {taken} products into {index!r} and holds {count}; load again"
        )
    # One segment: quicker, and the word counts that scores rest on are those of the catalog.
    client.indices.forcemerge(index=index, max_num_segments=1, request_timeout=_MERGE_SECONDS)
    in_service = {"refresh_interval": None, "number_of_replicas": replicas}  # None: the default.
    client.indices.put_settings(index=index, body={"index": in_service})
    return BulkReport(index=index, count=count, failed=tuple(failed))


def _actions(
    index: str,
    products: Iterable[Product],
    failed: list[FailedProduct],
    sent: dict[str, list[int]],
    vectors: TitleVectors | None,
) -> Iterator[dict[str, Any]]:
    """The products that can be sent, noted in `sent`; the others go to `failed`."""
    for position, product in enumerate(products):
        source = document(product, position)
        fault = _fault(source)
        if fault:
            failed.append(FailedProduct(product.id, position, fault))
            continue
        if vectors is not None:
            source[VECTOR_FIELD] = vectors.rows[position].tolist()
        sent.setdefault(product.id, []).append(position)
        yield {
            # Not "index": that would let a second product take the place of the first unsaid.
            "_op_type": "create",
            "_index": index,
            "_id": product.id,
            "_source": source,
        }


def _fault(source: dict[str, Any]) -> str:
    """Why a product cannot be sent, or nothing. One such would have its whole chunk refused."""
    try:
        json.dumps(source, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        return f"it cannot be written as JSON: {error}"
    size = len(source["id"].encode())
    if not 0 < size <= _MAX_ID_BYTES:
        return f"its id has {size} bytes in UTF-8; expected 1 to {_MAX_ID_BYTES}"
    return ""


def _reason(item: dict[str, Any]) -> str:
    if item["status"] == 409:
        return "a product with this id was loaded before it"
    error = item["error"]
    cause = error.get("caused_by") or {}
    return ": ".join(filter(None, [error.get("reason"), cause.get("reason")]))


def _swap(client: OpenSearch, alias: str, index: str) -> list[str]:
    """Move the alias in one step; gives the versions that it was on."""
    previous: list[str] = []
    if client.indices.exists_alias(name=alias):
        previous = sorted(client.indices.get_alias(name=alias))
    removals = [{"remove": {"index": name, "alias": alias}} for name in previous]
    additions = [{"add": {"index": index, "alias": alias}}]
    client.indices.update_aliases(body={"actions": removals + additions})
    return previous


def _keep_default_pipeline(client: OpenSearch, alias: str, index: str) -> None:
    """Searches that were reranked ('qtr opensearch install --index') are so in the new version."""
    found = client.indices.get_settings(
        index=alias,
        name=DEFAULT_PIPELINE,
        params={"flat_settings": "true", "ignore_unavailable": "true"},
    )
    pipelines = {one["settings"].get(DEFAULT_PIPELINE) for one in found.values()} - {None}
    if len(pipelines) == 1:
        client.indices.put_settings(index=index, body={DEFAULT_PIPELINE: pipelines.pop()})


def _delete_older(client: OpenSearch, alias: str, kept: list[str]) -> None:
    """Delete our versions that are older than those kept. A newer one is another load's."""
    version = re.compile(re.escape(alias) + r"-\d{8}t\d{12}")
    for name in sorted(client.indices.get(index=f"{alias}-*")):
        if version.fullmatch(name) and name < min(kept):
            client.indices.delete(index=name, ignore_unavailable=True)
