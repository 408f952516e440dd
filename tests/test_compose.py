"""docker-compose.yml without Docker: its schema, and each container's command, in order.

The image's build and the network between containers need Docker, and are not tested here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import yaml

from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.retrieve.client_opensearch import connect
from tests.schema import schema_errors
from tests.small_index import small_catalog, write_catalog

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
QTR = [sys.executable, "-c", "from qtr_rerank.cli import main; main()"]


def test_compose_file_follows_its_schema() -> None:
    assert schema_errors("vendor.compose-spec", ROOT / "docker-compose.yml") == ""


def test_services_start_in_order_of_their_dependencies() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, name
            waits_for_health = how["condition"] == "service_healthy"
            ends = SERVICES[needed]["command"][0:2] if "command" in SERVICES[needed] else []
            assert not (waits_for_health and ends == ["qtr", "sample"])
    assert _order() == ["opensearch", "catalog", "indexer", "rerank", "wiring", "demo"]


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_image_runs_without_root_and_without_torch() -> None:
    lines = DOCKERFILE.splitlines()
    assert lines.index("USER 10001") < max(
        n for n, line in enumerate(lines) if line.startswith("CMD")
    )
    assert "'.[opensearch]'" in DOCKERFILE
    assert "HEALTHCHECK" in DOCKERFILE
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert all((ROOT / name).exists() and f"!{name}" in kept for name in copied)


def _order() -> list[str]:
    """Services in an order in which they can start."""
    started: list[str] = []
    while len(started) < len(SERVICES):
        ready = [
            name
            for name, service in SERVICES.items()
            if name not in started and all(n in started for n in service.get("depends_on", {}))
        ]
        assert ready, "services wait for each other"
        started.append(ready[0])
    return started


def test_commands_of_the_containers_work_in_order(
    opensearch_settings: OpenSearchSettings, tmp_path: Path
) -> None:
    env = os.environ | {"OPENSEARCH_URL": opensearch_settings.url, "PYTHONPATH": str(ROOT)}
    ports: dict[str, str] = {}
    # The node may hold other data: a unique name replaces the alias of the file.
    alias = f"qtr-test-{uuid4().hex}"
    with ExitStack() as running, closing(connect(opensearch_settings)) as client:
        running.callback(_clean, client, alias, env)
        for name in _order():
            if name == "opensearch":
                continue
            command = [
                word.replace("/data/", f"{tmp_path}/")
                .replace("http://rerank:8123", ports.get("rerank", "?"))
                .replace("0.0.0.0", "127.0.0.1")
                .replace("shop", alias if word == "shop" else "shop")
                for word in SERVICES[name]["command"]
            ]
            command = (
                [*QTR, *command[1:]] if command[0] == "qtr" else [sys.executable, *command[1:]]
            )
            if "--port" in command:
                command[command.index("--port") + 1] = "0"
                ports[name] = running.enter_context(_serving(command, env))
            else:
                done = subprocess.run(
                    command, env=env, capture_output=True, text=True, cwd=tmp_path
                )
                assert done.returncode == 0, (name, done.stderr)
        for service, path in (("rerank", "/ready"), ("demo", "/health")):
            assert _get(ports[service], path)["status"] in {"ready", "ok"}
            assert f"{path}'" in " ".join(
                SERVICES[service].get("healthcheck", {}).get("test", [DOCKERFILE])
            )
        # The pipeline is the index's default and reranks by stored features.
        body = {
            "query": {"match": {"title": "kettle"}},
            "ext": {"rerank": {"query_context": {"query_text": "2 l kettle"}}},
        }
        hits = client.search(index=alias, body=body)["hits"]["hits"]
        assert all(0.0 < hit["_score"] < 1.0 for hit in hits)
        assert _get(ports["demo"], "/api/search?q=kettle")["engine"] == "opensearch"


@contextmanager
def _serving(command: list[str], env: dict[str, str], lines: int = 1) -> Iterator[str]:
    """Run a server; yield its address, the last of the first `lines` that it prints."""
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            *_, address = (process.stdout.readline().strip() for _ in range(lines))
            yield address
        finally:
            process.terminate()
            process.wait(30)


def _get(url: str, path: str) -> Any:
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def _clean(client: Any, alias: str, env: dict[str, str]) -> None:
    subprocess.run([*QTR, "opensearch", "remove"], env=env, check=True, capture_output=True)
    for index in client.indices.get(index=f"{alias}*"):
        client.indices.delete(index=index)


def test_demo_on_opensearch_loads_the_catalog_and_names_its_engine(
    opensearch_settings: OpenSearchSettings, tmp_path: Path
) -> None:
    """The command of `make demo ENGINE=opensearch`, with a node that is running."""
    products = small_catalog(100)
    catalog = write_catalog(tmp_path / "catalog.jsonl", products)
    command = [sys.executable, "-m", "demo.on_opensearch", "--port", "0"]
    command += ["--catalog", str(catalog), "--index", str(tmp_path / "index")]
    env = os.environ | {"OPENSEARCH_URL": opensearch_settings.url, "PYTHONPATH": str(ROOT)}
    with _serving(command, env, lines=2) as url, closing(connect(opensearch_settings)) as client:
        try:
            response = _get(url, f"/api/search?q={quote(products[0].title)}")
            assert response["engine"] == "opensearch"
            assert products[0].id in [hit["id"] for hit in response["hits"]]
        finally:
            for index in client.indices.get(index="qtr_demo-*"):
                client.indices.delete(index=index)
