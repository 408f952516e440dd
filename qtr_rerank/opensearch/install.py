"""Plugin: connect the rerank server to OpenSearch, and undo it.

Objects that are as they should be are kept, those that differ are made again, and each change is
printed. A record among the cluster settings lets `remove` work by the name alone, and a second
`install` by the options that change. Several names may share a cluster.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from qtr_rerank.errors import EngineUnavailableError, SettingsError
from qtr_rerank.opensearch.api import Api
from qtr_rerank.opensearch.cluster import (
    Installation,
    find_by_name,
    find_installation,
    has_field,
    model_state,
    search_pipeline,
)
from qtr_rerank.opensearch.default_pipeline import restore_default_pipelines, set_default_pipeline
from qtr_rerank.opensearch.permissions import allow_server, restore_permissions
from qtr_rerank.opensearch.wiring import (
    DESCRIPTION,
    KEY_HASH,
    Wiring,
    connector_body,
    model_body,
    pipeline_body,
    require_name,
)

_DEPLOY_SECONDS = 60.0
_POLL_SECONDS = 0.25
# Stands for an id in the requests that a dry run prints.
_ID_IN_DRY_RUN = "<made by the request before>"


def install(api: Api, wiring: Wiring) -> None:
    """Make what `wiring` describes, or bring it up to date; `api.changes` lists the changes.

    Raises SettingsError, EngineUnavailableError, RefusedError.
    """
    _require_plugins(api)
    _require_fields(api, wiring)
    installation = find_installation(api, wiring.name)
    _require_key(wiring, installation)
    allow_server(api, wiring, installation)
    model_id = _deploy_model(api, wiring, _connector(api, wiring, installation))
    _put_pipeline(api, wiring, model_id)
    if wiring.index is None:
        restore_default_pipelines(api, installation.record.get("index"), wiring.name)
    else:
        set_default_pipeline(api, wiring.index, wiring.name)


def remove(api: Api, name: str) -> None:
    """Delete what `install` made under `name`, and restore what it changed."""
    require_name(name)
    installation = find_installation(api, name)
    pipeline = search_pipeline(api, name)
    if pipeline is not None and _is_ours(pipeline):
        restore_default_pipelines(api, installation.record.get("index"), name)
        api.change(f"deleted pipeline {name}", "DELETE", f"/_search/pipeline/{name}")
    _delete_model(api, installation.model_id)
    # OpenSearch makes a group for each model and keeps it when the model is deleted.
    for group in find_by_name(api, "model_groups", name):
        if group["_source"].get("description") == DESCRIPTION:
            path = f"/_plugins/_ml/model_groups/{group['_id']}"
            api.change(f"deleted model group {group['_id']}", "DELETE", path)
    if installation.connector_id is not None:
        _delete_connector(api, installation.connector_id)
    restore_permissions(api, installation, name)


def _require_plugins(api: Api) -> None:
    plugins = {row["component"] for row in api.get("/_cat/plugins?format=json")}
    missing = {"opensearch-ml", "opensearch-neural-search"} - plugins
    if missing:
        raise SettingsError(
            f"the cluster lacks {' and '.join(sorted(missing))}; install them on each node with "
            "'opensearch-plugin install', or use a distribution that has them (the official image)"
        )


def _require_fields(api: Api, wiring: Wiring) -> None:
    if wiring.index is None:
        return
    mappings = api.get(f"/{wiring.index}/_mapping")
    if not mappings:
        raise SettingsError(
            f"OpenSearch has no index {wiring.index!r} to set a default pipeline for; make it "
            "first, or leave --index out"
        )
    for index, entry in mappings.items():
        mapping = entry["mappings"]
        for field in wiring.fields:
            if not has_field(mapping, field):
                known = ", ".join(sorted(mapping.get("properties", {}))) or "none at all"
                raise SettingsError(
                    f"index {index} has no field {field!r} to rerank by; name one with --field, "
                    f"of {known}"
                )


def _require_key(wiring: Wiring, installation: Installation) -> None:
    """OpenSearch never returns a stored key, and a connector made again needs it again."""
    has_key = KEY_HASH in installation.connector.get("parameters", {})
    if wiring.api_key is None and has_key and not _is_same(installation.connector, wiring):
        raise SettingsError(
            "OpenSearch sends an API key to the server and never shows it, and this change needs "
            "it again: set QTR_API_KEYS; if the server needs no key any more, remove first"
        )


def _connector(api: Api, wiring: Wiring, installation: Installation) -> tuple[str, str | None]:
    """The ids of the connector and of its model, None if the model has to be made."""
    connector_id = installation.connector_id
    if connector_id is not None and _is_same(installation.connector, wiring):
        return connector_id, installation.model_id
    # OpenSearch does not change a connector under a deployed model: both are made again.
    _delete_model(api, installation.model_id)
    if connector_id is not None:
        _delete_connector(api, connector_id, ", which differs")
    response = api.change(
        f"created connector {wiring.name} to {wiring.endpoint}",
        "POST",
        "/_plugins/_ml/connectors/_create",
        connector_body(wiring),
    )
    return (response["connector_id"] if response else _ID_IN_DRY_RUN), None


def _deploy_model(api: Api, wiring: Wiring, ids: tuple[str, str | None]) -> str:
    """The id of the model over the connector, deployed."""
    connector_id, model_id = ids
    if model_id is None:
        response = api.change(
            f"registered and deployed model {wiring.name}",
            "POST",
            "/_plugins/_ml/models/_register?deploy=true",
            model_body(wiring, connector_id),
        )
        model_id = response["model_id"] if response else _ID_IN_DRY_RUN
    elif model_state(api, model_id) not in {"DEPLOYED", "DEPLOYING"}:
        path = f"/_plugins/_ml/models/{model_id}/_deploy"
        api.change(f"deployed model {model_id}", "POST", path)
    if not api.dry_run:
        _wait_until_deployed(api, model_id)
    return model_id


def _is_same(connector: Mapping[str, Any], wiring: Wiring) -> bool:
    """Whether the connector is as `wiring` describes it; its key is ignored if none is given."""
    body = connector_body(wiring)

    def compared(one: Mapping[str, Any]) -> Any:
        action = dict(one["actions"][0])
        action.pop("action_type", None)  # OpenSearch returns it in capitals.
        parameters = dict(one["parameters"])
        if wiring.api_key is None:
            action["headers"] = dict(action["headers"])
            action["headers"].pop("Authorization", None)
            parameters.pop(KEY_HASH, None)
        client = one.get("client_config", {})
        return action, parameters, [client.get(name) for name in body["client_config"]]

    return bool(compared(connector) == compared(body))


def _wait_until_deployed(api: Api, model_id: str) -> None:
    deadline = time.monotonic() + _DEPLOY_SECONDS
    while (state := model_state(api, model_id)) != "DEPLOYED":
        if state == "DEPLOY_FAILED" or time.monotonic() > deadline:
            raise EngineUnavailableError(
                f"OpenSearch did not deploy model {model_id}: its state is {state}; see the "
                "nodes' logs, and run install again"
            )
        time.sleep(_POLL_SECONDS)


def _delete_model(api: Api, model_id: str | None) -> None:
    if model_id is None:
        return
    path = f"/_plugins/_ml/models/{model_id}"
    deployed = {"DEPLOYED", "PARTIALLY_DEPLOYED", "DEPLOYING", "DEPLOY_FAILED"}
    if model_state(api, model_id) in deployed:
        api.change(f"undeployed model {model_id}", "POST", f"{path}/_undeploy")
    api.change(f"deleted model {model_id}", "DELETE", path)


def _delete_connector(api: Api, connector_id: str, why: str = "") -> None:
    path = f"/_plugins/_ml/connectors/{connector_id}"
    api.change(f"deleted connector {connector_id}{why}", "DELETE", path)


def _put_pipeline(api: Api, wiring: Wiring, model_id: str) -> None:
    present = search_pipeline(api, wiring.name)
    body = pipeline_body(wiring, model_id)
    if present is not None and not _is_ours(present):
        raise SettingsError(
            f"OpenSearch has a search pipeline {wiring.name!r} that 'qtr opensearch install' did "
            "not make; choose another --name"
        )
    if present != body:
        done = "created" if present is None else "updated"
        path = f"/_search/pipeline/{wiring.name}"
        api.change(f"{done} search pipeline {wiring.name}", "PUT", path, body)


def _is_ours(pipeline: Mapping[str, Any]) -> bool:
    return str(pipeline.get("description", "")).startswith("qtr_rerank:")
