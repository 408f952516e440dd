"""Plug in: a local OpenSearch node for tests and for trying out, `make opensearch`.

In Docker where an engine answers, else assembled from Maven Central and run by Java. It listens
on the loopback address only and has no security: it is no node for production.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import click

from qtr_rerank.environment import (
    OpenSearchSettings,
    Settings,
    cache_folder,
    opensearch_is_named,
)
from qtr_rerank.errors import EngineUnavailableError, QtrError
from qtr_rerank.opensearch.assemble import VERSION, assemble
from qtr_rerank.opensearch.tools import docker_answers, find_java, missing_for_a_node, succeeds

IMAGE = f"opensearchproject/opensearch:{VERSION}"
_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.1
_LOG_TAIL_LINES = 15
_LOG_SETTINGS = """\
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """`port` 0 takes a free one; without `data` the node forgets all when it stops.

    `heap` is Java's, such as `1g` or `512m`.
    """

    port: int = 0
    data: Path | None = None
    heap: str = "1g"

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise QtrError(f"port is {self.port}; expected 0 (any free one) to 65535")
        if not re.fullmatch(r"[1-9]\d*[mg]", self.heap):
            raise QtrError(f"heap is {self.heap!r}; expected a size such as 1g or 512m")


class LocalNode:
    """One node, from `start` (or `with`) to `stop`. It ends only the process that it started."""

    def __init__(self, settings: NodeSettings | None = None) -> None:
        self._settings = settings or NodeSettings()
        self._work: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where the node answers. Raises EngineUnavailableError before `start`."""
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

        Raises QtrError where the machine lacks what it takes, EngineUnavailableError with the
        end of the node's log where it does not come up.
        """
        if self._process is not None:
            raise QtrError("the local OpenSearch node is started already; stop it first")
        missing = missing_for_a_node()
        if missing:
            raise QtrError(missing)
        self._require_port()
        self._work = Path(tempfile.mkdtemp(prefix="qtr-rerank-node-"))
        try:
            find_port = self._start_docker() if docker_answers() else self._start_java()
            self._wait_until_ready(find_port)
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
        """Stop the node and remove what it left. Calling it twice is no fault."""
        if self._process is not None:
            _end(self._process)
            self._process = None
        if self._guard is not None:
            _end_guard(self._guard)
            self._guard = None
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work = None
        self._url = ""

    def _require_port(self) -> None:
        """Asked at once: the node itself would say so after its start, and in its log."""
        try:
            socket.create_server(("127.0.0.1", self._settings.port)).close()
        except OSError as error:
            raise QtrError(
                f"port {self._settings.port} cannot be listened on ({error.strerror}); stop what "
                "listens there, or choose another with --port"
            ) from error

    def _start_java(self) -> Callable[[], int | None]:
        java = find_java()
        home = assemble(cache_folder())
        work = self._folder()
        data = (self._settings.data or work / "data").resolve()
        config, logs, port_file = work / "config", work / "logs", work / "port"
        for folder in (data, config, logs, work / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        (config / "log4j2.properties").write_text(_LOG_SETTINGS, encoding="utf-8")
        launcher = Path(__file__).with_name("Launcher.java")
        options = [
            f"-Xms{self._settings.heap}",
            f"-Xmx{self._settings.heap}",
            f"-Djava.io.tmpdir={work / 'tmp'}",
            "-Dlog4j2.disable.jmx=true",
            "--add-opens=java.base/java.nio.channels=ALL-UNNAMED",
        ]
        if java.version < 24:  # From 24 on the option is a fault, and what it allows is gone.
            options.append("-Djava.security.manager=allow")
        places = [home, config, data, logs, self._settings.port, port_file]
        self._spawn(
            [str(java.path), *options, "-cp", f"{home / 'lib'}/*", str(launcher), *map(str, places)]
        )

        def find_port() -> int | None:
            return int(port_file.read_text()) if port_file.exists() else None

        return find_port

    def _start_docker(self) -> Callable[[], int | None]:
        if not succeeds(["docker", "image", "inspect", IMAGE]):
            # Apart from the start, whose deadline a slow download must not use up.
            _pull()
        container = f"qtr-rerank-{secrets.token_hex(6)}"
        command = ["docker", "run", "--rm", "--name", container]
        # An empty host port takes a free one.
        command += ["--publish", f"127.0.0.1:{self._settings.port or ''}:9200"]
        for setting in (
            "discovery.type=single-node",
            "cluster.routing.allocation.disk.threshold_enabled=false",
            "DISABLE_SECURITY_PLUGIN=true",
            "DISABLE_INSTALL_DEMO_CONFIG=true",
            f"OPENSEARCH_JAVA_OPTS=-Xms{self._settings.heap} -Xmx{self._settings.heap}",
        ):
            command += ["--env", setting]
        if self._settings.data is not None:
            data = self._settings.data.resolve()
            data.mkdir(parents=True, exist_ok=True)
            # The image's user is its own, and must write into a folder that is the caller's.
            data.chmod(0o777)
            command += ["--volume", f"{data}:/usr/share/opensearch/data"]
        self._spawn([*command, IMAGE])
        # A container outlives its client. This shell waits for our end, and removes what is left.
        self._guard = subprocess.Popen(
            ["sh", "-c", 'cat >/dev/null; docker rm --force "$0"', container],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def find_port() -> int | None:
            listing = subprocess.run(
                ["docker", "port", container, "9200/tcp"], capture_output=True, text=True
            ).stdout
            published = re.search(r"127\.0\.0\.1:(\d+)", listing)
            return int(published[1]) if published else None

        return find_port

    def _spawn(self, command: list[str]) -> None:
        with (self._folder() / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                # The launcher ends when this pipe does, so also when we are killed.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for us: we then stop the node in order.
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
        # What went wrong stands above the stack frames, and would be pushed out by them.
        tail = "\n".join([line for line in log if "\tat " not in line][-_LOG_TAIL_LINES:])
        raise EngineUnavailableError(
            f"the local OpenSearch node {what}; the end of its log says why:\n{tail}"
        )

    def _folder(self) -> Path:
        if self._work is None:
            raise EngineUnavailableError("the local OpenSearch node is not started; call start()")
        return self._work


@contextlib.contextmanager
def named_or_local_node() -> Iterator[OpenSearchSettings]:
    """The node of OPENSEARCH_URL where it is set, else one that is started here and stopped."""
    if opensearch_is_named():
        yield Settings.from_environment().opensearch
    else:
        with LocalNode() as node:
            yield OpenSearchSettings(url=node.url)


def _pull() -> None:
    done = subprocess.run(["docker", "pull", "--quiet", IMAGE], capture_output=True, text=True)
    if done.returncode != 0:
        raise QtrError(
            f"Docker could not fetch {IMAGE}: {done.stderr.strip()}; "
            "see whether the registry is reached, and run this again"
        )


def _is_healthy(port: int) -> bool:
    # Not urllib: a proxy that the environment names for the outside does not know our loopback.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/_cluster/health?timeout=5s")
        answer = connection.getresponse()
        return answer.status == 200 and json.load(answer)["status"] in {"yellow", "green"}
    except (OSError, http.client.HTTPException):  # Not listening, or not ready to answer.
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End in order: the end of standard input (ours), SIGTERM (Docker's client), SIGKILL."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_guard(guard: subprocess.Popen[bytes]) -> None:
    if guard.stdin is not None:
        guard.stdin.close()
    guard.wait(_STOP_SECONDS)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--port",
    default=9200,
    type=click.IntRange(0, 65535),
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the data in this folder; without it all is forgotten at the end.",
)
@click.option("--heap", default="1g", show_default=True, help="Java's heap, such as 512m.")
def main(port: int, data: Path | None, heap: str) -> None:
    """Run a local OpenSearch node until Ctrl-C; its address is printed when it is ready."""
    # SIGTERM stops in order, as Ctrl-C does; so does SIGINT where the shell that started this in
    # the background had it ignored.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.default_int_handler)
    try:
        with LocalNode(NodeSettings(port=port, data=data, heap=heap)) as node:
            click.echo(f"OpenSearch {VERSION} is ready; Ctrl-C stops it", err=True)
            click.echo(node.url)
            node.wait()
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    except QtrError as error:
        click.echo(f"qtr: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
