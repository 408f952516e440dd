"""Plug in: requests to OpenSearch's ml-commons, search pipelines and settings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import EngineUnavailableError, QtrError
from qtr_rerank.retrieve.client_opensearch import connect, engine_errors, not_opensearch, reason_of

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

_HIDDEN = "***"
_TRIES = 10
_WAIT_SECONDS = 0.5


class RefusedError(QtrError):
    """OpenSearch refuses a request; `reason` is its own sentence."""

    def __init__(self, what: str, status: int, reason: str) -> None:
        super().__init__(f"OpenSearch refuses {what} with status {status}: {reason}")
        self.status = status
        self.reason = reason


class Api:
    """One cluster. With `dry_run`, requests that change anything are shown and not sent."""

    def __init__(
        self,
        settings: OpenSearchSettings,
        say: Callable[[str], None] = lambda _: None,
        dry_run: bool = False,
    ) -> None:
        """Raises SettingsError and MissingExtraError; nothing is asked of the cluster yet."""
        self._client: OpenSearch = connect(settings, retries=0)
        self._url = settings.url
        self._say = say
        self.dry_run = dry_run

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def require_opensearch(self) -> None:
        """Raises EngineUnavailableError where something else answers, or nothing."""
        try:
            found = self.get("/")
        except RefusedError:
            found = None
        version = found.get("version") if isinstance(found, dict) else None
        if not isinstance(version, dict) or version.get("distribution") != "opensearch":
            raise EngineUnavailableError(not_opensearch(self._url))

    def get(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What a request that changes nothing finds; None where there is nothing (404).

        With a body it is a search, sent as POST. Raises EngineUnavailableError, RefusedError.
        """
        try:
            return self._send("POST" if body else "GET", path, body)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """Have OpenSearch do what involves the server: any status may be the server's own.

        Raises EngineUnavailableError where OpenSearch is not reached, RefusedError.
        """
        return self._send("POST", path, body, handed_on=True)

    def change(
        self, what: str, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Any:
        """Send a request that changes something, and say what; None in a dry run.

        Raises EngineUnavailableError, RefusedError.
        """
        if self.dry_run:
            shown = f"\n{json.dumps(_without_key(body), indent=2)}" if body else ""
            self._say(f"{method} {path}{shown}")
            return None
        answer = self._send_again(method, path, body)
        self._say(what)
        return answer

    def _send_again(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        """As often as ml-commons is in its own way: a search deploys a model, too, and whoever
        writes its state second is refused. Nothing is changed by a request that is.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._send(method, path, body)
            except RefusedError as error:
                if "version conflict" not in error.reason:
                    raise
                time.sleep(_WAIT_SECONDS)
        return self._send(method, path, body)

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, handed_on: bool = False
    ) -> Any:
        from opensearchpy import exceptions

        with engine_errors(self._url):
            try:
                return self._client.transport.perform_request(method, path, body=body)
            except exceptions.TransportError as error:
                login = error.status_code in {401, 403} and not handed_on
                if login or not isinstance(error.status_code, int):
                    raise
                what = f"{method} {path.partition('?')[0]}"
                raise RefusedError(what, error.status_code, reason_of(error)) from error


def _without_key(body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if body and "credential" in body:
        return {**body, "credential": dict.fromkeys(body["credential"], _HIDDEN)}
    return body
