"""Plug in: wire the rerank server into OpenSearch, and take out just that.

What is there already is kept, what differs is made anew, and each change is said. The cluster's
settings carry a record of it, so that `remove` needs nothing but the name, and a second `install`
only what is to change. Several names may share a cluster: what all of them need goes with the last.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from qtr_rerank.errors import EngineUnavailableError, SettingsError
from qtr_rerank.opensearch.api import Api
from qtr_rerank.opensearch.cluster import (
    Installed,
    cluster_settings,
    default_pipelines,
    has_field,
    installed,
    is_on,
    named,
)
from qtr_rerank.opensearch.wiring import (
    BEFORE,
    KEY_DIGITS,
    MADE,
    ONLY_ML_NODES,
    PRIVATE,
    RECORD,
    TRUSTED,
    Wiring,
    connector_body,
    is_private,
    is_trusted,
    model_body,
    pipeline_body,
    require_name,
    trusted_regex,
)
from qtr_rerank.retrieve.client_opensearch import DEFAULT_PIPELINE

_DEPLOY_SECONDS = 60.0
_POLL_SECONDS = 0.25
_NONE_YET = "<made by the request before>"


def install(api: Api, wiring: Wiring) -> list[str]:
    """Make, or bring up to date, all that `wiring` says; returns what was changed, in words.

    Raises SettingsError, EngineUnavailableError, RefusedError.
    """
    _require_plugins(api)
    _require_fields(api, wiring)
    changes: list[str] = []
    there = installed(api, wiring.name)
    _require_key(wiring, there)
    _settings(api, wiring, there, changes)
    model_id = _connector_and_model(api, wiring, there, changes)
    _pipeline(api, wiring, model_id, changes)
    _default_pipeline(api, wiring, there.record, changes)
    return changes


def remove(api: Api, name: str) -> list[str]:
    """Take out what `install` made under `name`, and put back what it changed; says what."""
    require_name(name)
    changes: list[str] = []
    there = installed(api, name)
    pipeline = (api.get(f"/_search/pipeline/{name}") or {}).get(name)
    if pipeline is not None and _is_ours(pipeline):
        _restore_indices(api, there.record.get("index"), name, changes)
        _change(api, changes, f"deleted pipeline {name}", "DELETE", f"/_search/pipeline/{name}")
    _delete_model(api, there.model_id, changes)
    # OpenSearch makes a group for a model, and leaves it when the model goes.
    for group in named(api, "model_groups", name):
        if group["_source"].get("description") == MADE:
            path = f"/_plugins/_ml/model_groups/{group['_id']}"
            _change(api, changes, f"deleted model group {group['_id']}", "DELETE", path)
    if there.connector_id is not None:
        _change(
            api,
            changes,
            f"deleted connector {there.connector_id}",
            "DELETE",
            f"/_plugins/_ml/connectors/{there.connector_id}",
        )
    _restore_settings(api, there, name, changes)
    return changes


def _require_plugins(api: Api) -> None:
    plugins = {row["component"] for row in api.get("/_cat/plugins?format=json")}
    missing = {"opensearch-ml", "opensearch-neural-search"} - plugins
    if missing:
        raise SettingsError(
            f"the cluster lacks {' and '.join(sorted(missing))}; install them on each node with "
            "'opensearch-plugin install', or use a distribution that has them (the official image)"
        )


def _change(
    api: Api,
    changes: list[str],
    what: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
) -> Any:
    answer = api.change(what, method, path, body)
    changes.append(what)
    return answer


def _require_fields(api: Api, wiring: Wiring) -> None:
    if wiring.index is None:
        return
    mapping = api.get(f"/{wiring.index}/_mapping")
    if not mapping:
        raise SettingsError(
            f"OpenSearch has no index {wiring.index!r} to give the pipeline to; make it first, or "
            "leave --index out"
        )
    for index, found in mapping.items():
        for field in wiring.fields:
            if not has_field(found["mappings"], field):
                known = ", ".join(sorted(found["mappings"].get("properties", {}))) or "none at all"
                raise SettingsError(
                    f"index {index} has no field {field!r} to read; name one with --field, of "
                    f"{known}"
                )


def _require_key(wiring: Wiring, there: Installed) -> None:
    """A connector that is made anew needs its key again."""
    if wiring.api_key is None and _has_key(there) and not _same(there.connector, wiring):
        raise SettingsError(
            "OpenSearch sends an API key to the server, and does not tell it: set QTR_API_KEYS to "
            "change how the server is asked, or remove first where it asks for no key any more"
        )


def _has_key(there: Installed) -> bool:
    return KEY_DIGITS in there.connector.get("parameters", {})


def _settings(api: Api, wiring: Wiring, there: Installed, changes: list[str]) -> None:
    """Merge what ml-commons must allow into the cluster's settings.

    In the same request goes the record of it: an install that is cut short can be taken out.
    """
    persistent, current = cluster_settings(api)
    patterns = list(current.get(TRUSTED) or [])
    own = trusted_regex(wiring)
    wanted: dict[str, Any] = {}
    if not is_trusted(wiring.endpoint, patterns):
        wanted[TRUSTED] = [*patterns, own]
    if is_private(wiring) and not is_on(current.get(PRIVATE)):
        wanted[PRIVATE] = True
    if is_on(current.get(ONLY_ML_NODES, "true")) and not _has_ml_nodes(api):
        wanted[ONLY_ML_NODES] = False
    _require_no_transient(api, wanted)
    before = _before(there.before, wanted, persistent, patterns)
    # What trusts the server already may be another name's: it is ours, too, then.
    is_ours = TRUSTED in wanted or any(own in other["trusted"] for other in there.others)
    noted: dict[str, Any] = {
        "wiring": wiring.remembered,
        "trusted": sorted({*there.record.get("trusted", []), *([own] if is_ours else [])}),
        "index": _index_record(api, wiring, there.record),
    }
    notes: dict[str, Any] = {}
    if noted != there.record:
        notes[RECORD + wiring.name] = json.dumps(noted)
    if before != there.before:
        notes[BEFORE] = json.dumps(before)
    if not wanted and not notes:
        return
    said = [
        f"cluster setting {setting}: "
        + (f"added {own}" if setting == TRUSTED else json.dumps(value))
        for setting, value in wanted.items()
    ]
    said += [f"noted in {key}" for key in notes]
    body = {"persistent": {**wanted, **notes}}
    _change(api, changes, "\n".join(said), "PUT", "/_cluster/settings", body)


def _require_no_transient(api: Api, wanted: Mapping[str, Any]) -> None:
    """Transient settings outdo persistent ones, and what is written there would not hold."""
    transient = api.get("/_cluster/settings?flat_settings=true").get("transient", {})
    for setting in wanted:
        if setting in transient:
            raise SettingsError(
                f"the cluster has {setting} as a transient setting, which outdoes persistent ones; "
                "make it persistent, and install again"
            )


def _before(
    noted: Mapping[str, Any],
    wanted: Mapping[str, Any],
    persistent: Mapping[str, Any],
    patterns: list[str],
) -> dict[str, Any]:
    """What the settings were before any name changed them: the first note of each stays."""
    before = dict(noted)
    for setting in wanted:
        if setting not in before:
            # None: it was not set. The patterns that held then may have been defaults.
            before[setting] = {"value": persistent.get(setting)}
            if setting == TRUSTED:
                before[setting]["patterns"] = patterns
    return before


def _has_ml_nodes(api: Api) -> bool:
    nodes = api.get("/_nodes?filter_path=nodes.*.roles")["nodes"].values()
    return any("ml" in node.get("roles", ()) for node in nodes)


def _connector_and_model(api: Api, wiring: Wiring, there: Installed, changes: list[str]) -> str:
    """The id of the deployed model."""
    if there.connector_id is not None and _same(there.connector, wiring):
        connector_id, model_id = there.connector_id, there.model_id
    else:
        # A connector cannot be changed under a deployed model: both are made anew.
        _delete_model(api, there.model_id, changes)
        if there.connector_id is not None:
            _change(
                api,
                changes,
                f"deleted connector {there.connector_id}, which differs",
                "DELETE",
                f"/_plugins/_ml/connectors/{there.connector_id}",
            )
        answer = _change(
            api,
            changes,
            f"created connector {wiring.name} to {wiring.endpoint}",
            "POST",
            "/_plugins/_ml/connectors/_create",
            connector_body(wiring),
        )
        connector_id, model_id = (answer["connector_id"] if answer else _NONE_YET), None
    if model_id is None:
        answer = _change(
            api,
            changes,
            f"registered and deployed model {wiring.name}",
            "POST",
            "/_plugins/_ml/models/_register?deploy=true",
            model_body(wiring, connector_id),
        )
        model_id = answer["model_id"] if answer else _NONE_YET
    elif _state(api, model_id) not in {"DEPLOYED", "DEPLOYING"}:
        _change(
            api,
            changes,
            f"deployed model {model_id}",
            "POST",
            f"/_plugins/_ml/models/{model_id}/_deploy",
        )
    if not api.dry_run:
        _wait_until_deployed(api, model_id)
    return model_id


def _same(connector: Mapping[str, Any], wiring: Wiring) -> bool:
    """Whether the connector does what is wanted already, its key aside where none is given."""
    body = connector_body(wiring)

    def compared(one: Mapping[str, Any]) -> Any:
        action = dict(one["actions"][0])
        action.pop("action_type", None)  # OpenSearch writes it in capitals
        parameters = dict(one["parameters"])
        if wiring.api_key is None:
            action["headers"] = dict(action["headers"])
            action["headers"].pop("Authorization", None)
            parameters.pop(KEY_DIGITS, None)
        client = one.get("client_config", {})
        return action, parameters, [client.get(name) for name in body["client_config"]]

    return bool(compared(connector) == compared(body))


def _state(api: Api, model_id: str) -> str:
    answer = api.get(f"/_plugins/_ml/models/{model_id}")
    return str(answer["model_state"]) if answer else "missing"


def _wait_until_deployed(api: Api, model_id: str) -> None:
    deadline = time.monotonic() + _DEPLOY_SECONDS
    while (state := _state(api, model_id)) != "DEPLOYED":
        if state == "DEPLOY_FAILED" or time.monotonic() > deadline:
            raise EngineUnavailableError(
                f"OpenSearch did not deploy model {model_id}: its state is {state}; see the "
                "nodes' logs, and run install again"
            )
        time.sleep(_POLL_SECONDS)


def _delete_model(api: Api, model_id: str | None, changes: list[str]) -> None:
    if model_id is None:
        return
    if _state(api, model_id) in {"DEPLOYED", "PARTIALLY_DEPLOYED", "DEPLOYING", "DEPLOY_FAILED"}:
        api.change(
            f"undeployed model {model_id}", "POST", f"/_plugins/_ml/models/{model_id}/_undeploy"
        )
    _change(api, changes, f"deleted model {model_id}", "DELETE", f"/_plugins/_ml/models/{model_id}")


def _pipeline(api: Api, wiring: Wiring, model_id: str, changes: list[str]) -> None:
    path = f"/_search/pipeline/{wiring.name}"
    there = (api.get(path) or {}).get(wiring.name)
    body = pipeline_body(wiring, model_id)
    if there is not None and not _is_ours(there):
        raise SettingsError(
            f"OpenSearch has a search pipeline {wiring.name!r} that 'qtr opensearch install' did "
            "not make; choose another --name"
        )
    if there != body:
        done = "created" if there is None else "updated"
        _change(api, changes, f"{done} search pipeline {wiring.name}", "PUT", path, body)


def _is_ours(pipeline: Mapping[str, Any]) -> bool:
    return str(pipeline.get("description", "")).startswith("qtr_rerank:")


def _index_record(
    api: Api, wiring: Wiring, record: Mapping[str, Any]
) -> dict[str, str | None] | None:
    """The default pipelines that were there before ours, by index; None where none is asked for."""
    if wiring.index is None:
        return None
    before = dict(record.get("index") or {})
    for index, default in default_pipelines(api, wiring.index).items():
        if default != wiring.name:
            before[index] = default
    return before


def _default_pipeline(
    api: Api, wiring: Wiring, record: Mapping[str, Any], changes: list[str]
) -> None:
    if wiring.index is None:
        _restore_indices(api, record.get("index"), wiring.name, changes)
        return
    for index, default in default_pipelines(api, wiring.index).items():
        if default != wiring.name:
            _set_default(api, index, wiring.name, changes)


def _restore_indices(
    api: Api, before: Mapping[str, str | None] | None, name: str, changes: list[str]
) -> None:
    """Give each index that has the pipeline as its default the one that it had before.

    One that names a pipeline which is gone could not be searched, whoever gave it the name.
    """
    path = f"/_all/_settings/{DEFAULT_PIPELINE}?flat_settings=true&expand_wildcards=all"
    for index, found in (api.get(path) or {}).items():
        if found["settings"].get(DEFAULT_PIPELINE) == name:
            default = (before or {}).get(index)
            gone = default not in (None, "_none") and not api.get(f"/_search/pipeline/{default}")
            _set_default(api, index, None if gone else default, changes)


def _set_default(api: Api, index: str, pipeline: str | None, changes: list[str]) -> None:
    said = f"default pipeline of index {index}: {pipeline or 'none'}"
    body = {DEFAULT_PIPELINE: pipeline}
    _change(api, changes, said, "PUT", f"/{index}/_settings", body)


def _restore_settings(api: Api, there: Installed, name: str, changes: list[str]) -> None:
    persistent, _ = cluster_settings(api)
    if RECORD + name not in persistent:
        return
    restored: dict[str, Any] = {}
    needed = {pattern for other in there.others for pattern in other["trusted"]}
    trusted = list(persistent.get(TRUSTED) or [])
    kept = [one for one in trusted if one not in there.record["trusted"] or one in needed]
    if kept != trusted:
        restored[TRUSTED] = kept
    notes: dict[str, Any] = {RECORD + name: None}
    if not there.others:
        notes |= {BEFORE: None} if there.before else {}
        for setting, before in there.before.items():
            # Others may have trusted their own servers meanwhile.
            if setting in persistent and (setting != TRUSTED or kept == before["patterns"]):
                restored[setting] = before["value"]
    said = [
        f"cluster setting {setting}: {'as before' if value is None else json.dumps(value)}"
        for setting, value in restored.items()
    ]
    said += [f"removed {key}" for key in notes]
    body = {"persistent": {**restored, **notes}}
    _change(api, changes, "\n".join(said), "PUT", "/_cluster/settings", body)
