"""Plugin: the cluster settings by which ml-commons may call the rerank server.

Others use these settings, too. `allow_server` adds to them, and `restore_permissions` removes what
was added once no installation needs it. Records among the cluster settings make that possible.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qtr_rerank.errors import SettingsError
from qtr_rerank.opensearch.api import Api
from qtr_rerank.opensearch.cluster import Installation, cluster_settings, is_true
from qtr_rerank.opensearch.default_pipeline import default_pipelines
from qtr_rerank.opensearch.wiring import (
    ONLY_ML_NODES,
    ORIGINAL_SETTINGS,
    PRIVATE_ADDRESSES,
    RECORD_PREFIX,
    TRUSTED_ENDPOINTS,
    Wiring,
    is_private,
    is_trusted,
    trusted_regex,
)


def allow_server(api: Api, wiring: Wiring, installation: Installation) -> None:
    """Add what ml-commons must allow to the cluster settings, and record it.

    Both in one request, so that `remove` can undo an install that was interrupted.
    """
    persistent, current = cluster_settings(api)
    patterns = list(current.get(TRUSTED_ENDPOINTS) or [])
    pattern = trusted_regex(wiring)
    added: dict[str, Any] = {}
    if not is_trusted(wiring.endpoint, patterns):
        added[TRUSTED_ENDPOINTS] = [*patterns, pattern]
    if is_private(wiring) and not is_true(current.get(PRIVATE_ADDRESSES)):
        added[PRIVATE_ADDRESSES] = True
    if is_true(current.get(ONLY_ML_NODES, "true")) and not _has_ml_nodes(api):
        added[ONLY_ML_NODES] = False
    _require_not_transient(api, added)
    original = _original(installation.original, added, persistent, patterns)
    # Another installation may have added the same pattern; then this one needs it as well.
    is_ours = TRUSTED_ENDPOINTS in added or any(
        pattern in record["trusted"] for record in installation.other_records
    )
    trusted = {*installation.record.get("trusted", []), *([pattern] if is_ours else [])}
    record: dict[str, Any] = {
        "wiring": wiring.record,
        "trusted": sorted(trusted),
        "index": _previous_defaults(api, wiring, installation.record),
    }
    records: dict[str, Any] = {}
    if record != installation.record:
        records[RECORD_PREFIX + wiring.name] = json.dumps(record)
    if original != installation.original:
        records[ORIGINAL_SETTINGS] = json.dumps(original)
    if not added and not records:
        return
    lines = [
        f"cluster setting {setting}: "
        + (f"added {pattern}" if setting == TRUSTED_ENDPOINTS else json.dumps(value))
        for setting, value in added.items()
    ]
    lines += [f"recorded in {key}" for key in records]
    body = {"persistent": {**added, **records}}
    api.change("\n".join(lines), "PUT", "/_cluster/settings", body)


def restore_permissions(api: Api, installation: Installation, name: str) -> None:
    """Remove the record of `name`, and from the cluster settings what no other name needs.

    With the last name the settings get their original values, unless others changed them since.
    """
    persistent, _ = cluster_settings(api)
    if RECORD_PREFIX + name not in persistent:
        return
    restored: dict[str, Any] = {}
    needed = {pattern for record in installation.other_records for pattern in record["trusted"]}
    patterns = list(persistent.get(TRUSTED_ENDPOINTS) or [])
    ours = set(installation.record["trusted"]) - needed
    kept = [pattern for pattern in patterns if pattern not in ours]
    if kept != patterns:
        restored[TRUSTED_ENDPOINTS] = kept
    records: dict[str, Any] = {RECORD_PREFIX + name: None}
    if not installation.other_records:
        records |= {ORIGINAL_SETTINGS: None} if installation.original else {}
        for setting, original in installation.original.items():
            # Patterns that others added since are kept.
            if setting in persistent and (
                setting != TRUSTED_ENDPOINTS or kept == original["patterns"]
            ):
                restored[setting] = original["value"]
    lines = [
        f"cluster setting {setting}: {'as before' if value is None else json.dumps(value)}"
        for setting, value in restored.items()
    ]
    lines += [f"removed {key}" for key in records]
    body = {"persistent": {**restored, **records}}
    api.change("\n".join(lines), "PUT", "/_cluster/settings", body)


def _require_not_transient(api: Api, added: Mapping[str, Any]) -> None:
    transient = api.get("/_cluster/settings?flat_settings=true").get("transient", {})
    for setting in added:
        if setting in transient:
            raise SettingsError(
                f"the cluster has {setting} as a transient setting, which overrides persistent "
                "ones; make it persistent, and install again"
            )


def _original(
    recorded: Mapping[str, Any],
    added: Mapping[str, Any],
    persistent: Mapping[str, Any],
    patterns: list[str],
) -> dict[str, Any]:
    """The settings before the first name changed them; recorded values stay."""
    original = dict(recorded)
    for setting in added:
        if setting not in original:
            # None: it was not set. Patterns in force may then have been OpenSearch's defaults.
            original[setting] = {"value": persistent.get(setting)}
            if setting == TRUSTED_ENDPOINTS:
                original[setting]["patterns"] = patterns
    return original


def _previous_defaults(
    api: Api, wiring: Wiring, record: Mapping[str, Any]
) -> dict[str, str | None] | None:
    """The default pipeline that each index of `wiring` had before; None without an index."""
    if wiring.index is None:
        return None
    previous = dict(record.get("index") or {})
    for index, default in default_pipelines(api, wiring.index).items():
        if default != wiring.name:
            previous[index] = default
    return previous


def _has_ml_nodes(api: Api) -> bool:
    nodes = api.get("/_nodes?filter_path=nodes.*.roles")["nodes"].values()
    return any("ml" in node.get("roles", ()) for node in nodes)
