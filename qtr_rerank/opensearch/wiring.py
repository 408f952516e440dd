"""Plugin: the settings that connect OpenSearch to the rerank server, and the requests they make.

`install` sends these requests; `check` compares the cluster with them. Formats: connector
blueprints of OpenSearch's ml-commons, and search pipelines; tested with 2.19.
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

TRUSTED_ENDPOINTS = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE_ADDRESSES = "plugins.ml_commons.connector.private_ip_enabled"
ONLY_ML_NODES = "plugins.ml_commons.only_run_on_ml_node"
# Records among the cluster settings, by which `remove` undoes what `install` changed and no more:
# one for each name, and the values that the settings had before the first name.
RECORD_PREFIX = "cluster.metadata.qtr_rerank."
ORIGINAL_SETTINGS = "cluster.metadata.qtr_rerank_before"
DESCRIPTION = "qtr_rerank: made by 'qtr opensearch install'"
# The connector parameter with the first digits of the API key's SHA-256: a changed key shows.
KEY_HASH = "key_sha256"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,100}")

# OpenSearch's own order reflects brands and descriptions, which models do not read.
DEFAULT_PRIOR = 2.0
# ml-commons' default is to wait for hours.
DEFAULT_TIMEOUT = 2
_ROUTE = "/rerank"


@dataclass(frozen=True, slots=True)
class Wiring:
    """One installation.

    `server` is the rerank server's address as the OpenSearch nodes see it; `name` names the search
    pipeline, the connector and the model in OpenSearch. The server's model `model` reads `fields`
    of each hit; with `ids` the one field holds ids of the server's index. A search for `size` hits
    reranks `oversample` times as many; `prior` weighs OpenSearch's order, in logits per
    e-fold of rank. A search waits at most `timeout` whole seconds for the server. `index` gets the
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
                f"the server is {self.server!r}, which is one of its routes; give the address "
                "without a path"
            )
        require_name(self.name)
        if not self.fields or not all(self.fields):
            raise SettingsError("no field to rerank by; name one with --field")
        if self.ids and len(self.fields) > 1:
            raise SettingsError(f"ids are in one field; got {', '.join(self.fields)}")
        if not 0.0 <= self.prior < math.inf:
            raise SettingsError(f"prior is {self.prior}; expected 0 or more")
        if not 1.0 <= self.oversample < math.inf:
            raise SettingsError(f"oversample is {self.oversample}; expected 1 or more")
        if self.timeout < 1:
            raise SettingsError(f"timeout is {self.timeout}; expected whole seconds, 1 or more")

    @property
    def record(self) -> dict[str, Any]:
        """The settings that `install` records, as JSON: all but the name and the key."""
        settings = asdict(self)
        del settings["name"], settings["api_key"]
        return settings | {"fields": list(self.fields)}

    @property
    def endpoint(self) -> str:
        """Where the connector sends its requests."""
        return f"{self.server.rstrip('/')}/v2/rerank"


def updated_wiring(name: str, record: Mapping[str, Any], changes: Mapping[str, Any]) -> Wiring:
    """The settings of `record` (as `Wiring.record`, or empty) with `changes` applied.

    One of the two has a server. Without `fields` in `changes`, a change of `ids` chooses the
    default field. Raises SettingsError as `Wiring` does.
    """
    settings = {**record, **changes}
    if "fields" not in changes and settings.get("ids", False) != record.get("ids", False):
        settings["fields"] = ("id",) if settings["ids"] else ("title",)
    if "fields" in settings:
        settings["fields"] = tuple(settings["fields"])
    return Wiring(name=name, **settings)


def require_name(name: str) -> None:
    """Raises SettingsError for a name that OpenSearch does not take for a pipeline."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"the name is {name!r}; expected a lower-case letter, then lower-case letters, "
            "digits, '_' or '-'"
        )


def trusted_regex(wiring: Wiring) -> str:
    """The pattern by which ml-commons trusts all of the server's paths, and nothing else."""
    return f"^{re.escape(wiring.server.rstrip('/'))}/.*$"


def is_trusted(endpoint: str, patterns: list[str]) -> bool:
    """Whether one of ml-commons' patterns matches the whole endpoint."""
    for pattern in patterns:
        try:
            if re.fullmatch(pattern, endpoint):
                return True
        except re.error:  # Java's syntax differs from Python's.
            continue
    return False


def is_private(wiring: Wiring) -> bool:
    """Whether ml-commons would refuse the server's address as private.

    A name that this machine cannot resolve counts as private: it may be a docker-compose service.
    """
    host = urlsplit(wiring.server).hostname or ""
    try:
        addresses = socket.getaddrinfo(host, None)
    except OSError:
        return True
    return any(not ipaddress.ip_address(entry[4][0]).is_global for entry in addresses)


def connector_body(wiring: Wiring) -> dict[str, Any]:
    """An ml-commons connector to the server's Cohere v2 route."""
    extra = ', "documents_are_ids": true' if wiring.ids else ""
    extra += f', "prior": {wiring.prior:g}' if wiring.prior else ""
    action: dict[str, Any] = {
        "action_type": "predict",
        "method": "POST",
        "url": wiring.endpoint,
        "headers": {"Content-Type": "application/json"},
        "request_body": '{ "documents": ${parameters.documents}, '
        '"query": "${parameters.query}", "model": "${parameters.model}", '
        f'"top_n": ${{parameters.top_n}}{extra} }}',
        "pre_process_function": "connector.pre_process.cohere.rerank",
        "post_process_function": "connector.post_process.cohere.rerank",
    }
    body: dict[str, Any] = {
        "name": wiring.name,
        "description": DESCRIPTION,
        "version": "1",
        "protocol": "http",
        "parameters": {"model": wiring.model},
        # ml-commons requires one, even if none is sent.
        "credential": {"key": wiring.api_key or "none"},
        "actions": [action],
        # In seconds: a search must not wait for a server that hangs.
        "client_config": {
            "connection_timeout": wiring.timeout,
            "read_timeout": wiring.timeout,
            "max_retry_times": 0,
        },
    }
    if wiring.api_key is not None:
        action["headers"]["Authorization"] = "Bearer ${credential.key}"
        # OpenSearch never returns the key itself.
        body["parameters"][KEY_HASH] = hashlib.sha256(wiring.api_key.encode()).hexdigest()[:8]
    return body


def model_body(wiring: Wiring, connector_id: str) -> dict[str, Any]:
    """A remote model over the connector."""
    return {
        "name": wiring.name,
        "function_name": "remote",
        "description": DESCRIPTION,
        "connector_id": connector_id,
    }


def pipeline_body(wiring: Wiring, model_id: str) -> dict[str, Any]:
    """A search pipeline: fetch more hits, rerank them, return as many as the search asks for.

    When reranking fails, the hits keep OpenSearch's order: the search must not fail with it.
    """
    return {
        "description": DESCRIPTION,
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
