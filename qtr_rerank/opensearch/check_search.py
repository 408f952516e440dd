"""Plugin: run a search with and without the pipeline, and report why it is not reranked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from qtr_rerank.opensearch.api import Api, RefusedError
from qtr_rerank.opensearch.diagnosis import Finding, diagnose
from qtr_rerank.opensearch.server_metrics import REQUESTS, UNKNOWN_IDS, read_counter

_HITS = 10
_TITLE_CHARACTERS = 60
_EXT = 'add "ext": {"rerank": {"query_context": {"query_text": "the query"}}}'
_TOTAL_HITS = "leave track_total_hits out of the search, or give it a number"


def search_for(query: str) -> dict[str, Any]:
    """A search body for a query in all fields of an index."""
    return {
        "size": _HITS,
        "query": {"multi_match": {"query": query, "fields": ["*"], "lenient": True}},
        "ext": {"rerank": {"query_context": {"query_text": query}}},
    }


def check_search(
    api: Api,
    index: str,
    name: str,
    pipeline: Mapping[str, Any],
    fields: list[str],
    body: Mapping[str, Any],
    endpoint: str,
) -> Iterator[Finding]:
    """Whether a search with the pipeline calls the server and gets other scores than without."""
    yield from _check_body(body)
    plain = api.get(f"/{index}/_search?search_pipeline=_none", _without_rerank(body))
    if plain is None or not plain["hits"]["hits"]:
        yield Finding(
            "the search has no hits, so nothing can be reranked",
            "give --query words that products of the index have, and --search a size above 0",
        )
        return
    yield from _check_texts(plain, fields)
    requests = read_counter(endpoint, REQUESTS)
    unknown_ids = read_counter(endpoint, UNKNOWN_IDS)
    try:
        reranked = api.run(f"/{index}/_search?search_pipeline={name}", body)
    except RefusedError as error:
        yield _refused(error.reason)
        return
    if _scores(plain) == _scores(reranked):
        after = read_counter(endpoint, REQUESTS)
        called = requests is None or after is None or after > requests
        yield Finding(
            "the search came back in OpenSearch's order: the server did not rerank it"
            + ("" if called else ", and was not called"),
            _hidden_failure(api, pipeline, index, body, endpoint),
        )
        return
    yield _reranked(plain, reranked, fields)
    if unknown_ids is not None and (read_counter(endpoint, UNKNOWN_IDS) or 0) > unknown_ids:
        yield Finding(
            "the server does not know some of the hits' ids, and put them last: its index and "
            "OpenSearch's are of different loads of the catalog",
            "start 'qtr serve' again with the --index that this catalog was loaded with",
        )


def _check_body(body: Mapping[str, Any]) -> Iterator[Finding]:
    """Parts of an application's search that prevent reranking."""
    if body.get("track_total_hits") is False:
        yield Finding(
            "the search has track_total_hits: false, and OpenSearch then fails to rerank it",
            _TOTAL_HITS,
        )
    if "rerank" not in _ext(body):
        yield Finding("the search has no ext.rerank, and so no query to rerank by", _EXT)
    if body.get("sort") not in (None, [], "_score", ["_score"]):
        yield Finding(
            f"the search sorts by {json.dumps(body['sort'])}, and the pipeline overrides that",
            "send sorted searches with search_pipeline=_none",
        )
    if body.get("_source") is False and not body.get("fields"):
        yield Finding(
            "the search has _source: false, and the server gets empty texts",
            "let the search return the fields to rerank by in _source",
        )


def _check_texts(plain: Mapping[str, Any], fields: list[str]) -> Iterator[Finding]:
    names = ", ".join(fields)
    if not any(_value(hit, field) for hit in plain["hits"]["hits"] for field in fields):
        yield Finding(
            f"no hit of the search has {names}: the server gets empty texts",
            f"let the search return {names} in _source, or install with another --field",
        )


def _refused(reason: str) -> Finding:
    remedy = "correct the search"
    if "window" in reason:
        remedy = (
            "ask for fewer hits, or run 'qtr opensearch install --oversample' with less: from + "
            "size x oversample may be 10,000 at most, unless the index has another limit"
        )
    return Finding(f"OpenSearch refuses the search with the pipeline: {reason}", remedy)


def _reranked(plain: Mapping[str, Any], reranked: Mapping[str, Any], fields: list[str]) -> Finding:
    before, after = plain["hits"]["hits"][0], reranked["hits"]["hits"][0]
    if before["_id"] == after["_id"]:
        return Finding("the search is reranked; its first hit is the same as before")
    return Finding(
        f"the search is reranked: the first hit was {_title(before, fields)}, now it is "
        f"{_title(after, fields)}"
    )


def _hidden_failure(
    api: Api, pipeline: Mapping[str, Any], index: str, body: Mapping[str, Any], endpoint: str
) -> str:
    """Run the search with the same pipeline without `ignore_failure`; the remedy for its error."""
    shown = json.loads(json.dumps({key: pipeline[key] for key in pipeline if key != "description"}))
    for processor in shown["response_processors"]:
        for settings in processor.values():
            settings["ignore_failure"] = False
    try:
        api.run(f"/{index}/_search", {**body, "search_pipeline": shown})
    except RefusedError as error:
        if "getTotalHits" in error.reason:
            return _TOTAL_HITS
        if "RerankSearchExtBuilder" in error.reason:
            return f"{_EXT} to it"
        finding = diagnose(error.reason, endpoint, "")
        return f"{finding.what}: {finding.remedy}"
    return "check that searches name this pipeline; run 'qtr opensearch install' again"


def _ext(body: Mapping[str, Any]) -> Mapping[str, Any]:
    ext = body.get("ext")
    return ext if isinstance(ext, Mapping) else {}


def _without_rerank(body: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in body.items() if key != "ext"}
    ext = {key: value for key, value in _ext(body).items() if key != "rerank"}
    return plain | ({"ext": ext} if ext else {})


def _scores(response: Mapping[str, Any]) -> list[tuple[str, float | None]]:
    return [(hit["_id"], hit["_score"]) for hit in response["hits"]["hits"]]


def _title(hit: Mapping[str, Any], fields: list[str]) -> str:
    value = _value(hit, fields[0])
    return repr(str(value)[:_TITLE_CHARACTERS]) if value else str(hit["_id"])


def _value(hit: Mapping[str, Any], field: str) -> Any:
    """The value of a field in a hit, such as "title" or "name.en"; None if it has none."""
    if field in hit.get("fields", {}):
        return hit["fields"][field]
    value: Any = hit.get("_source", {})
    if field in value:
        return value[field]
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
