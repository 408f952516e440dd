"""`qtr serve` as a process: address, log, workers, shutdown, a fuzz, and its OpenAPI document."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, settings

from devtools.server_process import Running, running_server
from qtr_rerank.cli import cli
from qtr_rerank.errors import SettingsError
from qtr_rerank.serve.app import create_app
from qtr_rerank.serve.server_settings import ServerSettings
from qtr_rerank.serve.service import RerankService

FUZZED = 20_000
BODY = {"query": "usb cable", "documents": ["Mug", "USB-C cable"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "keys").write_text("let-me-in\n")
    options = ("-m", "match", "-m", "rerank-v3.5=bert2dnn", "--api-keys", folder / "keys")
    with running_server(folder / "log", *options, "--max-body", 1) as running:
        yield running


def test_server_reranks_and_logs_lines_of_json(server: Running) -> None:
    status, content = server.request("POST", "/v2/rerank", BODY, Authorization="Bearer let-me-in")
    assert (status, content["results"][0]["index"]) == (200, 1)
    assert server.request("POST", "/v2/rerank", BODY)[0] == 401
    assert server.request("GET", "/ready") == (
        200,
        {"status": "ready", "models": ["match", "rerank-v3.5"]},
    )
    announcement, *lines = server.log.read_text().splitlines()
    assert announcement.startswith("match, rerank-v3.5 ready on http://127.0.0.1:")
    logged = [json.loads(line) for line in lines]
    statuses = [line["status"] for line in logged if line["message"] == "response"]
    assert statuses[:2] == [200, 401]
    assert "usb cable" not in server.log.read_text()
    assert "let-me-in" not in server.log.read_text()


def _wait_until_in_flight(server: Running) -> None:
    give_up = time.monotonic() + 60
    while "qtr_in_flight_requests 1.0" not in server.request("GET", "/metrics")[1]:
        assert time.monotonic() < give_up, "no request is in flight after 60 seconds"
        time.sleep(0.01)


def _request_until_refused(server: Running) -> None:
    """Fails if connections are still accepted after 30 seconds."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            server.request("GET", "/health")
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            # The system resets a connection that waits to be accepted when the socket closes.
            continue
    pytest.fail("the server still accepts connections")


def _is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _wait_until_gone(pids: Iterable[int]) -> None:
    give_up = time.monotonic() + 30
    while any(map(_is_running, pids)):
        assert time.monotonic() < give_up
        time.sleep(0.05)


LONG = {
    "query": "hose",
    "documents": [f"garden hose {number} m" for number in range(40_000)],
    "top_n": 1,
}


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_server_in_order(tmp_path: Path, stop: signal.Signals) -> None:
    with running_server(tmp_path / "log", "-m", "bert2dnn", "--workers", 2) as running:
        assert running.request("GET", "/health") == (200, {"status": "ok"})
        workers = running.workers()
        assert len(workers) == 2
        running.process.send_signal(stop)
        assert running.process.wait(30) == 0
    _wait_until_gone(workers)
    assert "Traceback" not in running.log.read_text()


def test_request_in_flight_is_finished_and_new_ones_are_refused(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "log", "-m", "match") as running,
        ThreadPoolExecutor(1) as pool,
    ):
        in_flight = pool.submit(running.request, "POST", "/v2/rerank", LONG)
        _wait_until_in_flight(running)
        running.process.send_signal(signal.SIGTERM)
        _request_until_refused(running)
        assert not in_flight.done()
        status, content = in_flight.result(60)
        assert (status, len(content["results"])) == (200, 1)
        assert running.process.wait(30) == 0


def test_second_signal_ends_the_server_at_once(tmp_path: Path) -> None:
    options = ("-m", "match", "--timeout-ms", 600_000)
    with (
        running_server(tmp_path / "log", *options) as running,
        ThreadPoolExecutor(1) as pool,
    ):
        body = LONG | {"documents": LONG["documents"] * 2}  # type: ignore[operator]
        in_flight = pool.submit(running.request, "POST", "/v2/rerank", body)
        _wait_until_in_flight(running)
        workers = running.workers()
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 0
        _wait_until_gone(workers)
        assert isinstance(in_flight.exception(10), OSError | HTTPException)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    with running_server(tmp_path / "log", "-m", "bert2dnn", "--workers", 2) as running:
        workers = running.workers()
        running.process.kill()
        running.process.wait(10)
        _wait_until_gone(workers)


def test_metrics_sum_the_workers(tmp_path: Path) -> None:
    options = ("-m", "bert2dnn", "--workers", 2)
    with running_server(tmp_path / "log", *options) as running:
        first, second = running.workers()
        for _ in range(20):
            assert running.request("POST", "/v2/rerank", BODY)[0] == 200
        line = 'qtr_requests_total{route="/v2/rerank",status="200"} '
        assert line + "20.0" in running.request("GET", "/metrics")[1]
        # The counts of a worker that ended stay, and another takes its place.
        os.kill(first, signal.SIGKILL)
        _wait_until_gone([first])
        assert running.request("POST", "/v2/rerank", BODY)[0] == 200
        metrics = running.request("GET", "/metrics")[1]
        assert line + "21.0" in metrics
        assert "qtr_in_flight_requests 0.0" in metrics
        give_up = time.monotonic() + 30
        while len(running.workers()) < 2:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert second in running.workers()


def test_response_arrives_where_the_body_is_not_wanted(server: Running) -> None:
    body = {"query": "q" * 3_500_000, "documents": []}
    for path, status in (("/v2/rerank", 413), ("/none", 413), ("/rerank", 413)):
        assert server.request("POST", path, body)[0] == status
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    for method, path, status in (
        ("PUT", "/rerank", 405),
        ("POST", "/none", 404),
        ("POST", "/v2/rerank", 401),
        ("GET", "/health", 200),
    ):
        connection.request(method, path, b"x" * 900_000)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"zq" * 1_500 + b" HTTP/9.9\r\n\r\n",
        b"GET /" + b"zq" * 50_000 + b" HTTP/1.1\r\n\r\n",
        b"ZQ" * 1_000 + b" / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"zq" * 1_000 + b"\r\n\r\n",
        b"zq" * 1_500 + b"\r\n\r\n",
    ],
)
def test_response_to_malformed_http_repeats_little_of_it(server: Running, head: bytes) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        client.sendall(head)
        response = b""
        with suppress(ConnectionResetError):
            while piece := client.recv(65_536):
                response += piece
    assert response.startswith(b"HTTP/1.1 4")
    assert len(response) < 1_000
    assert b"zq" * 100 not in response.lower()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "0", "-m", "nope"], "'nope'"),
        (["--port", "0", "--index", "no-index"], "no-index is not an index"),
        (["--threads", "0"], "threads is 0; expected 1 or more"),
        (["--api-keys", "no-file"], "no-file cannot be read"),
        (["--host", "256.0.0.1"], "cannot listen on --host 256.0.0.1 --port 8123"),
    ],
)
def test_error_at_startup_is_one_line(options: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from qtr_rerank.cli import main; main()", "serve", *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("qtr: ")
    assert message in line


def test_taken_port_is_named_in_the_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(cli, ["serve", "-m", "bert2dnn", "--port", str(port)])
    assert isinstance(result.exception, SettingsError)
    assert f"port {port} on 127.0.0.1 is taken; stop what listens there" in str(result.exception)


# --- a fuzz -------------------------------------------------------------------------------------

_TEXTS = ["", "mug", "USB-C cable 2 m", "\x00", "é" * 50, "\U0001f600", "a" * 3_000, "ä\u0308 ß"]
_ODD: list[Any] = [None, True, -1, 0, 1.5, 10**30, "", [], {}, [[]], {"text": None}, "\u202e"]
_ROUTES = ["/v1/rerank", "/v2/rerank", "/rerank"]
_HEADERS = ["X-QTR-Timeout-Ms", "X-QTR-Strict", "X-Request-Id", "Content-Type", "Authorization"]


def _fuzzed(rng: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """A request that is right, or wrong in one way or several."""
    documents: list[Any] = [rng.choice(_TEXTS) for _ in range(rng.choice((0, 1, 2, 5, 40)))]
    if documents and rng.random() < 0.3:
        documents[0] = rng.choice([*_ODD, {"text": "mug"}, {"title": "mug", "brand": 3}])
    body: Any = {"query": rng.choice(_TEXTS), "documents": documents, "texts": documents}
    for name in ("top_n", "model", "return_documents", "rank_fields", "raw_scores", "return_text"):
        if rng.random() < 0.2:
            body[name] = rng.choice([*_ODD, 2, "match", "rerank-v3.5", ["title"]])
    if rng.random() < 0.1:
        body[rng.choice(["query", "documents", "texts"])] = rng.choice(_ODD)
    if rng.random() < 0.02:
        body = rng.choice(_ODD)
    written = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode()
    if rng.random() < 0.15:
        place = rng.randrange(len(written) + 1)
        piece = rng.choice([b"", b"\xff", b"\\ud83d", b"NaN", b"[" * 300, b'"', b"\x00", b"1e9999"])
        written = written[:place] + piece + written[place + rng.randrange(3) :]
    headers = {"Authorization": "Bearer let-me-in"}
    if rng.random() < 0.2:
        headers[rng.choice(_HEADERS)] = rng.choice(["0.01", "50", "true", "x" * 300, "-", "nan"])
    return (
        rng.choice(["POST"] * 30 + ["GET", "PUT", "DELETE"]),
        rng.choice([*_ROUTES * 10, "/", "/rerank/", "/%00", "/v2/rerank?x=%ff"]),
        written,
        headers,
    )


def _resident_kib(server: Running) -> int:
    (worker,) = server.workers()
    status = Path(f"/proc/{worker}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def test_fuzz_finds_no_server_error_and_no_memory_growth(server: Running) -> None:
    rng = random.Random(7)
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    seen: Counter[int] = Counter()
    settled = 0
    for number in range(FUZZED):
        method, path, body, headers = _fuzzed(rng)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
        seen[response.status] += 1
        # A strict client may get a 504.
        assert response.status < 500 or response.status == 504, (method, path, body, headers, text)
        if path in _ROUTES:
            json.loads(text)
        if number == FUZZED // 4:
            settled = _resident_kib(server)
    connection.close()
    assert seen[200] > FUZZED / 5
    assert sum(seen[status] for status in (400, 401, 404, 405, 422)) > FUZZED / 5
    assert server.process.poll() is None
    # A leak of a kilobyte a request would show as 15 MiB.
    ended = _resident_kib(server)
    assert ended - settled < 15_000
    logging.getLogger(__name__).info("%s, KiB: %d, then %d", dict(seen), settled, ended)


# --- OpenAPI ---------------------------------------------------------------------------

openapi = schemathesis.openapi.from_wsgi(
    "/openapi.json",
    create_app(RerankService.load(ServerSettings(api_keys=("key",)))),
    config=schemathesis.Config.from_dict(
        {
            # HTTP allows unknown headers, so the server accepts them.
            "generation": {"allow-extra-parameters": False},
            # rank_fields decides which fields an object needs; a schema cannot express that.
            "checks": {"positive_data_acceptance": {"expected-statuses": [200, 404, 422]}},
        }
    ),
)


@openapi.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_responses_match_the_openapi_document(case: schemathesis.Case) -> None:
    if case.headers.get("X-QTR-Strict") == "true":
        # A strict client may get a 504, which counts as a failure here.
        case.headers["X-QTR-Strict"] = "false"
    case.call_and_validate(headers={"Authorization": "Bearer key"})
