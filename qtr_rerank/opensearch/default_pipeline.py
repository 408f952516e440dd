"""Plugin: the default search pipeline of indices, set and given back."""

from __future__ import annotations

from collections.abc import Mapping

from qtr_rerank.opensearch.api import Api
from qtr_rerank.retrieve.client_opensearch import DEFAULT_PIPELINE


def default_pipelines(api: Api, index: str) -> dict[str, str | None]:
    """The default pipeline of each index behind a name or alias, None where there is none."""
    settings = api.get(f"/{index}/_settings/{DEFAULT_PIPELINE}?flat_settings=true") or {}
    indices = api.get(f"/{index}") or {}
    return {
        name: settings.get(name, {}).get("settings", {}).get(DEFAULT_PIPELINE) for name in indices
    }


def set_default_pipeline(api: Api, index: str, name: str) -> None:
    """Make pipeline `name` the default of each index behind `index`."""
    for each, default in default_pipelines(api, index).items():
        if default != name:
            _set(api, each, name)


def restore_default_pipelines(
    api: Api, previous: Mapping[str, str | None] | None, name: str
) -> None:
    """Give each index whose default is pipeline `name` the default that it had before.

    Indices that `install` did not touch are included: an index whose default pipeline is deleted
    cannot be searched.
    """
    path = f"/_all/_settings/{DEFAULT_PIPELINE}?flat_settings=true&expand_wildcards=all"
    for index, entry in (api.get(path) or {}).items():
        if entry["settings"].get(DEFAULT_PIPELINE) == name:
            default = (previous or {}).get(index)
            gone = default not in (None, "_none") and not api.get(f"/_search/pipeline/{default}")
            _set(api, index, None if gone else default)


def _set(api: Api, index: str, pipeline: str | None) -> None:
    what = f"default pipeline of index {index}: {pipeline or 'none'}"
    api.change(what, "PUT", f"/{index}/_settings", {DEFAULT_PIPELINE: pipeline})
