"""The local OpenSearch node: missing prerequisites are named, it stops in order, keeps its data."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devtools.opensearch_node.assemble import assemble, home_in
from devtools.opensearch_node.launch import NodeSettings
from devtools.opensearch_node.node import LocalNode
from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import EngineUnavailableError, QtrError
from qtr_rerank.retrieve.client_opensearch import connect

NODE = [sys.executable, "-m", "devtools.opensearch_node"]
HEAP = "512m"
DEADLINE_SECONDS = 60.0


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as client:
        return client.connect_ex((parts.hostname, parts.port)) == 0


@contextmanager
def _command(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; yield its process and the address that it printed; kill it at the end."""
    process = subprocess.Popen(
        [*NODE, "--heap", HEAP, *arguments],
        # A killed process leaves its temporary folder: not in the system's.
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


class TestWithoutANode:
    def test_missing_prerequisites_are_named(self, tmp_path: Path) -> None:
        bare = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
        done = subprocess.run(
            NODE,
            env={**os.environ, **bare, "JAVA_HOME": ""},
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        assert done.returncode == 1
        assert done.stdout == ""
        assert all(name in done.stderr for name in ("Docker", "Java", "Maven", "apt-get install"))
        assert "Traceback" not in done.stderr

    def test_java_home_without_java_is_named(self, tmp_path: Path) -> None:
        bare = {"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)}
        done = subprocess.run(
            NODE,
            env={**os.environ, **bare},
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        assert f"JAVA_HOME ({tmp_path})" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"port": -1}, "-1"),
            ({"port": 65536}, "65536"),
            ({"heap": "1"}, "'1'"),
            ({"heap": "0g"}, "'0g'"),
            ({"heap": "1g -version"}, "-version"),
        ],
    )
    def test_unusable_settings_are_named(self, arguments: dict[str, object], named: str) -> None:
        with pytest.raises(QtrError, match=named):
            NodeSettings(**arguments)  # type: ignore[arg-type]

    def test_node_that_is_not_started_has_no_address(self) -> None:
        node = LocalNode()
        with pytest.raises(EngineUnavailableError, match="start"):
            _ = node.url
        node.stop()


class TestAssemble:
    def test_complete_node_is_reused(self, tmp_path: Path) -> None:
        home_in(tmp_path).mkdir()
        assert assemble(tmp_path) == home_in(tmp_path)

    def test_interrupted_assembly_is_deleted_and_not_reused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = home_in(tmp_path)
        (tmp_path / f".{home.name}.interrupted.part" / "lib").mkdir(parents=True)
        monkeypatch.setenv("PATH", str(tmp_path))  # No Maven there: this assembly fails as well.
        with pytest.raises(QtrError, match="Maven"):
            assemble(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [f".{home.name}.lock"]


@pytest.mark.opensearch
@pytest.mark.usefixtures("node_tools")
class TestNode:
    def test_data_is_kept_and_sigint_stops_in_order(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        with LocalNode(NodeSettings(data=data, heap=HEAP)) as node:
            url = node.url
            with closing(connect(OpenSearchSettings(url=url))) as client:
                client.indices.create(index="kept")
                plugins = {plugin["component"] for plugin in client.cat.plugins(format="json")}
            with pytest.raises(QtrError, match="already started"):
                node.start()
        assert not _listens(url)
        assert plugins >= {"opensearch-knn", "opensearch-ml", "opensearch-neural-search"}

        with _command(tmp_path, "--port", "0", "--data", str(data)) as (process, url):
            with closing(connect(OpenSearchSettings(url=url))) as client:
                assert client.indices.exists(index="kept")
            process.send_signal(signal.SIGINT)
            rest, said = process.communicate(timeout=DEADLINE_SECONDS)
            assert (process.returncode, rest) == (0, "")
            assert "Traceback" not in said
        assert not _listens(url)

    def test_taken_port_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            node = LocalNode(NodeSettings(port=port, heap=HEAP))
            with pytest.raises(QtrError, match=rf"port {port} cannot be listened on .*in use"):
                node.start()

    def test_node_that_does_not_start_is_reported_with_its_log(self) -> None:
        node = LocalNode(NodeSettings(port=0, heap="2m"))
        with pytest.raises(EngineUnavailableError, match=r"(?s)ended.*log.*VM"):
            node.start()

    def test_node_ends_with_a_killed_parent(self, tmp_path: Path) -> None:
        with _command(tmp_path, "--port", "0") as (process, url):
            assert _listens(url)
            process.kill()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while _listens(url):
            assert time.monotonic() < deadline
            time.sleep(0.1)
