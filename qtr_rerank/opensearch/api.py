"""Plugin: requests to OpenSearch's ml-commons, search pipelines and settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import EngineUnavailableError, QtrError
from qtr_rerank.retrieve.client_opensearch import (
    connect,
    engine_errors,
    error_reason,
    not_opensearch,
)

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

_HIDDEN = "***"
_ATTEMPTS = 10
_WAIT_SECONDS = 0.5


class RefusedError(QtrError):
    """OpenSearch refuses a request; `reason` is its own sentence."""

    def __init__(self, request: str, status: int, reason: str) -> None:
        super().__init__(f"OpenSearch refuses {request} with status {status}: {reason}")
        self.status = status
        self.reason = reason


class Api:
    """One cluster. With `dry_run`, requests that change anything are printed and not sent.

    `changes` lists what was changed (in a dry run: what would be), in words.
    """

    def __init__(
        self,
        settings: OpenSearchSettings,
        echo: Callable[[str], None] = lambda _: None,
        dry_run: bool = False,
    ) -> None:
        """Send nothing yet. `echo` prints a line. Raises SettingsError and MissingExtraError."""
        self._client: OpenSearch = connect(settings, retries=0)
        self._url = settings.url
        self._echo = echo
        self.dry_run = dry_run
        self.changes: list[str] = []

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def require_opensearch(self) -> None:
        """Raises EngineUnavailableError where no OpenSearch responds."""
        try:
            root = self.get("/")
        except RefusedError:
            root = None
        version = root.get("version") if isinstance(root, dict) else None
        if not isinstance(version, dict) or version.get("distribution") != "opensearch":
            raise EngineUnavailableError(not_opensearch(self._url))

    def get(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request that changes nothing; None for status 404.

        A request with a body is a search, sent as POST. Raises EngineUnavailableError,
        RefusedError.
        """
        try:
            return self._send("POST" if body else "GET", path, body)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def run(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST a request for which OpenSearch calls the rerank server.

        OpenSearch passes the server's status on, so 401 and 403 are not about OpenSearch's login.
        Raises EngineUnavailableError where OpenSearch does not respond, RefusedError.
        """
        return self._send("POST", path, body, calls_server=True)

    def change(
        self, what: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Any:
        """Send a request that changes something and print `what`; None in a dry run.

        Raises EngineUnavailableError, RefusedError.
        """
        if self.dry_run:
            shown = f"\n{json.dumps(_without_key(body), indent=2)}" if body else ""
            self._echo(f"{method} {path}{shown}")
            response = None
        else:
            response = self._send_past_conflicts(method, path, body)
            self._echo(what)
        self.changes.append(what)
        return response

    def _send_past_conflicts(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        """Retry version conflicts: a search deploys a model, too, and ml-commons then refuses the
        second writer of the model's state. A refused request has changed nothing.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._send(method, path, body)
            except RefusedError as error:
                if "version conflict" not in error.reason:
                    raise
                time.sleep(_WAIT_SECONDS)
        return self._send(method, path, body)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, calls_server: bool = False
    ) -> Any:
        from opensearchpy import exceptions

        with engine_errors(self._url):
            try:
                return self._client.transport.perform_request(method, path, body=body)
            except exceptions.TransportError as error:
                login = error.status_code in {401, 403} and not calls_server
                if login or not isinstance(error.status_code, int):
                    raise
                request = f"{method} {path.partition('?')[0]}"
                raise RefusedError(request, error.status_code, error_reason(error)) from error


def _without_key(body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if body and "credential" in body:
        return {**body, "credential": dict.fromkeys(body["credential"], _HIDDEN)}
    return body
