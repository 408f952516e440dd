"""Measure load on the rerank server with wrk: milliseconds and requests a second.

    python -m benchmarks.load servers            the same application behind several WSGI servers
    python -m benchmarks.load checkouts before=../old after=. "two workers=. --workers 2"
    python -m benchmarks.load models [--index DIR]

Where variants are compared, they run at the same time and are measured in turn, A B A B ...; each
row holds the median of the rounds and every round. Nothing else may run meanwhile. Needs wrk
(apt-get install wrk); `servers` needs granian and waitress too, and the cross-encoder of `models`
needs the training extra.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from qtr_rerank.data.sample import sample_catalog
from qtr_rerank.serve.run import listen

Command = TypeVar("Command", bound=Callable[..., Any])
BODIES = 50
HERE = Path(__file__).parent
# (documents, clients)
POINTS = tuple((documents, clients) for documents in (10, 100, 1_000) for clients in (1, 8, 32))
SERVER_POINTS = ((100, 1), (100, 8), (100, 32), (10, 32))
CHECKOUT_POINTS = ((10, 8), (10, 32), (100, 1), (100, 8), (100, 32))
# As each server is started on a port, with threads for all requests that score, wait or are
# refused. The application is the factory of load_app.
SERVERS = {
    "waitress": [
        "-m",
        "waitress",
        "--listen=127.0.0.1:{port}",
        "--threads=74",
        "--call",
        "benchmarks.load_app:create",
    ],
    "gunicorn": [
        "-m",
        "gunicorn",
        "--bind=127.0.0.1:{port}",
        "--threads=74",
        "--worker-class=gthread",
        "--no-control-socket",
        "benchmarks.load_app:create()",
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
}


@click.group()
def main() -> None:
    """Load on the rerank server."""


def _options(out: str) -> Callable[[Command], Command]:
    """--seconds, --rounds, --out."""

    def add(command: Command) -> Command:
        for option in (
            click.option("--seconds", default=2, show_default=True, help="Seconds per wrk run."),
            click.option("--rounds", default=5, show_default=True),
            click.option("-o", "--out", type=click.Path(path_type=Path), default=Path(out)),
        ):
            command = option(command)
        return command

    return add


@main.command()
@click.option("-s", "--server", "names", multiple=True, type=click.Choice(list(SERVERS)))
@_options("results/load-servers.json")
def servers(names: tuple[str, ...], seconds: int, rounds: int, out: Path) -> None:
    """The same application behind each WSGI server, one process each."""
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(started([sys.executable, *SERVERS[name]]))
            for name in names or SERVERS
        }
        write_rows(interleaved("server", urls, SERVER_POINTS, seconds, rounds), out)


@main.command()
@click.argument("checkouts", nargs=-1, required=True, metavar="NAME='FOLDER [OPTIONS]'...")
@_options("results/load-checkouts.json")
def checkouts(checkouts: tuple[str, ...], seconds: int, rounds: int, out: Path) -> None:
    """`qtr serve -m match` of several source trees, or with several options."""
    with ExitStack() as stack:
        urls = {}
        for one in checkouts:
            name, _, words = one.partition("=")
            folder, *options = words.split()
            urls[name] = stack.enter_context(_checkout(Path(folder), *options))
        write_rows(interleaved("checkout", urls, CHECKOUT_POINTS, seconds, rounds), out)


@contextmanager
def _checkout(folder: Path, *options: str) -> Iterator[str]:
    """The server of the package in that folder, once it prints its address."""
    program = "from qtr_rerank.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--port", "0", "-m", "match", *options]
    environment = os.environ | {"PYTHONPATH": str(folder.resolve())}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout is not None else ""
            if not url:
                raise click.ClickException(f"qtr serve of {folder} did not start")
            yield url
        finally:
            process.terminate()


@main.command()
@click.option("--index", type=click.Path(exists=True, path_type=Path))
@click.option("--yardstick/--no-yardstick", default=True)
@_options("results/load.json")
def models(index: Path | None, yardstick: bool, seconds: int, rounds: int, out: Path) -> None:
    """match with new titles, with titles seen before, and by id; and a cross-encoder."""
    from devtools.server_process import running_server

    rows: list[dict[str, Any]] = []
    options = ["-m", "match", *(["--index", index] if index else [])]
    with ExitStack() as stack:
        new = stack.enter_context(running_server(Path("/dev/null"), *options, "--cache", "0"))
        seen = stack.enter_context(running_server(Path("/dev/null"), *options))
        both = stack.enter_context(running_server(Path("/dev/null"), *options, "--workers", "2"))
        urls = {
            "match, titles new": new.url,
            "match, titles seen": seen.url,
            "match, titles seen, 2 workers": both.url,
        }
        if yardstick:
            command = [sys.executable, "-m", "benchmarks.load_app", "{port}"]
            urls["MiniLM-L6 int8"] = stack.enter_context(started(command))
        rows += interleaved("model", urls, POINTS, seconds, rounds)
        if index:
            by_id = {"match, by id": seen.url}
            rows += interleaved("model", by_id, POINTS, seconds, rounds, ids=True)
    write_rows(rows, out)


def interleaved(
    what: str,
    urls: Mapping[Any, str],
    points: Sequence[tuple[int, int]],
    seconds: int,
    rounds: int,
    ids: bool = False,
) -> list[dict[str, Any]]:
    """A row for each server of `urls` (named by `what`) and point (documents, clients)."""
    for url in urls.values():
        # All titles once: what the cache saves is what is measured.
        titles = [product.title for product in sample_catalog()]
        _request(url, "POST", "/v2/rerank", {"query": "any", "documents": titles, "top_n": 1})
    rows = []
    for documents, clients in points:
        runs: dict[Any, list[dict[str, Any]]] = {name: [] for name in urls}
        for _ in range(rounds):
            for name, url in urls.items():
                runs[name].append(wrk(url, documents, clients, seconds, ids))
        for name, measured in runs.items():
            row = {what: name, "documents": documents, "clients": clients} | _summary(measured)
            click.echo(json.dumps(row), err=True)
            rows.append(row)
    return rows


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the rounds, and what the rounds gave."""
    rates = [round(run["requests"] / run["seconds"], 1) for run in runs]
    medians = {
        name: round(statistics.median(run[name] for run in runs), 2)
        for name in ("p50", "p95", "p99")
    }
    return {
        "requests a second": statistics.median(rates),
        **medians,
        "failed": sum(run["failed"] for run in runs),
        "rounds": {"requests a second": rates, "p50": [round(run["p50"], 2) for run in runs]},
    }


def wrk(url: str, documents: int, clients: int, seconds: int, ids: bool) -> dict[str, Any]:
    """One run of wrk, as load.lua reports it."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is not on the PATH; install it: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as body:
        body.writelines(json.dumps(one) + "\n" for one in _bodies(documents, ids))
        body.flush()
        command = ["wrk", f"-t{min(2, clients)}", f"-c{clients}", f"-d{seconds}s"]
        command += ["--timeout=60s", "-s", str(HERE / "load.lua"), f"{url}/v2/rerank"]
        done = subprocess.run(
            [*command, "--", body.name], capture_output=True, text=True, check=True
        )
    # wrk drops its last requests; the server still responds to them.
    time.sleep(0.3)
    line = next(line for line in done.stdout.splitlines() if line.startswith("JSON "))
    report: dict[str, Any] = json.loads(line.removeprefix("JSON "))
    return report


def _bodies(count: int, ids: bool) -> Iterator[dict[str, Any]]:
    """Requests that differ, so that a batch of them does not read the same titles once."""
    shop, rng = sample_catalog(), Random(count)
    for _ in range(BODIES):
        products = rng.sample(shop, count)
        yield {
            # The query's words are those of some product.
            "query": " ".join(products[0].title.split()[:4]),
            "documents": [product.id if ids else product.title for product in products],
            "documents_are_ids": ids,
        }


@contextmanager
def started(command: list[str]) -> Iterator[str]:
    """A server on a free port, once it is ready; terminated at the end."""
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
    try:
        return _request(url, "GET", "/ready") == 200
    except OSError:
        return False


def _request(url: str, method: str, path: str, body: Any = None) -> int:
    """The status of the response."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        response.read()
        return response.status


def write_rows(rows: Sequence[dict[str, Any]], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    # A row a line, so that a new measurement reads well as a difference.
    lines = ",\n".join(" " + json.dumps(row) for row in rows)
    out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
