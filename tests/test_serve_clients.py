"""Clients of other services, unmodified but for the base URL, against a running `qtr serve`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.server_process import Running, running_server
from qtr_rerank import Reranker
from tests.fresh_environment import install

pytestmark = pytest.mark.installs

ROOT = Path(__file__).parent.parent
CALL = ROOT / "tests" / "clients" / "call.py"
QUERY = "usb c cable"
DOCUMENTS = ["Mug, white", "USB-C cable 2 m", 'Phone "case"', "USB charger \\ 20 W", "Câble USB-C"]
# langchain-cohere needs an older cohere than the newest.
ENVIRONMENTS = {
    "frameworks": (
        "langchain-cohere",
        "llama-index-postprocessor-cohere-rerank",
        "llama-index-postprocessor-jinaai-rerank",
        "llama-index-postprocessor-tei-rerank",
        "cohere-haystack",
        "jina-haystack",
        "huggingface-api-haystack",
    ),
    "cohere": ("cohere",),
}
CASES = [
    ("cohere", "cohere-v1"),
    ("cohere", "cohere-v1-objects"),
    ("cohere", "cohere-v2"),
    ("frameworks", "cohere-v1"),
    ("frameworks", "cohere-v2"),
    ("frameworks", "langchain-cohere"),
    ("frameworks", "llama-index-cohere"),
    ("frameworks", "llama-index-jina"),
    ("frameworks", "llama-index-tei"),
    ("frameworks", "haystack-cohere"),
    ("frameworks", "haystack-jina"),
    ("frameworks", "haystack-tei"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    names = ("match", "rerank-v3.5", "rerank-english-v3.0", "jina-reranker-v2-base-multilingual")
    options = [part for name in names for part in ("-m", f"{name}=match")]
    log = tmp_path_factory.mktemp("server") / "log"
    with running_server(log, *options, env={"QTR_API_KEYS": "old-key,new-key"}) as running:
        yield running


def client_python(environment: str) -> Path:
    """The Python of an environment with the clients, without this package; made once, in .cache."""
    packages = ENVIRONMENTS[environment]
    digest = hashlib.sha256(f"{packages}{sys.version}".encode()).hexdigest()[:8]
    folder = ROOT / ".cache" / f"clients-{environment}-{digest}"
    python = folder / "bin" / "python"
    folder.parent.mkdir(exist_ok=True)
    # test_docs.py takes it too, perhaps in another process at the same time.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            install(folder, *packages)
            (folder / "installed").touch()
    return python


@pytest.mark.parametrize(("environment", "client"), CASES)
def test_client_gets_the_order_of_the_library(
    server: Running, environment: str, client: str
) -> None:
    done = subprocess.run(
        [client_python(environment), CALL, client, server.url, "new-key"],
        input=json.dumps({"query": QUERY, "documents": DOCUMENTS}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)
    ranked = Reranker.load("match").rerank(QUERY, DOCUMENTS)
    assert [index for index, _ in output["hits"]] == [hit.index for hit in ranked]
    assert [score for _, score in output["hits"]] == pytest.approx(
        [hit.score for hit in ranked], abs=1e-6
    )
    logging.getLogger(__name__).info("%s %s", client, output["version"])
