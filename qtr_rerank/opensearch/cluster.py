"""Plugin: read what a cluster holds, before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qtr_rerank.errors import SettingsError
from qtr_rerank.opensearch.api import Api
from qtr_rerank.opensearch.wiring import DESCRIPTION, ORIGINAL_SETTINGS, RECORD_PREFIX

# `install` makes one object of a name; others may have the same name.
_MAX_SAME_NAME = 100


@dataclass(frozen=True, slots=True)
class Installation:
    """The objects of `install` in a cluster under one name; an id is None if the object is missing.

    `record` is the note of this name, `other_records` those of other names, `original` what the
    cluster settings were before the first of them.
    """

    connector_id: str | None
    connector: Mapping[str, Any]
    model_id: str | None
    record: dict[str, Any]
    other_records: tuple[dict[str, Any], ...]
    original: dict[str, Any]


def find_installation(api: Api, name: str) -> Installation:
    """Read what `install` left under `name`.

    Raises SettingsError for a connector of this name that `install` did not make.
    """
    connector_id, connector = None, {}
    for hit in find_by_name(api, "connectors", name):
        if hit["_source"].get("description") != DESCRIPTION:
            raise SettingsError(
                f"OpenSearch has a connector {name!r} that 'qtr opensearch install' did not make; "
                "choose another --name"
            )
        connector_id, connector = hit["_id"], hit["_source"]
    persistent, _ = cluster_settings(api)
    records = {
        key.removeprefix(RECORD_PREFIX): json.loads(value)
        for key, value in persistent.items()
        if key.startswith(RECORD_PREFIX)
    }
    record = records.pop(name, {})
    original = json.loads(persistent.get(ORIGINAL_SETTINGS, "{}"))
    models = [
        hit["_id"]
        for hit in find_by_name(api, "models", name)
        if connector_id is not None and hit["_source"].get("connector_id") == connector_id
    ]
    model_id = models[0] if models else None
    return Installation(
        connector_id, connector, model_id, record, tuple(records.values()), original
    )


def installed_settings(api: Api, name: str) -> dict[str, Any]:
    """The settings of `Wiring` that `name` was installed with, without the API key; {} if none."""
    record = json.loads(cluster_settings(api)[0].get(RECORD_PREFIX + name, "{}"))
    wiring: dict[str, Any] = record.get("wiring", {})
    return wiring


def cluster_settings(api: Api) -> tuple[dict[str, Any], dict[str, Any]]:
    """The persistent settings, and those in force (transient before persistent before default)."""
    layers = api.get("/_cluster/settings?include_defaults=true&flat_settings=true")
    persistent = dict(layers.get("persistent", {}))
    return persistent, {**layers.get("defaults", {}), **persistent, **layers.get("transient", {})}


def model_state(api: Api, model_id: str) -> str:
    """ml-commons' state of a model, such as DEPLOYED; `missing` where there is no such model."""
    model = api.get(f"/_plugins/_ml/models/{model_id}")
    return str(model["model_state"]) if model else "missing"


def search_pipeline(api: Api, name: str) -> dict[str, Any] | None:
    """The definition of a search pipeline; None where there is none of this name."""
    pipeline: dict[str, Any] | None = (api.get(f"/_search/pipeline/{name}") or {}).get(name)
    return pipeline


def is_true(value: Any) -> bool:
    """The value of a boolean setting, which OpenSearch returns as text."""
    return str(value).lower() == "true"


def has_field(mapping: Mapping[str, Any], field: str) -> bool:
    """Whether a mapping has a field, such as "title" or "title.keyword"."""
    first, _, rest = field.partition(".")
    entry = mapping.get("properties", {}).get(first)
    if entry is None:
        return False
    return not rest or has_field(entry, rest) or rest in entry.get("fields", {})


def find_by_name(api: Api, kind: str, name: str) -> list[dict[str, Any]]:
    """ml-commons' objects of a kind (connectors, models, model_groups) with a name, as hits."""
    query = {"query": {"term": {"name.keyword": name}}, "size": _MAX_SAME_NAME}
    response = api.get(f"/_plugins/_ml/{kind}/_search", query)
    hits: list[dict[str, Any]] = response["hits"]["hits"] if response else []
    return hits
