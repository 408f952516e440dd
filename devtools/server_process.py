"""`qtr serve` in a process of its own, for experiments, benchmarks and tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_QTR = [sys.executable, "-c", "from qtr_rerank.cli import main; main()"]


@dataclass(frozen=True)
class Running:
    """A running server: its address, its process, and the file of its standard error."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    def workers(self) -> list[int]:
        """Process ids of the worker processes. Linux only."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in children.split()]

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request; the status and the body, decoded if it is JSON."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, headers
            )
            response = connection.getresponse()
            text = response.read().decode()
            is_json = response.headers["Content-Type"].startswith("application/json")
            return response.status, json.loads(text) if is_json else text
        finally:
            connection.close()


@contextmanager
def running_server(
    log: Path, *options: object, env: dict[str, str] | None = None
) -> Iterator[Running]:
    """Run `qtr serve` on a free port until the block ends."""
    command = [*_QTR, "serve", "--port", "0", *map(str, options)]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | (env or {}),
        ) as process,
    ):
        try:
            # The server prints its address when it is ready, and nothing if it cannot start.
            url = process.stdout.readline().strip() if process.stdout is not None else ""
            if not url:
                raise RuntimeError(f"qtr serve did not start: {log.read_text()}")
            yield Running(url, process, log)
        finally:
            process.terminate()
            process.wait(30)
