"""Plug in: what is in an OpenSearch cluster, of ours and otherwise, before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qtr_rerank.errors import SettingsError
from qtr_rerank.opensearch.api import Api
from qtr_rerank.opensearch.wiring import BEFORE, MADE, RECORD
from qtr_rerank.retrieve.client_opensearch import DEFAULT_PIPELINE

# No more than one of a name is ours, but another's may bear it, too.
_MANY = 100


@dataclass(frozen=True, slots=True)
class Installed:
    """What is in OpenSearch under one name: ids, None where there is none; and what is noted.

    `record` is the name's own, `others` those of other names, `before` what the cluster's settings
    were before the first of them.
    """

    connector_id: str | None
    connector: Mapping[str, Any]
    model_id: str | None
    record: dict[str, Any]
    others: tuple[dict[str, Any], ...]
    before: dict[str, Any]


def installed(api: Api, name: str) -> Installed:
    """What `install` has left under `name`. Raises SettingsError where others bear the name."""
    connector_id, connector = None, {}
    for hit in named(api, "connectors", name):
        if hit["_source"].get("description") != MADE:
            raise SettingsError(
                f"OpenSearch has a connector {name!r} that 'qtr opensearch install' did not make; "
                "choose another --name"
            )
        connector_id, connector = hit["_id"], hit["_source"]
    persistent, _ = cluster_settings(api)
    records = {
        key.removeprefix(RECORD): json.loads(value)
        for key, value in persistent.items()
        if key.startswith(RECORD)
    }
    record = records.pop(name, {})
    before = json.loads(persistent.get(BEFORE, "{}"))
    models = [
        hit["_id"]
        for hit in named(api, "models", name)
        if connector_id is not None and hit["_source"].get("connector_id") == connector_id
    ]
    model_id = models[0] if models else None
    return Installed(connector_id, connector, model_id, record, tuple(records.values()), before)


def remembered(api: Api, name: str) -> dict[str, Any]:
    """The settings of `Wiring` that `name` was installed with, but its key; {} if it was not."""
    record = json.loads(cluster_settings(api)[0].get(RECORD + name, "{}"))
    wiring: dict[str, Any] = record.get("wiring", {})
    return wiring


def cluster_settings(api: Api) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is set persistently, and what holds (transient before persistent before default)."""
    layers = api.get("/_cluster/settings?include_defaults=true&flat_settings=true")
    persistent = dict(layers.get("persistent", {}))
    return persistent, {**layers.get("defaults", {}), **persistent, **layers.get("transient", {})}


def default_pipelines(api: Api, index: str) -> dict[str, str | None]:
    """The default pipeline of each index behind a name or alias, None where there is none."""
    answer = api.get(f"/{index}/_settings/{DEFAULT_PIPELINE}?flat_settings=true") or {}
    concrete = api.get(f"/{index}") or {}
    return {
        name: answer.get(name, {}).get("settings", {}).get(DEFAULT_PIPELINE) for name in concrete
    }


def is_on(value: Any) -> bool:
    """A setting of yes or no, which OpenSearch gives as text."""
    return str(value).lower() == "true"


def has_field(mapping: Mapping[str, Any], field: str) -> bool:
    """Whether a mapping knows a field, such as "title" or "title.keyword"."""
    first, _, rest = field.partition(".")
    found = mapping.get("properties", {}).get(first)
    if found is None:
        return False
    return not rest or has_field(found, rest) or rest in found.get("fields", {})


def named(api: Api, kind: str, name: str) -> list[dict[str, Any]]:
    """What ml-commons has of a kind (connectors, models, model_groups) under a name, as hits."""
    query = {"query": {"term": {"name.keyword": name}}, "size": _MANY}
    answer = api.get(f"/_plugins/_ml/{kind}/_search", query)
    hits: list[dict[str, Any]] = answer["hits"]["hits"] if answer else []
    return hits
