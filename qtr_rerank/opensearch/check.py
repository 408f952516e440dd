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
from qtr_rerank.opensearch.cluster import (
    Installed,
    cluster_settings,
    default_pipelines,
    has_field,
    installed,
    is_on,
)
from qtr_rerank.opensearch.wiring import ONLY_ML_NODES, PRIVATE, TRUSTED, is_trusted, require_name

_PROBE = {"query_text": "probe", "text_docs": ["probe one", "two"]}
_REQUESTS = re.compile(r'^qtr_requests_total\{route="/v2/rerank",status="\d+"\} (\S+)', re.M)
_UNKNOWN = re.compile(r"^qtr_unknown_ids_total\{.*\} (\S+)", re.M)
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
    require_name(name)
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
    answers = _probe(api, there.model_id, endpoint, there.connector)
    yield answers
    pipeline = (api.get(f"/_search/pipeline/{name}") or {}).get(name)
    fault = _pipeline_fault(pipeline, there.model_id, name)
    yield fault or Finding(f"search pipeline {name} reranks by model {there.model_id}")
    if pipeline is None or not answers.is_well:
        return
    if _count(endpoint) is None:
        yield Finding(
            f"the server's counter at {_base(endpoint)}/metrics is not reached from here (the "
            "nodes reach it): whether a search calls the server is seen by its scores alone"
        )
    yield from _defaults(api, there, name)
    if index is None:
        return
    fields = _fields(pipeline)
    readable = True
    for finding in _index(api, index, fields, name):
        readable = readable and finding.is_well
        yield finding
    if readable and (query is not None or search is not None):
        body = dict(_search_body(query or "") if search is None else search)
        yield from _searches(api, pipeline, name, index, fields, body, endpoint)


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
        f"model {model_id} is not deployed: its state is {state} (a search may deploy it, as the "
        "probe below does)",
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
    if "needs an index" in said or "holds no titles" in said:
        return Finding(
            f"the server cannot take ids: {reason}",
            "start 'qtr serve' with --index, or run 'qtr opensearch install --no-ids'",
        )
    if "no route of this server" in said or "no handler found" in said:
        return Finding(
            f"what answers at {base} is not 'qtr serve', or not at {urlsplit(endpoint).path}",
            "run 'qtr opensearch install --server' with the address that 'qtr serve' prints, as "
            "the nodes see it",
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
        missing = [field for field in fields if not has_field(found["mappings"], field)]
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


def _defaults(api: Api, there: Installed, name: str) -> Iterator[Finding]:
    """Whether the index that got the pipeline as its default has it still."""
    wanted = there.record.get("wiring", {}).get("index")
    for index, default in (default_pipelines(api, wanted) if wanted else {}).items():
        if default != name:
            yield Finding(
                f"index {index} behind {wanted} lost the pipeline as its default (its own is "
                f"{default or 'none'}): its searches are not reranked",
                f"run 'qtr opensearch install --index {wanted}' again",
            )


def _searches(
    api: Api,
    pipeline: Mapping[str, Any],
    name: str,
    index: str,
    fields: list[str],
    body: Mapping[str, Any],
    endpoint: str,
) -> Iterator[Finding]:
    """A search without the pipeline and with it: is the server called, the order another?"""
    yield from _body_faults(body)
    plain = api.get(f"/{index}/_search?search_pipeline=_none", _without_rerank(body))
    if plain is None or not plain["hits"]["hits"]:
        yield Finding(
            "the search finds nothing, so that nothing can be reranked",
            "give --query words that products of the index hold, and --search a size above 0",
        )
        return
    yield from _texts_fault(plain, fields)
    before, unknown = _count(endpoint), _count(endpoint, _UNKNOWN)
    try:
        reranked = api.ask(f"/{index}/_search?search_pipeline={name}", body)
    except RefusedError as error:
        remedy = "see what it says"
        if "window" in error.reason:
            remedy = (
                "ask for fewer hits, or run 'qtr opensearch install --oversample' with less: from "
                "+ size x oversample may be 10,000, unless the index says otherwise"
            )
        yield Finding(f"OpenSearch refuses the search with the pipeline: {error.reason}", remedy)
        return
    after = _count(endpoint)
    if _scores(plain) == _scores(reranked):
        called = "" if before is None or after is None or after > before else ": it was not asked"
        yield Finding(
            f"the search came back in its first order: the server did not rerank it{called}",
            _hidden_fault(api, pipeline, index, body, endpoint),
        )
        return
    yield Finding(
        f"the search is reranked: {_titles(plain, fields)} was first, now "
        f"{_titles(reranked, fields)} is"
        if plain["hits"]["hits"][0]["_id"] != reranked["hits"]["hits"][0]["_id"]
        else "the search is reranked, and its first hit was first before, too"
    )
    if unknown is not None and (_count(endpoint, _UNKNOWN) or 0) > unknown:
        yield Finding(
            "the server does not know some of the hits' ids, and put them last: its index is of "
            "another load than OpenSearch's",
            "start 'qtr serve' again with the --index that this catalog was loaded with",
        )


def _texts_fault(plain: Mapping[str, Any], fields: list[str]) -> Iterator[Finding]:
    hits = plain["hits"]["hits"]
    if not any(_value(hit, field) for hit in hits for field in fields):
        yield Finding(
            f"no hit of the search brings {', '.join(fields)} along: the server gets empty texts",
            f"let the search return {', '.join(fields)} in _source, or rerank by another --field",
        )


def _value(hit: Mapping[str, Any], field: str) -> Any:
    """What a hit has in a field, such as "title" or "name.en"."""
    if field in hit.get("fields", {}):
        return hit["fields"][field]
    found: Any = hit.get("_source", {})
    if field in found:
        return found[field]
    for part in field.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


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
    if "rerank" not in _ext(body):
        yield Finding(
            "the search lacks ext.rerank, and is not reranked without the words to rerank by",
            'add "ext": {"rerank": {"query_context": {"query_text": "the words"}}}',
        )
    if body.get("sort") not in (None, [], "_score", ["_score"]):
        yield Finding(
            f"the search sorts by {json.dumps(body['sort'])}, and the pipeline puts its own order "
            "in the place of that one",
            "send sorted searches with search_pipeline=_none",
        )
    if body.get("_source") is False and not body.get("fields"):
        yield Finding(
            "the search says _source: false, and the server gets empty texts",
            "let the search return the fields that are reranked by in _source",
        )


def _ext(body: Mapping[str, Any]) -> Mapping[str, Any]:
    ext = body.get("ext")
    return ext if isinstance(ext, Mapping) else {}


def _without_rerank(body: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in body.items() if key != "ext"}
    ext = {key: value for key, value in _ext(body).items() if key != "rerank"}
    return plain | ({"ext": ext} if ext else {})


def _hidden_fault(
    api: Api, pipeline: Mapping[str, Any], index: str, body: Mapping[str, Any], endpoint: str
) -> str:
    """The same pipeline for one search, with nothing hidden: what it says then, as a remedy."""
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
    value = _value(first, fields[0])
    return repr(str(value)[:60]) if value else str(first["_id"])


def _base(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}"


def _count(endpoint: str, counter: re.Pattern[str] = _REQUESTS) -> float | None:
    """What one of the server's own counters says; None where it is not reached.

    By default how many rerank requests it answered.
    """
    parts = urlsplit(endpoint)
    https = parts.scheme == "https"
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_SECONDS)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    # Anything else may answer there: a proxy, say.
    if answer.status != http.HTTPStatus.OK or "qtr_requests" not in text:
        return None
    return sum(float(count) for count in counter.findall(text))
