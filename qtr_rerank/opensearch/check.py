"""Plugin: test an installation part by part, and report what is wrong with its remedy.

A search does not show errors of reranking: its pipeline has `ignore_failure`, so the search
survives. So each part is tested by itself, and then a search (`check_search`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qtr_rerank.opensearch.api import Api, RefusedError
from qtr_rerank.opensearch.check_search import check_search, search_for
from qtr_rerank.opensearch.cluster import (
    Installation,
    cluster_settings,
    find_installation,
    has_field,
    is_true,
    model_state,
    search_pipeline,
)
from qtr_rerank.opensearch.default_pipeline import default_pipelines
from qtr_rerank.opensearch.diagnosis import Finding, base_address, diagnose
from qtr_rerank.opensearch.server_metrics import REQUESTS, read_counter
from qtr_rerank.opensearch.wiring import ONLY_ML_NODES, TRUSTED_ENDPOINTS, is_trusted, require_name

_PROBE = {"query_text": "probe", "text_docs": ["probe one", "two"]}


def check(
    api: Api, name: str, index: str | None, query: str | None, search: Mapping[str, Any] | None
) -> Iterator[Finding]:
    """Test each part in order; stop where later parts cannot work.

    With `index` and `query` (or `search`, a search body as an application sends it) a search is
    run with and without the pipeline. Raises EngineUnavailableError where OpenSearch does not
    respond.
    """
    require_name(name)
    installation = find_installation(api, name)
    if installation.connector_id is None:
        yield Finding(
            f"OpenSearch has no connector {name!r}",
            "run 'qtr opensearch install', or name another with --name",
        )
        return
    endpoint = installation.connector["actions"][0]["url"]
    yield Finding(f"connector {name} sends to {endpoint}")
    yield from _check_settings(api, endpoint)
    model_id = installation.model_id
    if model_id is None:
        yield Finding(
            "the connector has no model: somebody deleted it", "run 'qtr opensearch install' again"
        )
        return
    yield _check_deployed(api, model_id)
    server = _check_server(api, model_id, endpoint, installation.connector)
    yield server
    pipeline = search_pipeline(api, name)
    yield _check_pipeline(pipeline, model_id, name)
    if pipeline is None or not server.ok:
        return
    if read_counter(endpoint, REQUESTS) is None:
        yield Finding(
            f"{base_address(endpoint)}/metrics cannot be read from here (the nodes reach the "
            "server): only scores will show whether a search is reranked"
        )
    yield from _check_defaults(api, installation, name)
    if index is None:
        return
    fields = _rerank_fields(pipeline)
    findings = list(_check_index(api, index, fields, name))
    yield from findings
    if all(finding.ok for finding in findings) and (query is not None or search is not None):
        body = search_for(query or "") if search is None else search
        yield from check_search(api, index, name, pipeline, fields, body, endpoint)


def _check_settings(api: Api, endpoint: str) -> Iterator[Finding]:
    _, current = cluster_settings(api)
    if is_trusted(endpoint, list(current.get(TRUSTED_ENDPOINTS) or [])):
        yield Finding("ml-commons trusts this address")
    else:
        yield Finding(
            f"ml-commons does not trust {endpoint}: no pattern of {TRUSTED_ENDPOINTS} matches it "
            "(a model that is deployed keeps working until it is deployed again)",
            "run 'qtr opensearch install' again, which adds the pattern and keeps the others",
        )
    if is_true(current.get(ONLY_ML_NODES)):
        yield Finding(
            f"{ONLY_ML_NODES} is true: models run only on nodes with the role 'ml'; give a node "
            "that role if the next test finds none"
        )


def _check_deployed(api: Api, model_id: str) -> Finding:
    state = model_state(api, model_id)
    if state == "DEPLOYED":
        return Finding(f"model {model_id} is deployed")
    return Finding(
        f"model {model_id} is not deployed: its state is {state} (a search may deploy it, as the "
        "next test does)",
        "run 'qtr opensearch install' again, which deploys it",
    )


def _check_server(api: Api, model_id: str, endpoint: str, connector: Mapping[str, Any]) -> Finding:
    """Let OpenSearch itself call the server."""
    try:
        api.run(f"/_plugins/_ml/_predict/text_similarity/{model_id}", _PROBE)
    except RefusedError as error:
        return diagnose(error.reason, endpoint, connector["parameters"]["model"])
    return Finding(f"OpenSearch reaches the server at {base_address(endpoint)}, and it responds")


def _check_pipeline(pipeline: Mapping[str, Any] | None, model_id: str, name: str) -> Finding:
    remedy = "run 'qtr opensearch install' again"
    if pipeline is None:
        return Finding(f"there is no search pipeline {name}", remedy)
    processors = pipeline.get("response_processors", [])
    rerank = next((each["rerank"] for each in processors if "rerank" in each), None)
    if rerank is None:
        return Finding(f"search pipeline {name} has no rerank processor", remedy)
    used = rerank.get("ml_opensearch", {}).get("model_id")
    if used != model_id:
        return Finding(f"search pipeline {name} reranks by model {used}, not by {model_id}", remedy)
    return Finding(f"search pipeline {name} reranks by model {model_id}")


def _rerank_fields(pipeline: Mapping[str, Any]) -> list[str]:
    for processor in pipeline["response_processors"]:
        if "rerank" in processor:
            return list(processor["rerank"]["context"]["document_fields"])
    return []


def _check_index(api: Api, index: str, fields: list[str], name: str) -> Iterator[Finding]:
    mappings = api.get(f"/{index}/_mapping")
    if mappings is None:
        yield Finding(f"OpenSearch has no index {index!r}", "name one with --index")
        return
    defaults = default_pipelines(api, index)
    for each, entry in mappings.items():
        missing = [field for field in fields if not has_field(entry["mappings"], field)]
        if missing:
            yield Finding(
                f"index {each} has no field {', '.join(missing)} in its mapping: the server "
                "gets empty texts",
                "run 'qtr opensearch install --field' with a field of the index that holds titles",
            )
        else:
            yield Finding(f"index {each} has the field {', '.join(fields)}")
        default = defaults.get(each)
        if default == name:
            yield Finding(f"index {each} uses the pipeline by default")
        else:
            yield Finding(
                f"index {each} does not use the pipeline by default (its default is "
                f"{default or 'none'}): only searches with search_pipeline={name} are reranked"
            )


def _check_defaults(api: Api, installation: Installation, name: str) -> Iterator[Finding]:
    """Whether the index that was installed with the pipeline as its default still has it."""
    installed = installation.record.get("wiring", {}).get("index")
    for index, default in (default_pipelines(api, installed) if installed else {}).items():
        if default != name:
            yield Finding(
                f"index {index} behind {installed} lost the pipeline as its default (its default "
                f"is {default or 'none'}): its searches are not reranked",
                f"run 'qtr opensearch install --index {installed}' again",
            )
