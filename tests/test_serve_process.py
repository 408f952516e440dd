"""`qtr serve` as a process: its address, its end, its log, a fuzz of it, and its own document."""

from __future__ import annotations

import json
import logging
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, settings

from experiments.server_process import Running, running_server
from qtr_rerank.cli import cli
from qtr_rerank.errors import SettingsError
from qtr_rerank.serve.app import create_app
from qtr_rerank.serve.service import RerankService
from qtr_rerank.serve.server_settings import ServerSettings

FUZZED = 20_000
ASK = {"query": "usb cable", "documents": ["Mug", "USB-C cable"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "keys").write_text("let-me-in\n")
    options = ("-m", "match", "-m", "rerank-v3.5=bert2dnn", "--api-keys", folder / "keys")
    with running_server(folder / "log", *options, "--max-body", 1) as running:
        yield running


def test_it_answers_and_logs_lines_of_json(server: Running) -> None:
    status, answer = server.request("POST", "/v2/rerank", ASK, Authorization="Bearer let-me-in")
    assert (status, answer["results"][0]["index"]) == (200, 1)
    assert server.request("POST", "/v2/rerank", ASK)[0] == 401
    assert server.request("GET", "/ready") == (
        200,
        {"status": "ready", "models": ["match", "rerank-v3.5"]},
    )
    announced, *lines = server.log.read_text().splitlines()
    assert announced.startswith("match, rerank-v3.5 ready on http://127.0.0.1:")
    logged = [json.loads(line) for line in lines]
    answered = [line["status"] for line in logged if line["message"] == "response"]
    assert answered[:2] == [200, 401]
    assert "usb cable" not in server.log.read_text()
    assert "let-me-in" not in server.log.read_text()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, stop: signal.Signals) -> None:
    with running_server(tmp_path / "log", "-m", "bert2dnn") as running:
        assert running.request("GET", "/health") == (200, {"status": "ok"})
        running.process.send_signal(stop)
        assert running.process.wait(30) == 0
    assert "Traceback" not in running.log.read_text()


def test_what_is_being_answered_when_it_is_told_to_end_is_answered(tmp_path: Path) -> None:
    documents = [f"garden hose {number} m" for number in range(40_000)]
    with (
        running_server(tmp_path / "log", "-m", "match") as running,
        ThreadPoolExecutor(1) as pool,
    ):
        body = {"query": "hose", "documents": documents, "top_n": 1}
        asked = pool.submit(running.request, "POST", "/v2/rerank", body)
        while "qtr_in_flight_requests 1.0" not in running.request("GET", "/metrics")[1]:
            time.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)
        status, answer = asked.result(60)
        assert (status, len(answer["results"])) == (200, 1)
        assert running.process.wait(30) == 0
        with pytest.raises(ConnectionRefusedError):
            running.request("GET", "/health")


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
def test_what_it_cannot_start_with_is_one_line(options: list[str], message: str) -> None:
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


def test_a_port_that_is_taken_is_named() -> None:
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


def _fuzzed(chance: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """A request that is right, or wrong in one way or several."""
    documents: list[Any] = [chance.choice(_TEXTS) for _ in range(chance.choice((0, 1, 2, 5, 40)))]
    if documents and chance.random() < 0.3:
        documents[0] = chance.choice([*_ODD, {"text": "mug"}, {"title": "mug", "brand": 3}])
    body: Any = {"query": chance.choice(_TEXTS), "documents": documents, "texts": documents}
    for name in ("top_n", "model", "return_documents", "rank_fields", "raw_scores", "return_text"):
        if chance.random() < 0.2:
            body[name] = chance.choice([*_ODD, 2, "match", "rerank-v3.5", ["title"]])
    if chance.random() < 0.1:
        body[chance.choice(["query", "documents", "texts"])] = chance.choice(_ODD)
    if chance.random() < 0.02:
        body = chance.choice(_ODD)
    written = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode()
    if chance.random() < 0.15:
        place = chance.randrange(len(written) + 1)
        piece = chance.choice(
            [b"", b"\xff", b"\\ud83d", b"NaN", b"[" * 300, b'"', b"\x00", b"1e9999"]
        )
        written = written[:place] + piece + written[place + chance.randrange(3) :]
    headers = {"Authorization": "Bearer let-me-in"}
    if chance.random() < 0.2:
        headers[chance.choice(_HEADERS)] = chance.choice(
            ["0.01", "50", "true", "x" * 300, "-", "nan"]
        )
    return (
        chance.choice(["POST"] * 30 + ["GET", "PUT", "DELETE"]),
        chance.choice([*_ROUTES * 10, "/", "/rerank/", "/%00", "/v2/rerank?x=%ff"]),
        written,
        headers,
    )


def _resident_kib(process: subprocess.Popen[str]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def test_a_fuzz_finds_no_fault_of_the_servers_and_no_growth(server: Running) -> None:
    chance = random.Random(7)
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    seen: Counter[int] = Counter()
    settled = 0
    for number in range(FUZZED):
        method, path, body, headers = _fuzzed(chance)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        seen[answer.status] += 1
        # 504 is what a strict client asked for.
        assert answer.status < 500 or answer.status == 504, (method, path, body, headers, text)
        if path in _ROUTES:
            json.loads(text)
        if number == FUZZED // 4:
            settled = _resident_kib(server.process)
    connection.close()
    assert seen[200] > FUZZED / 5
    assert sum(seen[status] for status in (400, 401, 404, 405, 422)) > FUZZED / 5
    assert server.process.poll() is None
    # A leak of a kilobyte a request would show as 15 MiB.
    ended = _resident_kib(server.process)
    assert ended - settled < 15_000
    logging.getLogger(__name__).info("%s, KiB: %d, then %d", dict(seen), settled, ended)


# --- its own document ---------------------------------------------------------------------------

described = schemathesis.openapi.from_wsgi(
    "/openapi.json",
    create_app(RerankService.load(ServerSettings(api_keys=("key",)))),
    config=schemathesis.Config.from_dict(
        {
            # Headers that nobody knows are HTTP's way, and no fault.
            "generation": {"allow-extra-parameters": False},
            # What an object must hold depends on rank_fields, which no schema can say.
            "checks": {"positive_data_acceptance": {"expected-statuses": [200, 404, 422]}},
        }
    ),
)


@described.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
def test_answers_are_those_of_the_openapi_document(case: schemathesis.Case) -> None:
    if case.headers.get("X-QTR-Strict") == "true":
        # Such a client asks for 504, and would get it.
        case.headers["X-QTR-Strict"] = "false"
    case.call_and_validate(headers={"Authorization": "Bearer key"})
