"""Index: load a catalog into OpenSearch, behind an alias that moves when the load is complete.

Each load makes a new index, a version such as `ALIAS-20261121t094500123456`. Searches use the
previous version until the alias moves, in one step. The previous version is kept, so that one
request moves the alias back; older versions are deleted.
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

# A node accepts requests up to 100 MB; smaller ones take less memory on both sides.
_CHUNK_BYTES = 10 * 1024 * 1024
_CHUNK_PRODUCTS = 500
_BULK_SECONDS = 120
_MERGE_SECONDS = 3600
_MAX_ID_BYTES = 512
# After status 429 (busy) the client waits 1, 2, 4, ... 60 seconds, five minutes in all.
_RETRIES = 9
_FIRST_WAIT_SECONDS = 1
_LONGEST_WAIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class FailedProduct:
    """A product that OpenSearch refused, with its row (from 0) and the reason."""

    id: str
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class BulkReport:
    """The result of a load: the index behind the alias, its product count, refused products."""

    index: str
    count: int
    failed: tuple[FailedProduct, ...]


@dataclass(frozen=True, slots=True)
class TitleVectors:
    """Title vectors (products, dim) in catalog order, and the k-NN engine that searches them."""

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

    `products` is read once, as a stream; with `vectors` each is stored with its title vector.
    Refused products are reported, among them repeated ids (the first row is kept). After any other
    error the new version is deleted and the alias does not move.

    Raises EngineUnavailableError, CatalogIndexError if `alias` is an index or OpenSearch refused
    all products, DataError if there are none.
    """
    # A request sent twice would report its own products as repeated ids.
    client = connect(settings, retries=0)
    try:
        with engine_errors(settings.url):
            if client.indices.exists(index=alias) and not client.indices.exists_alias(name=alias):
                raise CatalogIndexError(
                    f"{alias!r} is an index in OpenSearch; expected an alias; "
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
            previous = _move_alias(client, alias, index)
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
        # Vectors are searched, and never returned.
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

    loaded = 0
    failed: list[FailedProduct] = []
    # Rows by id of the products sent, without a response yet: at most one chunk.
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
            loaded += 1
        else:
            failed.append(FailedProduct(item["_id"], position, _reason(item)))
    failed.sort(key=lambda product: product.position)
    if failed and not loaded:
        raise CatalogIndexError(
            f"OpenSearch refused all {len(failed)} products; the first, {failed[0].id!r}, "
            f"because: {failed[0].reason}"
        )
    if not loaded:
        raise DataError("the catalog has no products; expected at least one")
    _put_in_service(client, index, loaded, replicas)
    return BulkReport(index=index, count=loaded, failed=tuple(failed))


def _put_in_service(client: OpenSearch, index: str, loaded: int, replicas: int) -> None:
    """Refresh and merge the index, and set what `index_body` left out for the load."""
    client.indices.refresh(index=index)
    count = int(client.count(index=index)["count"])
    if count != loaded:
        raise CatalogIndexError(
            f"OpenSearch accepted {loaded} products into {index!r} but has {count}; load again"
        )
    # One segment is faster, and no deleted document counts in BM25's statistics.
    client.indices.forcemerge(index=index, max_num_segments=1, request_timeout=_MERGE_SECONDS)
    in_service = {"refresh_interval": None, "number_of_replicas": replicas}  # None: the default.
    client.indices.put_settings(index=index, body={"index": in_service})


def _actions(
    index: str,
    products: Iterable[Product],
    failed: list[FailedProduct],
    sent: dict[str, list[int]],
    vectors: TitleVectors | None,
) -> Iterator[dict[str, Any]]:
    """Actions for valid products, whose rows go into `sent`; invalid ones go into `failed`."""
    for position, product in enumerate(products):
        source = document(product, position)
        reason = _refusal(source)
        if reason:
            failed.append(FailedProduct(product.id, position, reason))
            continue
        if vectors is not None:
            source[VECTOR_FIELD] = vectors.rows[position].tolist()
        sent.setdefault(product.id, []).append(position)
        yield {
            # "index" would silently replace the first product of an id.
            "_op_type": "create",
            "_index": index,
            "_id": product.id,
            "_source": source,
        }


def _refusal(source: dict[str, Any]) -> str:
    """Why a product cannot be sent; "" if it can. OpenSearch would refuse its whole chunk."""
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


def _move_alias(client: OpenSearch, alias: str, index: str) -> list[str]:
    """Move the alias in one step; return the versions that it pointed to before."""
    previous: list[str] = []
    if client.indices.exists_alias(name=alias):
        previous = sorted(client.indices.get_alias(name=alias))
    removals = [{"remove": {"index": name, "alias": alias}} for name in previous]
    additions = [{"add": {"index": index, "alias": alias}}]
    client.indices.update_aliases(body={"actions": removals + additions})
    return previous


def _keep_default_pipeline(client: OpenSearch, alias: str, index: str) -> None:
    """Copy the default pipeline ('qtr opensearch install --index') to the new version."""
    settings = client.indices.get_settings(
        index=alias,
        name=DEFAULT_PIPELINE,
        params={"flat_settings": "true", "ignore_unavailable": "true"},
    )
    pipelines = {each["settings"].get(DEFAULT_PIPELINE) for each in settings.values()} - {None}
    if len(pipelines) == 1:
        client.indices.put_settings(index=index, body={DEFAULT_PIPELINE: pipelines.pop()})


def _delete_older(client: OpenSearch, alias: str, kept: list[str]) -> None:
    """Delete versions of `alias` older than those kept; a newer one belongs to another load."""
    version = re.compile(re.escape(alias) + r"-\d{8}t\d{12}")
    for name in sorted(client.indices.get(index=f"{alias}-*")):
        if version.fullmatch(name) and name < min(kept):
            client.indices.delete(index=name, ignore_unavailable=True)
