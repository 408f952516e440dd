"""How a node's process is started: by Java from the assembled folder, or by Docker."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devtools.opensearch_node.assemble import VERSION, assemble
from devtools.opensearch_node.prerequisites import find_java, succeeds
from qtr_rerank.environment import cache_folder
from qtr_rerank.errors import QtrError

IMAGE = f"opensearchproject/opensearch:{VERSION}"
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
    """`port` 0 takes a free one; without `data` the node's data is deleted when it stops.

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


@dataclass(frozen=True, slots=True)
class Launch:
    """`command` runs the node until its standard input ends; `find_port` returns the port, or None
    before it is known. `cleanup` removes what survives a killed command.
    """

    command: list[str]
    find_port: Callable[[], int | None]
    cleanup: list[str] | None = None


def java_launch(settings: NodeSettings, work: Path) -> Launch:
    """Assemble the node where that was not done yet; `work` takes its temporary files."""
    java = find_java()
    home = assemble(cache_folder())
    data = (settings.data or work / "data").resolve()
    config, logs, temporary, port_file = (work / name for name in ("config", "logs", "tmp", "port"))
    for folder in (data, config, logs, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    (config / "log4j2.properties").write_text(_LOG_SETTINGS, encoding="utf-8")
    options = [
        f"-Xms{settings.heap}",
        f"-Xmx{settings.heap}",
        f"-Djava.io.tmpdir={temporary}",
        "-Dlog4j2.disable.jmx=true",
        "--add-opens=java.base/java.nio.channels=ALL-UNNAMED",
        "-cp",
        f"{home / 'lib'}/*",
    ]
    if java.version < 24:  # Java 24 removed the security manager and refuses the option.
        options.append("-Djava.security.manager=allow")
    launcher = Path(__file__).with_name("Launcher.java")
    arguments = [launcher, home, config, data, logs, settings.port, port_file]

    def find_port() -> int | None:
        return int(port_file.read_text()) if port_file.exists() else None

    return Launch([str(java.path), *options, *map(str, arguments)], find_port)


def docker_launch(settings: NodeSettings) -> Launch:
    """Pull the image where it is missing."""
    if not succeeds(["docker", "image", "inspect", IMAGE]):
        # Before the start, so that a slow download does not use up the start's deadline.
        _pull()
    container = f"qtr-rerank-{secrets.token_hex(6)}"
    command = ["docker", "run", "--rm", "--name", container]
    # An empty host port takes a free one.
    command += ["--publish", f"127.0.0.1:{settings.port or ''}:9200"]
    for variable in (
        "discovery.type=single-node",
        "cluster.routing.allocation.disk.threshold_enabled=false",
        "DISABLE_SECURITY_PLUGIN=true",
        "DISABLE_INSTALL_DEMO_CONFIG=true",
        f"OPENSEARCH_JAVA_OPTS=-Xms{settings.heap} -Xmx{settings.heap}",
    ):
        command += ["--env", variable]
    if settings.data is not None:
        data = settings.data.resolve()
        data.mkdir(parents=True, exist_ok=True)
        # The image runs as a user of its own, which must be able to write into the folder.
        data.chmod(0o777)
        command += ["--volume", f"{data}:/usr/share/opensearch/data"]

    def find_port() -> int | None:
        listing = subprocess.run(
            ["docker", "port", container, "9200/tcp"], capture_output=True, text=True
        ).stdout
        published = re.search(r"127\.0\.0\.1:(\d+)", listing)
        return int(published[1]) if published else None

    # A container outlives its client. The shell waits for the end of its standard input.
    cleanup = ["sh", "-c", 'cat >/dev/null; docker rm --force "$0"', container]
    return Launch([*command, IMAGE], find_port, cleanup)


def _pull() -> None:
    done = subprocess.run(["docker", "pull", "--quiet", IMAGE], capture_output=True, text=True)
    if done.returncode != 0:
        raise QtrError(
            f"Docker could not fetch {IMAGE}: {done.stderr.strip()}; "
            "check that its registry can be reached, and try again"
        )
