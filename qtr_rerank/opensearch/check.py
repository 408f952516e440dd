"""Plug in: try the wiring for real, and say in words what is wrong with it and what to do.

The search pipeline hides faults on purpose (`ignore_failure`: a search outlives its reranker), so
looking at search results does not tell. This asks each part, and the server's own counter.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from qtr_rerank.opensearch.api import Api, RefusedError
from qtr_rerank.opensearch.install import cluster_settings, default_pipelines, installed, is_on
from qtr_rerank.opensearch.wiring import ONLY_ML_NODES, PRIVATE, TRUSTED, is_trusted

_PROBE = {"query_text": "probe", "text_docs": ["probe one", "two"]}
_COUNTED = re.compile(r'qtr_requests_total\{route="/v2/rerank",status="(\d+)"\} (\S+)')
_HITS = 10
_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `remedy` is empty where it is well."""

    what: str
    remedy: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing has to be done."""
        return not self.remedy


def check(
    api: Api, name: str, index: str | None, query: str | None, search: Mapping[str, Any] | None
) -> Iterator[Finding]:
    """Look at each part in order; stops where later ones cannot work.

    With `index` and `query` (or `search`, the body that an application sends) a search is run with
    the pipeline and without. Raises EngineUnavailableError where OpenSearch does not answer.
    """
    there = installed(api, name)
    if there.connector_id is None:
        yield Finding(
            f"OpenSearch has no connector {name!r}",
            "run 'qtr opensearch install', or name another with --name",
        )
        return
    endpoint = there.connector["actions"][0]["url"]
    yield Finding(f"connector {name} sends to {endpoint}")
    yield from _settings(api, endpoint)
    if there.model_id is None:
        yield Finding(
            "the connector has no model over it: somebody deleted it",
            "run 'qtr opensearch install' again",
        )
        return
    yield _deployed(api, there.model_id)
    counted = _count(endpoint)
    answers = _probe(api, there.model_id, endpoint, there.connector)
    yield answers
    pipeline = (api.get(f"/_search/pipeline/{name}") or {}).get(name)
    fault = _pipeline_fault(pipeline, there.model_id, name)
    yield fault or Finding(f"search pipeline {name} reranks by model {there.model_id}")
    if pipeline is None or not answers.is_well:
        return
    if counted is None:
        yield Finding(
            f"the server's counter at {_base(endpoint)}/metrics is not reached from here (the "
            "nodes reach it): whether a search calls the server is seen by its scores alone"
        )
    if index is not None:
        fields = _fields(pipeline)
        yield from _index(api, index, fields, name)
        if query is not None or search is not None:
            yield from _searches(api, name, index, fields, query, search, endpoint)


def _settings(api: Api, endpoint: str) -> Iterator[Finding]:
    _, current = cluster_settings(api)
    if is_trusted(endpoint, list(current.get(TRUSTED) or [])):
        yield Finding("ml-commons trusts this address")
    else:
        yield Finding(
            f"ml-commons does not trust {endpoint}: no pattern of {TRUSTED} matches it; a model "
            "that is deployed goes on until it is deployed again",
            "run 'qtr opensearch install' again, which adds the pattern and keeps the others",
        )
    if is_on(current.get(ONLY_ML_NODES)):
        yield Finding(
            f"{ONLY_ML_NODES} is true: models run on nodes of the role 'ml' alone; give a node "
            "that role if the probe below finds none"
        )


def _deployed(api: Api, model_id: str) -> Finding:
    answer = api.get(f"/_plugins/_ml/models/{model_id}")
    state = answer["model_state"] if answer else "missing"
    if state == "DEPLOYED":
        return Finding(f"model {model_id} is deployed")
    return Finding(
        f"model {model_id} is not deployed: its state is {state}",
        "run 'qtr opensearch install' again, which deploys it",
    )


def _probe(api: Api, model_id: str, endpoint: str, connector: Mapping[str, Any]) -> Finding:
    """Have OpenSearch itself ask the server."""
    try:
        api.ask(f"/_plugins/_ml/_predict/text_similarity/{model_id}", _PROBE)
    except RefusedError as error:
        return diagnosed(error.reason, endpoint, connector["parameters"]["model"])
    return Finding(f"OpenSearch reaches the server at {_base(endpoint)}, and is answered")


def diagnosed(reason: str, endpoint: str, model: str) -> Finding:
    """ml-commons' reason why it could not ask the server, in words and with the remedy."""
    reason = " ".join(reason.split())
    said = reason.lower()
    base = _base(endpoint)
    if "private ip" in said:
        return Finding(
            f"ml-commons refuses {base} as a private address",
            f"run 'qtr opensearch install' again, which sets {PRIVATE}: true",
        )
    if "trusted connector endpoint" in said:
        return Finding(
            f"ml-commons does not trust {base}",
            f"run 'qtr opensearch install' again, which adds it to {TRUSTED}",
        )
    if "api key" in said or "unauthorized" in said:
        return Finding(
            "the server refuses the API key that the connector sends",
            "run 'qtr opensearch install' again with QTR_API_KEYS set to a key of the server's",
        )
    if "is not served" in said:
        return Finding(
            f"the server has no model {model!r}: {reason}",
            "start 'qtr serve' with it (-m), or run 'qtr opensearch install --model' with another",
        )
    if any(
        sign in said
        for sign in (
            "refused",
            "unknownhost",
            "unknown host",
            "timed out",
            "resolve",
            "no route",
            "unreachable",
            "timeout",
            "acquire operation",
        )
    ):
        return Finding(
            f"OpenSearch's nodes do not reach the server at {base} ({reason})",
            "start it: qtr serve --host 0.0.0.0; where it runs, give install an address that the "
            "nodes can reach (127.0.0.1 is each node itself) and see firewalls",
        )
    return Finding(
        f"the server could not be asked: {reason}", "see the server's log and the nodes'"
    )


def _pipeline_fault(pipeline: Mapping[str, Any] | None, model_id: str, name: str) -> Finding | None:
    again = "run 'qtr opensearch install' again"
    if pipeline is None:
        return Finding(f"there is no search pipeline {name}", again)
    reranks = [one["rerank"] for one in pipeline.get("response_processors", []) if "rerank" in one]
    if not reranks:
        return Finding(f"search pipeline {name} has no rerank processor", again)
    used = reranks[0].get("ml_opensearch", {}).get("model_id")
    if used != model_id:
        return Finding(f"search pipeline {name} reranks by model {used}, not by {model_id}", again)
    return None


def _fields(pipeline: Mapping[str, Any]) -> list[str]:
    for processor in pipeline["response_processors"]:
        if "rerank" in processor:
            return list(processor["rerank"]["context"]["document_fields"])
    return []


def _index(api: Api, index: str, fields: list[str], name: str) -> Iterator[Finding]:
    mapping = api.get(f"/{index}/_mapping")
    if mapping is None:
        yield Finding(f"OpenSearch has no index {index!r}", "name one with --index")
        return
    for concrete, found in mapping.items():
        missing = [field for field in fields if not _has(found["mappings"], field)]
        if missing:
            yield Finding(
                f"index {concrete} has no field {', '.join(missing)} in its mapping: the server "
                "gets empty texts",
                "run 'qtr opensearch install --field' with a field of the index that holds titles",
            )
        else:
            yield Finding(f"index {concrete} has the field {', '.join(fields)}")
        default = default_pipelines(api, concrete).get(concrete)
        if default == name:
            yield Finding(f"index {concrete} uses the pipeline by default")
        else:
            yield Finding(
                f"index {concrete} does not use the pipeline by default (its own is "
                f"{default or 'none'}): a search is reranked that says search_pipeline={name}"
            )


def _has(mapping: Mapping[str, Any], field: str) -> bool:
    first, _, rest = field.partition(".")
    found = mapping.get("properties", {}).get(first)
    if found is None:
        return False
    return not rest or _has(found, rest) or rest in found.get("fields", {})


def _searches(
    api: Api,
    name: str,
    index: str,
    fields: list[str],
    query: str | None,
    search: Mapping[str, Any] | None,
    endpoint: str,
) -> Iterator[Finding]:
    """A search without the pipeline and with it: is the server called, the order another?"""
    body = dict(search or _search_body(query or ""))
    yield from _body_faults(body)
    plain = api.get(f"/{index}/_search?search_pipeline=_none", _without_rerank(body))
    if plain is None or not plain["hits"]["hits"]:
        yield Finding(
            "the search finds nothing, so that nothing can be reranked",
            "give --query words that products of the index hold",
        )
        return
    before = _count(endpoint)
    through = f"/{index}/_search?search_pipeline={name}"
    reranked = api.get(through, body)
    after = _count(endpoint)
    same = _scores(plain) == _scores(reranked)
    called = before is None or after is None or after > before
    if same or not called:
        yield Finding(
            "the search came back in its first order: the pipeline did not rerank it",
            _hidden_fault(api, name, index, body, endpoint),
        )
        return
    yield Finding(
        f"the search is reranked: {_titles(plain, fields)} was first, now "
        f"{_titles(reranked, fields)} is"
        if plain["hits"]["hits"][0]["_id"] != reranked["hits"]["hits"][0]["_id"]
        else "the search is reranked, and its first hit was first before, too"
    )
    if (
        len({hit["_score"] for hit in reranked["hits"]["hits"]}) == 1
        and len(plain["hits"]["hits"]) > 1
    ):
        yield Finding(
            "all hits have one score: the server got the same text of each, perhaps an empty one",
            f"let the search return {', '.join(fields)} in _source, or rerank by another --field",
        )


def _search_body(query: str) -> dict[str, Any]:
    return {
        "size": _HITS,
        "query": {"multi_match": {"query": query, "fields": ["*"], "lenient": True}},
        "ext": {"rerank": {"query_context": {"query_text": query}}},
    }


def _body_faults(body: Mapping[str, Any]) -> Iterator[Finding]:
    """What in an application's own search keeps it from being reranked."""
    if body.get("track_total_hits") is False:
        yield Finding(
            "the search says track_total_hits: false, and OpenSearch then fails to rerank it",
            "leave track_total_hits out, or give it a number",
        )
    if "rerank" not in body.get("ext", {}):
        yield Finding(
            "the search lacks ext.rerank, and is not reranked without the words to rerank by",
            'add "ext": {"rerank": {"query_context": {"query_text": "the words"}}}',
        )
    if body.get("_source") is False:
        yield Finding(
            "the search says _source: false, and the server gets empty texts",
            "let the search return the fields that are reranked by in _source",
        )


def _without_rerank(body: Mapping[str, Any]) -> dict[str, Any]:
    plain = dict(body)
    plain["ext"] = {key: value for key, value in body.get("ext", {}).items() if key != "rerank"}
    if not plain["ext"]:
        del plain["ext"]
    return plain


def _hidden_fault(api: Api, name: str, index: str, body: Mapping[str, Any], endpoint: str) -> str:
    """The same pipeline for one search, with nothing hidden: what it says then, as a remedy."""
    pipeline = api.get(f"/_search/pipeline/{name}")[name]
    shown = json.loads(json.dumps({key: pipeline[key] for key in pipeline if key != "description"}))
    for processor in shown["response_processors"]:
        for settings in processor.values():
            settings["ignore_failure"] = False
    try:
        api.ask(f"/{index}/_search", {**body, "search_pipeline": shown})
    except RefusedError as error:
        if "getTotalHits" in error.reason:
            return "leave track_total_hits out of the search, or give it a number"
        if "RerankSearchExtBuilder" in error.reason:
            return 'add "ext": {"rerank": {"query_context": {"query_text": "the words"}}} to it'
        found = diagnosed(error.reason, endpoint, "")
        return f"{found.what}: {found.remedy}"
    return "see whether the pipeline is the one that searches name; run install again"


def _scores(answer: Mapping[str, Any]) -> list[tuple[str, float | None]]:
    return [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]


def _titles(answer: Mapping[str, Any], fields: list[str]) -> str:
    first = answer["hits"]["hits"][0]
    value = first.get("_source", {}).get(fields[0]) if fields else None
    return repr(str(value)[:60]) if value else first["_id"]


def _base(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}"


def _count(endpoint: str) -> float | None:
    """How many rerank requests the server says it answered; None where it is not reached."""
    parts = urlsplit(endpoint)
    https = parts.scheme == "https"
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_SECONDS)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return sum(float(count) for _, count in _COUNTED.findall(text))
