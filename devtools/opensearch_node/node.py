"""A local OpenSearch node, from start to stop.

It runs in Docker where Docker responds, else assembled from Maven Central and run by Java. It
listens on the loopback address only and has no security: it is no node for production.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from devtools.opensearch_node.launch import NodeSettings, docker_launch, java_launch
from devtools.opensearch_node.prerequisites import docker_answers, missing_prerequisites
from qtr_rerank.environment import OpenSearchSettings, Settings, opensearch_is_named
from qtr_rerank.errors import EngineUnavailableError, QtrError

_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.1
_LOG_TAIL_LINES = 15


class LocalNode:
    """One node, from `start` (or `with`) to `stop`. It ends only the processes that it started."""

    def __init__(self, settings: NodeSettings | None = None) -> None:
        self._settings = settings or NodeSettings()
        self._work: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._cleanup: subprocess.Popen[bytes] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The node's address. Raises EngineUnavailableError before `start`."""
        if not self._url:
            raise EngineUnavailableError("the local OpenSearch node is not started; call start()")
        return self._url

    def __enter__(self) -> LocalNode:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the node and return when it is ready (health yellow or green).

        Raises QtrError where the machine lacks a prerequisite, EngineUnavailableError with the
        end of the node's log where the node does not start.
        """
        if self._process is not None:
            raise QtrError("the local OpenSearch node is already started; stop it first")
        missing = missing_prerequisites()
        if missing:
            raise QtrError(missing)
        self._require_free_port()
        self._work = Path(tempfile.mkdtemp(prefix="qtr-rerank-node-"))
        try:
            if docker_answers():
                launch = docker_launch(self._settings)
            else:
                launch = java_launch(self._settings, self._work)
            self._process = self._spawn(launch.command)
            if launch.cleanup is not None:
                self._cleanup = self._spawn(launch.cleanup)
            self._wait_until_ready(launch.find_port)
        except BaseException:
            self.stop()
            raise

    def wait(self) -> NoReturn:
        """Block until the node ends by itself; raises EngineUnavailableError then."""
        if self._process is None:
            raise EngineUnavailableError("the local OpenSearch node is not started; call start()")
        self._process.wait()
        self._fail("ended by itself")

    def stop(self) -> None:
        """Stop the node and delete its temporary files. May be called twice."""
        if self._process is not None:
            _end(self._process)
            self._process = None
        if self._cleanup is not None:
            if self._cleanup.stdin is not None:
                self._cleanup.stdin.close()
            self._cleanup.wait(_STOP_SECONDS)
            self._cleanup = None
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work = None
        self._url = ""

    def _require_free_port(self) -> None:
        # The node itself would report a taken port only seconds later, and in its log.
        try:
            socket.create_server(("127.0.0.1", self._settings.port)).close()
        except OSError as error:
            raise QtrError(
                f"port {self._settings.port} cannot be listened on ({error.strerror}); stop what "
                "listens there, or choose another with --port"
            ) from error

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder() / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                # The process ends when this pipe is closed, so also when we are killed.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches this process alone, which then stops the node in order.
                start_new_session=True,
            )

    def _wait_until_ready(self, find_port: Callable[[], int | None]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                self._fail("ended while it started")
            port = find_port()
            if port is not None and _is_healthy(port):
                self._url = f"http://127.0.0.1:{port}"
                return
            time.sleep(_POLL_SECONDS)
        self._fail(f"was not ready after {_START_SECONDS:.0f} s")

    def _fail(self, what: str) -> NoReturn:
        log = (self._folder() / "log").read_text(errors="replace").splitlines()
        # Stack frames would push the message above them out of the tail.
        tail = "\n".join([line for line in log if "\tat " not in line][-_LOG_TAIL_LINES:])
        raise EngineUnavailableError(f"the local OpenSearch node {what}; its log ends:\n{tail}")

    def _folder(self) -> Path:
        if self._work is None:
            raise EngineUnavailableError("the local OpenSearch node is not started; call start()")
        return self._work


@contextlib.contextmanager
def named_or_local_node() -> Iterator[OpenSearchSettings]:
    """The node of OPENSEARCH_URL where it is set, else a local one, stopped at the end."""
    if opensearch_is_named():
        yield Settings.from_environment().opensearch
    else:
        with LocalNode() as node:
            yield OpenSearchSettings(url=node.url)


def _is_healthy(port: int) -> bool:
    # Not urllib: it would send the request to the proxy of HTTP_PROXY, which cannot reach us.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/_cluster/health?timeout=5s")
        response = connection.getresponse()
        return response.status == 200 and json.load(response)["status"] in {"yellow", "green"}
    except (OSError, http.client.HTTPException):  # Not listening, or not ready to respond.
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close standard input (which ends Java), send SIGTERM (Docker), at last SIGKILL."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
