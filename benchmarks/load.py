"""Load on the rerank server: milliseconds and requests a second, and which WSGI server to stand on.

    python -m benchmarks.load servers            waitress, gunicorn, granian, cheroot
    python -m benchmarks.load batching           requests that wait scored together, or each alone
    python -m benchmarks.load models [--index DIR]

Needs wrk (apt-get install wrk) and, for the yardstick, the training extra: a cross-encoder of
all-MiniLM-L6's shape in int8 behind the same server. Nothing else may run; results/load.json.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import click

from qtr_rerank.data.sample import sample_catalog
from qtr_rerank.serve.run import listen

DOCUMENTS = (10, 100, 1_000)
CLIENTS = (1, 8, 32)
BODIES = 50
HERE = Path(__file__).parent
# As each server is started on a port, with two requests scored at once; APP is the factory below.
APP = "benchmarks.load_app:create()"
SERVERS = {
    "waitress": [
        "-m",
        "waitress",
        "--listen=127.0.0.1:{port}",
        "--threads=74",
        "--call",
        "benchmarks.load_app:create",
    ],
    "gunicorn, gthread": [
        "-m",
        "gunicorn",
        "--bind=127.0.0.1:{port}",
        "--threads=74",
        "--worker-class=gthread",
        APP,
    ],
    "granian": [
        "-m",
        "granian",
        "--interface=wsgi",
        "--host=127.0.0.1",
        "--port={port}",
        "--blocking-threads=74",
        "--backpressure=74",
        "--factory",
        "benchmarks.load_app:create",
    ],
    "cheroot": ["-m", "benchmarks.load_app", "{port}"],
}


@click.group()
def main() -> None:
    """Load on the rerank server."""


@main.command()
@click.option("--seconds", default=4, show_default=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("results/load-servers.json")
)
def servers(seconds: int, out: Path) -> None:
    """The same application behind each WSGI server."""
    rows = []
    for name, words in SERVERS.items():
        with started([sys.executable, *words]) as url:
            rows += [{"server": name} | row for row in loaded(url, (10, 100), (1, 32), seconds)]
    _write(rows, out)


@main.command()
@click.option("--seconds", default=4, show_default=True)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("results/load-batching.json")
)
def batching(seconds: int, out: Path) -> None:
    """match, with what waits scored together and without."""
    from devtools.server_process import running_server

    rows = []
    for batch in ("256", "1"):
        with running_server(Path("/dev/null"), "-m", "match", "--batch", batch) as server:
            found = loaded(server.url, (10, 100), seconds=seconds)
            rows += [{"batch": int(batch)} | row for row in found]
    _write(rows, out)


@main.command()
@click.option("--index", type=click.Path(exists=True, path_type=Path))
@click.option("--seconds", default=4, show_default=True)
@click.option("--yardstick/--no-yardstick", default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("results/load.json"))
def models(index: Path | None, seconds: int, yardstick: bool, out: Path) -> None:
    """match by text, by text that came before, by id, and a cross-encoder."""
    from devtools.server_process import running_server

    rows = []
    options = ["-m", "match", *(["--index", index] if index else [])]
    with running_server(Path("/dev/null"), *options, "--cache", "0") as server:
        found = loaded(server.url, seconds=seconds)
        rows += [{"model": "match, titles new"} | row for row in found]
    with running_server(Path("/dev/null"), *options) as server:
        # All of them once, before the clock runs.
        titles = [product.title for product in sample_catalog()]
        server.request("POST", "/v2/rerank", {"query": "any", "documents": titles})
        found = loaded(server.url, seconds=seconds)
        rows += [{"model": "match, titles seen"} | row for row in found]
        if index:
            by_id = loaded(server.url, seconds=seconds, ids=True)
            rows += [{"model": "match, by id"} | row for row in by_id]
    if yardstick:
        command = [sys.executable, "-m", "benchmarks.load_app", "{port}", "cross-encoder"]
        with started(command) as url:
            measured = [*loaded(url, (10, 100), seconds=seconds)]
            # Some seconds a request: one client, and time for several.
            measured += loaded(url, (1_000,), (1,), seconds=10 * seconds)
            rows += [{"model": "MiniLM-L6 int8"} | row for row in measured]
    _write(rows, out)


def loaded(
    url: str,
    documents: tuple[int, ...] = DOCUMENTS,
    clients: tuple[int, ...] = CLIENTS,
    seconds: int = 4,
    ids: bool = False,
) -> Iterator[dict[str, Any]]:
    """wrk's figures for each number of documents and of clients."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is not on the PATH; install it: apt-get install wrk")
    body = Path(tempfile.mkdtemp()) / "bodies.jsonl"
    for count in documents:
        body.write_text("".join(json.dumps(one) + "\n" for one in _bodies(count, ids)))
        for number in clients:
            command = [
                "wrk",
                f"-t{min(2, number)}",
                f"-c{number}",
                f"-d{seconds}s",
                "--timeout=60s",
            ]
            command += ["-s", str(HERE / "load.lua"), f"{url}/v2/rerank", "--", str(body)]
            # What the last clients left behind when they went is answered first.
            time.sleep(2)
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            line = next(line for line in told.splitlines() if line.startswith("JSON "))
            found = json.loads(line.removeprefix("JSON "))
            row = {
                "documents": count,
                "clients": number,
                "requests a second": round(found["requests"] / found["seconds"], 1),
                **{name: round(found[name], 2) for name in ("p50", "p95", "p99")},
                "failed": found["failed"],
            }
            click.echo(json.dumps(row), err=True)
            yield row


def _bodies(count: int, ids: bool) -> Iterator[dict[str, Any]]:
    """Requests that differ: the same one again and again would be read once where requests are
    scored together.
    """
    shop, random = sample_catalog(), Random(count)
    for _ in range(BODIES):
        products = random.sample(shop, count)
        yield {
            # A search's words are those of some product.
            "query": " ".join(products[0].title.split()[:4]),
            "documents": [product.id if ids else product.title for product in products],
            "documents_are_ids": ids,
        }


@contextmanager
def started(command: list[str]) -> Iterator[str]:
    """A server on a free port, once it is ready; ended at the end."""
    with closing(listen("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    words = [word.replace("{port}", str(port)) for word in command]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not _ready(url):
                if process.poll() is not None:
                    raise click.ClickException(f"{' '.join(words)} ended")
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def _ready(url: str) -> bool:
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=5)) as connection:
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
