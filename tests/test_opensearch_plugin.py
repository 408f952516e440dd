"""`qtr opensearch` on a real node and a real server, with each error that `check` reports."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import trustme
from click.testing import CliRunner
from werkzeug import Request, Response
from werkzeug.serving import make_server

from devtools.server_process import Running, running_server
from experiments.whole_catalog import measured, search_run
from indexer.bulk import bulk_load
from indexer.job import IndexSettings, build_index
from qtr_rerank import Candidate, Product, Reranker
from qtr_rerank.cli import cli
from qtr_rerank.data.sample import write_sample
from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import QtrError, SettingsError
from qtr_rerank.opensearch.wiring import (
    ONLY_ML_NODES,
    PRIVATE_ADDRESSES,
    TRUSTED_ENDPOINTS,
    Wiring,
    trusted_regex,
)
from qtr_rerank.records import Filters
from qtr_rerank.retrieve.client_opensearch import connect
from qtr_rerank.retrieve.fields import query_words
from qtr_rerank.retrieve.lexical_opensearch import bm25_query
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.search import SearchEngine
from tests.small_index import build_small_index

KEY = "the-servers-key"
QUERY = "usb cable"
TITLES = ["usb charger", "cable tie", "usb hub, no cable", "mug", "cable usb-c 2 m", "usb c cable"]


@pytest.fixture(scope="module")
def client(opensearch_settings: OpenSearchSettings) -> Iterator[Any]:
    with closing(connect(opensearch_settings)) as client:
        yield client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("server") / "log"
    with running_server(log, "-m", "match", env={"QTR_API_KEYS": KEY}) as running:
        yield running


@pytest.fixture(scope="module")
def index(client: Any) -> Iterator[str]:
    name = f"qtr-test-{uuid4().hex}"
    for number, title in enumerate(TITLES):
        client.index(index=name, id=str(number), body={"title": title, "brand": "x"})
    client.indices.refresh(index=name)
    yield name
    client.indices.delete(index=name)


@pytest.fixture
def name() -> str:
    return f"qtr_test_{uuid4().hex[:8]}"


class Qtr:
    """`qtr opensearch ...` against the session's node, with the server's key."""

    def __init__(self, url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENSEARCH_URL", url)
        self._monkeypatch = monkeypatch
        self.name = name
        self.key(KEY)

    def key(self, key: str) -> None:
        self._monkeypatch.setenv("QTR_API_KEYS", key)

    def __call__(self, command: str, *options: str) -> list[str]:
        result = CliRunner().invoke(cli, ["opensearch", command, "--name", self.name, *options])
        if isinstance(result.exception, QtrError):
            raise result.exception
        assert result.exit_code in (0, 1), result.output
        lines = result.output.splitlines()
        assert (result.exit_code == 1) == any(line.startswith("WRONG") for line in lines)
        return lines


@pytest.fixture
def qtr(
    opensearch_settings: OpenSearchSettings, name: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Qtr]:
    run = Qtr(opensearch_settings.url, name, monkeypatch)
    yield run
    run("remove")


def _persistent(client: Any) -> dict[str, Any]:
    response = client.cluster.get_settings(params={"flat_settings": "true"})
    return {
        key: value for key, value in response["persistent"].items() if "qtr" in key or "ml_" in key
    }


@contextmanager
def _set(client: Any, **settings: Any) -> Iterator[None]:
    """Change cluster settings, and restore them at the end."""
    before = client.cluster.get_settings(params={"flat_settings": "true"})["persistent"]
    client.cluster.put_settings(body={"persistent": settings})
    try:
        yield
    finally:
        restored = {key: before.get(key) for key in settings}
        client.cluster.put_settings(body={"persistent": restored})


def _wrong(lines: list[str]) -> list[tuple[str, str]]:
    """The errors in the output of `check`, each with its remedy."""
    return [
        (line.removeprefix("WRONG  "), after.strip().removeprefix("remedy: "))
        for line, after in pairwise(lines)
        if line.startswith("WRONG")
    ]


def _search(client: Any, index: str, body: dict[str, Any], **params: Any) -> list[str]:
    response = client.search(index=index, body=body, params=params)
    return [hit["_source"]["title"] for hit in response["hits"]["hits"]]


def _body(size: int = 2) -> dict[str, Any]:
    return {
        "size": size,
        "query": {"match": {"title": QUERY}},
        "ext": {"rerank": {"query_context": {"query_text": QUERY}}},
    }


def test_remove_restores_the_cluster_after_install(
    client: Any, server: Running, index: str, qtr: Qtr, name: str
) -> None:
    before = _persistent(client)
    first = qtr("install", "--server", server.url, "--index", index)
    assert f"created connector {name} to {server.url}/v2/rerank" in first
    assert f"default pipeline of index {index}: {name}" in first
    again = qtr("install", "--server", server.url, "--index", index)
    assert again == ["already installed; nothing was changed"]

    ranked = Reranker.load("match").rerank(QUERY, TITLES)
    matching = [hit.document for hit in ranked if {"usb", "cable"} & set(hit.document.split())]
    # The search names no pipeline: the index has a default one.
    found = _search(client, index, _body(size=5))
    assert sorted(found) == sorted(matching)
    lines = qtr("check", "--index", index, "--query", QUERY)
    assert _wrong(lines) == []
    assert any("the search is reranked" in line for line in lines)
    assert any("uses the pipeline by default" in line for line in lines)

    removed = qtr("remove")
    assert f"default pipeline of index {index}: none" in removed
    assert _persistent(client) == before
    assert qtr("remove") == [f"{name!r} is not installed; nothing was changed"]
    for kind in ("connectors", "models", "model_groups"):
        response = client.transport.perform_request(
            "POST",
            f"/_plugins/_ml/{kind}/_search",
            body={"query": {"term": {"name.keyword": name}}},
        )
        assert response["hits"]["hits"] == []


def test_dry_run_prints_requests_without_the_key_and_changes_nothing(
    client: Any, server: Running, qtr: Qtr
) -> None:
    before = _persistent(client)
    lines = qtr("install", "--server", server.url, "--dry-run")
    assert "POST /_plugins/_ml/connectors/_create" in lines
    assert _persistent(client) == before
    assert KEY not in "\n".join(lines)
    assert any("***" in line for line in lines)


def test_remove_keeps_settings_of_others(client: Any, server: Running, qtr: Qtr) -> None:
    others = ["^https://api\\.example\\.org/.*$"]
    with _set(client, **{TRUSTED_ENDPOINTS: others, PRIVATE_ADDRESSES: None, ONLY_ML_NODES: None}):
        qtr("install", "--server", server.url)
        trusted = _persistent(client)[TRUSTED_ENDPOINTS]
        assert trusted == [*others, trusted_regex(Wiring(server.url))]
        # Somebody else adds a pattern.
        later = [*trusted, "^https://later\\.example\\.org/.*$"]
        client.cluster.put_settings(body={"persistent": {TRUSTED_ENDPOINTS: later}})
        qtr("remove")
        assert _persistent(client)[TRUSTED_ENDPOINTS] == [*others, later[-1]]
        assert PRIVATE_ADDRESSES not in _persistent(client)


def test_second_install_changes_only_given_options(
    client: Any, server: Running, index: str, qtr: Qtr, name: str
) -> None:
    client.indices.put_settings(index=index, body={"index.search.default_pipeline": "_none"})
    qtr("install", "--server", server.url, "--index", index)
    changed = qtr("install", "--server", server.url, "--index", index, "--prior", "0")
    assert any("deleted connector" in line for line in changed)
    assert any(line.startswith("updated search pipeline") for line in changed)
    best = [hit.document for hit in Reranker.load("match").rerank(QUERY, TITLES, top_k=2)]
    assert _search(client, index, _body(), search_pipeline=name) == best
    # Options that are left out keep their values.
    assert qtr("install") == ["already installed; nothing was changed"]
    # A default pipeline that somebody set since is restored.
    client.indices.put_settings(index=index, body={"index.search.default_pipeline": None})
    qtr("install")
    client.indices.put_settings(index=index, body={"index.search.default_pipeline": "_none"})
    qtr("install")
    qtr("install", "--no-index")
    settings = client.indices.get_settings(index=index, params={"flat_settings": "true"})
    assert settings[index]["settings"]["index.search.default_pipeline"] == "_none"
    client.indices.put_settings(index=index, body={"index.search.default_pipeline": None})


def test_two_installations_are_removed_in_any_order(
    client: Any, server: Running, index: str, qtr: Qtr, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _persistent(client)
    next_name = f"{name}_next"
    for first, last in ((name, next_name), (next_name, name)):
        for one in (name, next_name):
            qtr("install", "--server", server.url, "--index", index, "--name", one)
        qtr("remove", "--name", first)
        assert _wrong(qtr("check", "--name", last, "--index", index, "--query", QUERY)) == []
        qtr("remove", "--name", last)
        assert _persistent(client) == before
        settings = client.indices.get_settings(index=index, params={"flat_settings": "true"})
        assert "index.search.default_pipeline" not in settings[index]["settings"]


def test_remove_unsets_default_pipelines_that_others_set(
    client: Any, server: Running, index: str, qtr: Qtr, name: str
) -> None:
    qtr("install", "--server", server.url)
    # Not set by `install`, so it is not in its record.
    client.indices.put_settings(index=index, body={"index.search.default_pipeline": name})
    assert f"default pipeline of index {index}: none" in qtr("remove")
    assert len(_search(client, index, _body(size=5))) == 5


def test_install_warns_about_scrolls_with_a_default_pipeline(
    server: Running, index: str, qtr: Qtr
) -> None:
    lines = qtr("install", "--server", server.url, "--index", index)
    assert any(
        line.startswith(f"CAUTION: requests that read {index} page by page") for line in lines
    )
    lines = qtr("install", "--oversample", "1")
    assert not any(line.startswith("CAUTION") for line in lines)


def test_bulk_load_keeps_the_default_pipeline(
    client: Any, opensearch_settings: OpenSearchSettings, server: Running, qtr: Qtr, name: str
) -> None:
    alias = f"qtr-test-{uuid4().hex}"
    products = [Product(id=str(n), title=title) for n, title in enumerate(TITLES)]
    first = bulk_load(opensearch_settings, alias, products)
    try:
        qtr("install", "--server", server.url, "--index", alias)
        second = bulk_load(opensearch_settings, alias, products)
        assert second.index != first.index
        lines = qtr("check", "--index", alias, "--query", QUERY)
        assert _wrong(lines) == []
        assert f"ok     index {second.index} uses the pipeline by default" in lines
        # Another tool's load would lose it, and `check` reports that.
        client.indices.put_settings(
            index=second.index, body={"index.search.default_pipeline": None}
        )
        ((what, remedy),) = _wrong(qtr("check"))
        assert what.startswith(f"index {second.index} behind {alias} lost the pipeline")
        assert remedy == f"run 'qtr opensearch install --index {alias}' again"
        qtr("install")
        assert _wrong(qtr("check")) == []
    finally:
        qtr("remove")
        client.indices.delete(index=f"{alias}-*")


def test_install_without_a_key_keeps_the_key(server: Running, qtr: Qtr) -> None:
    qtr("install", "--server", server.url)
    qtr.key("")
    assert qtr("install") == ["already installed; nothing was changed"]
    with pytest.raises(SettingsError, match="this change needs it again: set QTR_API_KEYS"):
        qtr("install", "--prior", "1")
    assert _wrong(qtr("check")) == []


def test_first_install_requires_server(qtr: Qtr, name: str) -> None:
    result = CliRunner().invoke(cli, ["opensearch", "install", "--name", name])
    assert result.exit_code == 2
    assert f"{name} is not installed yet, and needs --server" in result.output


def test_transient_settings_are_refused_by_name(client: Any, server: Running, qtr: Qtr) -> None:
    others = ["^https://api\\.example\\.org/.*$"]
    client.cluster.put_settings(body={"transient": {TRUSTED_ENDPOINTS: others}})
    try:
        with pytest.raises(SettingsError, match="as a transient setting, which overrides"):
            qtr("install", "--server", server.url)
    finally:
        client.cluster.put_settings(body={"transient": {TRUSTED_ENDPOINTS: None}})


def test_other_servers_are_not_taken_for_opensearch(
    server: Running, qtr: Qtr, opensearch_settings: OpenSearchSettings
) -> None:
    for command in ("install", "check", "remove"):
        with pytest.raises(QtrError, match=r"the server at .* is not OpenSearch"):
            qtr(command, "--url", server.url)
    with pytest.raises(QtrError, match="does not use TLS; give its address as http://"):
        qtr("check", "--url", opensearch_settings.url.replace("http://", "https://"))


def test_pipeline_of_others_with_the_same_name_is_refused_and_kept(
    client: Any, server: Running, qtr: Qtr, name: str
) -> None:
    client.transport.perform_request(
        "PUT", f"/_search/pipeline/{name}", body={"response_processors": [{"truncate_hits": {}}]}
    )
    with pytest.raises(SettingsError, match="did not make; choose another --name"):
        qtr("install", "--server", server.url)
    qtr("remove")
    kept = client.transport.perform_request("GET", f"/_search/pipeline/{name}")
    assert name in kept
    client.transport.perform_request("DELETE", f"/_search/pipeline/{name}")


def test_missing_index_is_named(server: Running, qtr: Qtr) -> None:
    with pytest.raises(SettingsError, match="no index 'nothing' to set a default pipeline for"):
        qtr("install", "--server", server.url, "--index", "nothing")


def test_missing_field_is_named_with_those_there_are(server: Running, index: str, qtr: Qtr) -> None:
    with pytest.raises(SettingsError, match=r"no field 'headline' .* of brand, title"):
        qtr("install", "--server", server.url, "--index", index, "--field", "headline")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def _proxy(
    url: str,
    metrics: str | None = None,
    tls: ssl.SSLContext | None = None,
    login: str | None = None,
) -> Iterator[int]:
    """Run a proxy before `url`, and yield its port. With `metrics` it serves /metrics itself, with
    status 403 or with a page; with `login` it refuses requests without that login.
    """

    @Request.application
    def forward(request: Request) -> Response:
        if login is not None and request.headers.get("Authorization") != f"Basic {login}":
            return Response("{}", 401, content_type="application/json")
        if metrics is not None and request.path == "/metrics":
            return Response("<html>the company</html>", 403 if metrics == "403" else 200)
        kept = ("Content-Type", "Authorization") if login is None else ("Content-Type",)
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
            connection.request(request.method, request.full_path, request.data or None, headers)
            response = connection.getresponse()
            kind = response.headers["Content-Type"]
            return Response(response.read(), response.status, content_type=kind)

    proxy = make_server("127.0.0.1", 0, forward, threaded=True, ssl_context=tls)
    running = threading.Thread(target=proxy.serve_forever)
    running.start()
    try:
        yield proxy.server_port
    finally:
        proxy.shutdown()
        running.join()
        proxy.server_close()


def test_cluster_with_tls_and_login(
    opensearch_settings: OpenSearchSettings,
    server: Running,
    qtr: Qtr,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    login = base64.b64encode(b"admin:a secret").decode()
    with _proxy(opensearch_settings.url, tls=tls, login=login) as port:
        at = ("--url", f"https://localhost:{port}", "--user", "admin")
        monkeypatch.setenv("OPENSEARCH_PASSWORD", "a secret")
        with pytest.raises(QtrError, match=r"certificate that is not trusted .*OPENSEARCH_CA"):
            qtr("check", *at)
        trusted = (*at, "--ca", str(tmp_path / "ca.pem"))
        qtr("install", *trusted, "--server", server.url)
        assert _wrong(qtr("check", *trusted)) == []
        monkeypatch.setenv("OPENSEARCH_PASSWORD", "a guess")
        with pytest.raises(QtrError, match="does not accept the login") as refused:
            qtr("check", *trusted)
        assert "a guess" not in str(refused.value)
        # The same settings in the environment.
        monkeypatch.setenv("OPENSEARCH_USER", "admin")
        monkeypatch.setenv("OPENSEARCH_PASSWORD", "a secret")
        monkeypatch.setenv("OPENSEARCH_CA", str(tmp_path / "ca.pem"))
        monkeypatch.setenv("OPENSEARCH_URL", f"https://localhost:{port}")
        assert qtr("remove")[0].startswith("deleted pipeline")
        for name in ("URL", "USER", "PASSWORD", "CA"):
            monkeypatch.delenv(f"OPENSEARCH_{name}")
        monkeypatch.setenv("OPENSEARCH_URL", opensearch_settings.url)


class TestCheckErrors:
    """`check` reports each error, and its remedy works."""

    @pytest.fixture
    def wired(self, server: Running, qtr: Qtr) -> Qtr:
        qtr("install", "--server", server.url)
        return qtr

    def test_not_installed(self, qtr: Qtr, name: str) -> None:
        ((what, remedy),) = _wrong(qtr("check"))
        assert what == f"OpenSearch has no connector {name!r}"
        assert "qtr opensearch install" in remedy

    def test_server_is_down(
        self, tmp_path: Path, qtr: Qtr, client: Any, index: str, name: str
    ) -> None:
        with running_server(tmp_path / "log", "-m", "bert2dnn") as running:
            qtr("install", "--server", running.url, "--model", "bert2dnn")
            assert _wrong(qtr("check", "--index", index, "--query", QUERY)) == []
        # The search succeeds without the server, in BM25's order.
        body = _body(size=5)
        plain = _search(client, index, body | {"ext": {}}, search_pipeline="_none")
        assert _search(client, index, body, search_pipeline=name) == plain
        ((what, remedy),) = _wrong(qtr("check"))
        assert what.startswith(f"OpenSearch's nodes do not reach the server at {running.url}")
        assert "Connection refused" in what
        assert "qtr serve --host 0.0.0.0" in remedy

    def test_server_hangs(
        self, qtr: Qtr, client: Any, index: str, name: str, tmp_path: Path
    ) -> None:
        with running_server(tmp_path / "log", "-m", "match") as running:
            qtr("install", "--server", running.url, "--timeout", "1")
            workers = running.workers()
            for worker in workers:
                os.kill(worker, signal.SIGSTOP)
            try:
                # The search returns OpenSearch's order, within the time-out.
                body = _body(size=5)
                plain = _search(client, index, body | {"ext": {}}, search_pipeline="_none")
                through = {"search_pipeline": name, "request_timeout": 15}
                assert _search(client, index, body, **through) == plain
                ((what, _),) = _wrong(qtr("check"))
                assert what.startswith("OpenSearch's nodes do not reach the server")
            finally:
                for worker in workers:
                    os.kill(worker, signal.SIGCONT)

    def test_other_server_at_the_address(
        self, qtr: Qtr, opensearch_settings: OpenSearchSettings
    ) -> None:
        qtr("install", "--server", opensearch_settings.url)
        ((what, remedy),) = _wrong(qtr("check"))
        assert what.endswith(" is not the address of 'qtr serve', or /v2/rerank is not its route")
        assert "with the address that 'qtr serve' prints" in remedy

    def test_server_without_index_cannot_rerank_ids(self, qtr: Qtr, server: Running) -> None:
        qtr("install", "--server", server.url, "--ids")
        ((what, remedy),) = _wrong(qtr("check"))
        assert what.startswith("the server cannot rerank ids")
        assert "--no-ids" in remedy
        qtr("install", "--no-ids")
        assert _wrong(qtr("check")) == []

    @pytest.mark.parametrize("metrics", ["403", "elsewhere"])
    def test_unreadable_metrics_are_not_an_error(
        self, qtr: Qtr, server: Running, index: str, metrics: str
    ) -> None:
        """A proxy refuses /metrics, or responds with a page of its own."""
        with _proxy(server.url, metrics) as port:
            qtr("install", "--server", f"http://127.0.0.1:{port}")
            assert _wrong(qtr("check", "--index", index, "--query", QUERY)) == []

    def test_address_is_not_trusted(self, wired: Qtr, client: Any, server: Running) -> None:
        with _set(client, **{TRUSTED_ENDPOINTS: ["^https://api\\.example\\.org/.*$"]}):
            ((what, remedy),) = _wrong(wired("check"))
            assert what.startswith(f"ml-commons does not trust {server.url}/v2/rerank")
            assert "which adds the pattern and keeps the others" in remedy
            wired("install", "--server", server.url)
            assert _wrong(wired("check")) == []

    def test_private_addresses_are_refused(self, wired: Qtr, client: Any, server: Running) -> None:
        with _set(client, **{PRIVATE_ADDRESSES: False}):
            ((what, remedy),) = _wrong(wired("check"))
            assert what == f"ml-commons refuses {server.url} as a private address"
            assert f"sets {PRIVATE_ADDRESSES}: true" in remedy
            wired("install", "--server", server.url)
            assert _wrong(wired("check")) == []

    def test_model_is_not_deployed(
        self, wired: Qtr, client: Any, server: Running, name: str
    ) -> None:
        (model,) = client.transport.perform_request(
            "POST",
            "/_plugins/_ml/models/_search",
            body={"query": {"term": {"name.keyword": name}}},
        )["hits"]["hits"]
        client.transport.perform_request("POST", f"/_plugins/_ml/models/{model['_id']}/_undeploy")
        (what, remedy), *_ = _wrong(wired("check"))
        assert what.startswith(f"model {model['_id']} is not deployed: its state is UNDEPLOYED")
        assert "which deploys it" in remedy
        wired("install", "--server", server.url)
        assert _wrong(wired("check")) == []

    def test_key_is_wrong(self, wired: Qtr, server: Running) -> None:
        wired.key("an-old-key")
        wired("install", "--server", server.url)
        ((what, remedy),) = _wrong(wired("check"))
        assert what == "the server refuses the API key that the connector sends"
        assert "QTR_API_KEYS" in remedy
        wired.key(KEY)
        wired("install", "--server", server.url)
        assert _wrong(wired("check")) == []

    def test_server_lacks_the_model(self, wired: Qtr, server: Running) -> None:
        wired("install", "--server", server.url, "--model", "huge")
        ((what, remedy),) = _wrong(wired("check"))
        assert "the server has no model 'huge'" in what
        assert "qtr serve" in remedy

    def test_field_is_not_in_the_mapping(self, qtr: Qtr, server: Running, index: str) -> None:
        qtr("install", "--server", server.url, "--field", "headline")
        found = _wrong(qtr("check", "--index", index))
        assert found[0][0].startswith(f"index {index} has no field headline in its mapping")
        assert "--field" in found[0][1]

    def test_search_without_total_hits(self, wired: Qtr, index: str, tmp_path: Path) -> None:
        search = tmp_path / "search.json"
        search.write_text(json.dumps(_body() | {"track_total_hits": False}))
        said, hidden = _wrong(wired("check", "--index", index, "--search", str(search)))
        assert said[0].startswith("the search has track_total_hits: false")
        assert hidden[0].startswith("the search came back in OpenSearch's order")
        assert hidden[1] == "leave track_total_hits out of the search, or give it a number"

    def test_search_without_ext_rerank(self, wired: Qtr, index: str, tmp_path: Path) -> None:
        search = tmp_path / "search.json"
        search.write_text(json.dumps(_body() | {"ext": {}}))
        said, hidden = _wrong(wired("check", "--index", index, "--search", str(search)))
        assert said[0].startswith("the search has no ext.rerank")
        assert "query_text" in hidden[1]

    def test_search_without_source(self, wired: Qtr, index: str, tmp_path: Path) -> None:
        search = tmp_path / "search.json"
        search.write_text(json.dumps(_body(5) | {"_source": False}))
        found = _wrong(wired("check", "--index", index, "--search", str(search)))
        assert found[0][0] == "the search has _source: false, and the server gets empty texts"
        assert found[1][0].startswith("no hit of the search has title")
        search.write_text(json.dumps(_body(5) | {"_source": ["brand"]}))
        ((what, remedy),) = _wrong(wired("check", "--index", index, "--search", str(search)))
        assert what.startswith("no hit of the search has title")
        assert remedy.startswith("let the search return title in _source")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"sort": [{"brand.keyword": "asc"}]}, "the pipeline overrides that"),
            ({"size": 2_000}, "OpenSearch refuses the search with the pipeline: Result window"),
            ({"size": 0}, "the search has no hits"),
            ({"ext": None}, "the search has no ext.rerank"),
            ({"ext": []}, "the search has no ext.rerank"),
        ],
    )
    def test_search_that_cannot_be_reranked(
        self, wired: Qtr, index: str, tmp_path: Path, body: dict[str, Any], message: str
    ) -> None:
        search = tmp_path / "search.json"
        search.write_text(json.dumps(_body() | body))
        found = _wrong(wired("check", "--index", index, "--search", str(search)))
        assert any(message in what for what, _ in found)

    def test_server_with_the_index_of_another_load(
        self, qtr: Qtr, index: str, client: Any, tmp_path: Path
    ) -> None:
        stale = [Product(id=str(n), title=title) for n, title in enumerate(TITLES[:4])]
        build_small_index(tmp_path / "index", stale, ["twin", "match"])
        options = ("-m", "match", "--index", tmp_path / "index")
        for number in range(len(TITLES)):
            client.update(index=index, id=str(number), body={"doc": {"id": str(number)}})
        client.indices.refresh(index=index)
        with running_server(tmp_path / "log", *options) as running:
            qtr("install", "--server", running.url, "--ids")
            ((what, remedy),) = _wrong(qtr("check", "--index", index, "--query", QUERY))
            assert what.startswith("the server does not know some of the hits' ids")
            assert "start 'qtr serve' again" in remedy

    def test_failure_hidden_by_the_pipeline(
        self, wired: Qtr, index: str, client: Any, name: str
    ) -> None:
        # Somebody changed the pipeline's model to one that does not exist.
        pipeline = client.transport.perform_request("GET", f"/_search/pipeline/{name}")[name]
        pipeline["response_processors"][0]["rerank"]["ml_opensearch"]["model_id"] = "gone"
        client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=pipeline)
        other, hidden = _wrong(wired("check", "--index", index, "--query", QUERY))
        assert other[0].startswith(f"search pipeline {name} reranks by model gone, not by ")
        assert hidden[0].startswith("the search came back in OpenSearch's order")
        assert "gone" in hidden[1] or "model" in hidden[1]

    def test_pipeline_is_missing(self, wired: Qtr, client: Any, name: str) -> None:
        client.transport.perform_request("DELETE", f"/_search/pipeline/{name}")
        ((what, _),) = _wrong(wired("check"))
        assert what == f"there is no search pipeline {name}"

    def test_search_without_hits(self, wired: Qtr, index: str) -> None:
        ((what, _),) = _wrong(wired("check", "--index", index, "--query", "zzzz"))
        assert what.startswith("the search has no hits")

    def test_index_without_the_default_pipeline(self, wired: Qtr, index: str, name: str) -> None:
        lines = wired("check", "--index", index)
        assert any(
            f"only searches with search_pipeline={name} are reranked" in line for line in lines
        )

    def test_opensearch_is_down(self, qtr: Qtr) -> None:
        with pytest.raises(QtrError, match="does not respond; start it"):
            qtr("check", "--url", f"http://127.0.0.1:{_free_port()}")


def test_pipeline_ranks_as_the_library_and_above_bm25(
    client: Any, opensearch_settings: OpenSearchSettings, qtr: Qtr, name: str, tmp_path: Path
) -> None:
    """Index the sample shop, serve, install, search: the library's order, and better than BM25."""
    write_sample(tmp_path / "shop")
    alias = f"qtr-test-{uuid4().hex}"
    build_index(
        IndexSettings(
            catalog=tmp_path / "shop" / "catalog.jsonl",
            index=tmp_path / "index",
            engine="opensearch",
            alias=alias,
            opensearch=opensearch_settings,
        ),
        [Scorer.load("twin"), Scorer.load("match")],
    )
    library = Reranker.load("match", index=tmp_path / "index")

    def searched(query: str, pipeline: str) -> list[Candidate]:
        body = {
            "size": 10,
            "query": bm25_query(query_words(query), Filters()),
            "_source": ["id", "title"],
        }
        if pipeline != "_none":
            body["ext"] = {"rerank": {"query_context": {"query_text": query}}}
        hits = client.search(index=alias, body=body, params={"search_pipeline": pipeline})
        return [
            Candidate(hit["_source"]["id"], hit["_score"], rank)
            for rank, hit in enumerate(hits["hits"]["hits"], start=1)
        ]

    options = ("--index", tmp_path / "index")
    env = {"QTR_API_KEYS": KEY}
    qrels = tmp_path / "shop" / "judgments.csv"
    try:
        with running_server(tmp_path / "log", "-m", "match", *options, env=env) as running:
            for given in ((), ("--ids",)):
                qtr("install", "--server", running.url, *given)
                query = "waterproof jacket"
                first = client.search(
                    index=alias,
                    body={"size": 100, "query": bm25_query(query_words(query), Filters())},
                    params={"search_pipeline": "_none"},
                )["hits"]["hits"]
                ids = [hit["_source"]["id"] for hit in first]
                expected = library.rerank_ids(query, ids, 10, prior=2.0)
                found = searched(query, name)
                assert [hit.id for hit in found] == [hit.id for hit in expected]
                assert [hit.score for hit in found] == pytest.approx(
                    [hit.score for hit in expected], abs=1e-5
                )
            figures = measured(
                [
                    search_run("bm25", lambda query: searched(query, "_none"), qrels),
                    search_run("reranked", lambda query: searched(query, name), qrels),
                ],
                qrels,
            )
            assert figures["reranked"]["nDCG@10"] > figures["bm25"]["nDCG@10"] + 0.01
            # SearchEngine retrieves in BM25's order even if the index has a default pipeline.
            with SearchEngine.open(tmp_path / "index") as engine:
                before = engine.search("waterproof jacket", 20)
                qtr("install", "--server", running.url, "--ids", "--index", alias)
                assert engine.search("waterproof jacket", 20).hits == before.hits
        # Without the server: BM25's order, and `check` reports why.
        plain = [hit.id for hit in searched("waterproof jacket", "_none")]
        assert [hit.id for hit in searched("waterproof jacket", name)] == plain
        ((what, _),) = _wrong(qtr("check"))
        assert "do not reach the server" in what
    finally:
        for stored in client.indices.get(index=f"{alias}*"):
            client.indices.delete(index=stored)
