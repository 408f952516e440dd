"""Plug in: what connects OpenSearch to the rerank server, as the requests that say it.

`install` and `remove` send these, `check` compares with them. Formats: OpenSearch's ml-commons
(connector blueprints) and search pipelines, seen against 2.19.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from qtr_rerank.errors import SettingsError

TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE = "plugins.ml_commons.connector.private_ip_enabled"
ONLY_ML_NODES = "plugins.ml_commons.only_run_on_ml_node"
# Notes of ours among a cluster's settings, so that `remove` can undo what `install` changed and no
# more: what each name has asked for, and what the settings were before the first of them.
RECORD = "cluster.metadata.qtr_rerank."
BEFORE = "cluster.metadata.qtr_rerank_before"
MADE = "qtr_rerank: made by 'qtr opensearch install'"
# A connector's parameter that tells one API key from another, and nothing more of it.
KEY_DIGITS = "key_sha256"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,100}")


# The order that OpenSearch finds knows brands and descriptions, too: see rerank/cascade.py.
DEFAULT_PRIOR = 2.0
# Without one ml-commons waits for hours.
DEFAULT_TIMEOUT = 2
# What a client's address for reranking ends in, and a server's own does not.
_ROUTE = "/rerank"


@dataclass(frozen=True, slots=True)
class Wiring:
    """`server` is the rerank server's address as the OpenSearch nodes see it; `name` is that of the
    search pipeline, of the connector and of the model in OpenSearch.

    `model` is asked for, and reads `fields` of each hit; with `ids` the one field holds ids of the
    server's index. A search for `size` hits has `oversample` times as many reranked, and their
    first order counts by `prior`, as in the package's own search. A search waits `timeout` seconds
    for the server at most, whole ones, as ml-commons counts. `index`, where there is one, gets the
    pipeline as its default. `api_key` is the server's.
    """

    server: str
    name: str = "qtr_rerank"
    model: str = "match"
    fields: tuple[str, ...] = ("title",)
    ids: bool = False
    oversample: float = 10.0
    prior: float = DEFAULT_PRIOR
    timeout: int = DEFAULT_TIMEOUT
    index: str | None = None
    api_key: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.server)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
            raise SettingsError(
                f"the server is {self.server!r}; expected an address as OpenSearch's nodes see it, "
                "such as http://10.0.0.5:8123"
            )
        if self.server.rstrip("/").endswith(_ROUTE):
            raise SettingsError(
                f"the server is {self.server!r}, which is one of its routes; give its address alone"
            )
        require_name(self.name)
        if not self.fields or not all(self.fields):
            raise SettingsError("no field to read; name one with --field")
        if self.ids and len(self.fields) > 1:
            raise SettingsError(f"ids stand in one field, not in {', '.join(self.fields)}")
        if not 0.0 <= self.prior < math.inf:
            raise SettingsError(f"prior is {self.prior}; expected 0 or more")
        if not 1.0 <= self.oversample < math.inf:
            raise SettingsError(f"oversample is {self.oversample}; expected 1 or more")
        if self.timeout < 1:
            raise SettingsError(f"timeout is {self.timeout}; expected seconds, 1 or more")

    @property
    def remembered(self) -> dict[str, Any]:
        """The settings that `install` notes, as JSON: all but the name and the key."""
        given = asdict(self)
        del given["name"], given["api_key"]
        return given | {"fields": list(self.fields)}

    @property
    def endpoint(self) -> str:
        """Where the connector sends its requests."""
        return f"{self.server.rstrip('/')}/v2/rerank"


def rewired(name: str, before: Mapping[str, Any], given: Mapping[str, Any]) -> Wiring:
    """`before`, as `Wiring.remembered` gives it (or nothing), but for what is `given`.

    One of them has a server. Raises SettingsError as `Wiring` does.
    """
    wanted = {**before, **given}
    if "fields" not in given and wanted.get("ids", False) != before.get("ids", False):
        wanted["fields"] = ("id",) if wanted["ids"] else ("title",)
    if "fields" in wanted:
        wanted["fields"] = tuple(wanted["fields"])
    return Wiring(name=name, **wanted)


def require_name(name: str) -> None:
    """Raises SettingsError for what cannot be the name of a pipeline."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"the name is {name!r}; expected a small letter, then small letters, digits, '_' or '-'"
        )


def trusted_regex(wiring: Wiring) -> str:
    """What ml-commons must trust: all of the server's paths, nothing else."""
    return f"^{re.escape(wiring.server.rstrip('/'))}/.*$"


def is_trusted(endpoint: str, patterns: list[str]) -> bool:
    """Whether one of ml-commons' patterns matches the whole address."""
    for pattern in patterns:
        try:
            if re.fullmatch(pattern, endpoint):
                return True
        except re.error:  # Java's own syntax
            continue
    return False


def is_private(wiring: Wiring) -> bool:
    """Whether ml-commons would refuse the server's address as private.

    A name that is not known here is one of a private network (that of a docker-compose file, say).
    """
    host = urlsplit(wiring.server).hostname or ""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return True
    return any(not ipaddress.ip_address(entry[4][0]).is_global for entry in found)


def connector_body(wiring: Wiring) -> dict[str, Any]:
    """An ml-commons connector to the server's Cohere v2 route."""
    ours = ', "documents_are_ids": true' if wiring.ids else ""
    ours += f', "prior": {wiring.prior:g}' if wiring.prior else ""
    action: dict[str, Any] = {
        "action_type": "predict",
        "method": "POST",
        "url": wiring.endpoint,
        "headers": {"Content-Type": "application/json"},
        "request_body": '{ "documents": ${parameters.documents}, '
        '"query": "${parameters.query}", "model": "${parameters.model}", '
        f'"top_n": ${{parameters.top_n}}{ours} }}',
        "pre_process_function": "connector.pre_process.cohere.rerank",
        "post_process_function": "connector.post_process.cohere.rerank",
    }
    body: dict[str, Any] = {
        "name": wiring.name,
        "description": MADE,
        "version": "1",
        "protocol": "http",
        "parameters": {"model": wiring.model},
        # One is asked for, even where none is needed.
        "credential": {"key": wiring.api_key or "none"},
        "actions": [action],
        # In seconds. A search must not wait for a server that hangs.
        "client_config": {
            "connection_timeout": wiring.timeout,
            "read_timeout": wiring.timeout,
            "max_retry_times": 0,
        },
    }
    if wiring.api_key is not None:
        action["headers"]["Authorization"] = "Bearer ${credential.key}"
        # OpenSearch never shows a key again: by these digits a changed one is noticed.
        body["parameters"][KEY_DIGITS] = hashlib.sha256(wiring.api_key.encode()).hexdigest()[:8]
    return body


def model_body(wiring: Wiring, connector_id: str) -> dict[str, Any]:
    """A remote model over the connector."""
    return {
        "name": wiring.name,
        "function_name": "remote",
        "description": MADE,
        "connector_id": connector_id,
    }


def pipeline_body(wiring: Wiring, model_id: str) -> dict[str, Any]:
    """A search pipeline: fetch more, rerank them, give back as many as were asked for.

    A rerank that fails leaves the first order: a search must not end with its reranker.
    """
    return {
        "description": MADE,
        "request_processors": [{"oversample": {"sample_factor": wiring.oversample}}],
        "response_processors": [
            {
                "rerank": {
                    "ml_opensearch": {"model_id": model_id},
                    "context": {"document_fields": list(wiring.fields)},
                    "ignore_failure": True,
                }
            },
            {"truncate_hits": {}},
        ],
    }
