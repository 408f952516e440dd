"""Runs the commands of pages in docs/, and compares the pages' figures with results/.

The blocks of a page run in one shell and one folder. Only addresses are replaced (by the test's
node and free ports), and package installations are left out: the test environment has the
packages, and test_packaging.py installs the wheel.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.tables import (
    between_marks,
    guidelines,
    judging_table,
    load_table,
    two_ways_table,
)
from qtr_rerank.environment import OpenSearchSettings
from tests.test_serve_clients import client_python

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"```(sh|python|python client|python frameworks)\n(.*?)```", re.DOTALL)
PAGES = ("opensearch", "cohere", "library", "production", "evaluate", "judging")


def _blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text())


def _free_ports(count: int) -> list[str]:
    """Ports below those that the system gives to clients and to servers on port 0."""
    ports = random.sample(range(20_000, 32_000), count * 10)
    return [str(port) for port in ports if _is_free(port)][:count]


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _script(page: str, url: str, folder: Path) -> str:
    """One shell script of all blocks of a page, in order; Python blocks run from files."""
    lines = [
        "set -euo pipefail",
        "trap 'code=$?; kill $(jobs -p) 2>/dev/null || true; exit $code' EXIT",
    ]
    python = [""]
    for number, (kind, text) in enumerate(_blocks(page)):
        if kind == "sh":
            lines += [line for line in text.splitlines() if not line.startswith("pip install")]
            continue
        file = folder / f"block{number}.py"
        program = "python"
        if kind == "python":
            # A Python block sees the names of the earlier blocks, as for a reader.
            python.append(text)
            text = "\n".join(python)
        else:
            program = str(client_python("cohere" if kind.endswith("client") else "frameworks"))
        file.write_text(text)
        lines.append(f"{program} {file}")
    ports = dict(zip(("8123", "8124", "8125"), _free_ports(3), strict=True))

    def moved(text: str) -> str:
        # In one pass: a new port may hold another's digits.
        text = re.sub(r"\b812[345]\b", lambda port: ports[port[0]], text)
        return text.replace("http://127.0.0.1:9200", url)

    for file in folder.glob("block*.py"):
        file.write_text(moved(file.read_text()))
    script = moved("\n".join(lines))
    # A server listens where no option says: on the port that stands for 8123.
    first = re.search(r"localhost:(\d+)", script)
    if first is not None:
        script = re.sub(r"qtr serve(?!.*--port)", f"qtr serve --port {first[1]}", script)
    return script


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_work(
    page: str, opensearch_settings: OpenSearchSettings, tmp_path: Path
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, program in (("qtr", ' -c "from qtr_rerank.cli import main; main()"'), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable}{program} "$@"\n')
        (commands / name).chmod(0o755)
    env = {key: value for key, value in os.environ.items() if key != "OPENSEARCH_URL"}
    env |= {"PATH": f"{commands}:{env['PATH']}", "PYTHONPATH": str(ROOT)}
    script = _script(page, opensearch_settings.url, tmp_path)
    assert shutil.which("curl"), "the pages use curl"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (script, done.stdout[-2000:], done.stderr[-2000:])
    assert "Traceback" not in done.stderr
    assert "WRONG" not in done.stdout
    if page == "production":
        subprocess.run(
            [commands / "qtr", "opensearch", "remove", "--name", "qtr_next"],
            env=env | {"OPENSEARCH_URL": opensearch_settings.url},
            check=True,
            capture_output=True,
        )


def test_pages_show_the_figures_in_results() -> None:
    for page, mark, table in (
        ("opensearch", "two ways", two_ways_table()),
        ("production", "load", load_table()),
        ("judging", "judging", judging_table()),
        ("judging", "guidelines", guidelines()),
    ):
        text = (ROOT / "docs" / f"{page}.md").read_text()
        assert between_marks(text, mark).strip() == table.strip(), "run experiments/tables.py"
