"""The lexical contract on a real OpenSearch node, and loading behind an alias."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest

from indexer.bulk import FailedProduct, bulk_load
from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import (
    CatalogIndexError,
    DataError,
    EngineUnavailableError,
    SettingsError,
)
from qtr_rerank.records import Product
from qtr_rerank.retrieve.client_opensearch import connect
from qtr_rerank.retrieve.lexical_opensearch import OpenSearchLexical
from tests.lexical_contract import SHOP, Build, LexicalContract

MUGS = tuple(Product(id=f"mug-{n}", title=f"mug number {n}") for n in range(3))


@contextmanager
def _own_alias(settings: OpenSearchSettings) -> Iterator[str]:
    """A unique name, since the node may hold other data; its indices are deleted at the end."""
    name = f"qtr-test-{uuid4().hex}"
    yield name
    with closing(connect(settings)) as client:
        for index in client.indices.get(index=f"{name}*"):
            client.indices.delete(index=index)


@pytest.fixture
def client(opensearch_settings: OpenSearchSettings) -> Iterator[Any]:
    with closing(connect(opensearch_settings)) as client:
        yield client


@pytest.fixture
def alias(opensearch_settings: OpenSearchSettings) -> Iterator[str]:
    with _own_alias(opensearch_settings) as name:
        yield name


@pytest.fixture(scope="module")
def shop_alias(opensearch_settings: OpenSearchSettings) -> Iterator[str]:
    # Loaded once: no contract test changes the shop.
    with _own_alias(opensearch_settings) as alias:
        bulk_load(opensearch_settings, alias, SHOP)
        yield alias


@pytest.fixture
def unused_port() -> Iterator[int]:
    # Bound but not listening, so that connections are refused during the test.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.opensearch
class TestOpenSearch(LexicalContract):
    @pytest.fixture
    def build(self, opensearch_settings: OpenSearchSettings, alias: str) -> Iterator[Build]:
        opened: list[OpenSearchLexical] = []

        def build(products: Sequence[Product]) -> OpenSearchLexical:
            report = bulk_load(opensearch_settings, alias, products)
            assert report.failed == ()
            opened.append(OpenSearchLexical.connect(opensearch_settings, alias))
            return opened[-1]

        yield build
        for index in opened:
            index.close()

    @pytest.fixture
    def shop(
        self, opensearch_settings: OpenSearchSettings, shop_alias: str
    ) -> Iterator[OpenSearchLexical]:
        with closing(OpenSearchLexical.connect(opensearch_settings, shop_alias)) as index:
            yield index

    def test_more_hits_than_the_result_window_are_read_in_pages(self, build: Build) -> None:
        # One tie of 10,005 products: OpenSearch returns at most 10,000 in one response.
        products = [Product(id=f"{n:05}", title="mug") for n in range(10_005)]
        hits = build(products).search("mug", 10_003)
        assert [hit.id for hit in hits] == [product.id for product in products[:10_003]]
        assert hits[-1].rank == 10_003


@pytest.mark.opensearch
class TestBulkLoad:
    def test_alias_moves_to_the_newest_and_the_previous_is_kept(
        self, opensearch_settings: OpenSearchSettings, alias: str, client: Any
    ) -> None:
        versions = [
            bulk_load(opensearch_settings, alias, MUGS[: n + 1]).index for n in range(len(MUGS))
        ]
        assert list(client.indices.get_alias(name=alias)) == [versions[-1]]
        assert sorted(client.indices.get(index=f"{alias}-*")) == versions[-2:]
        assert len(OpenSearchLexical.connect(opensearch_settings, alias)) == len(MUGS)

    def test_indices_of_others_are_kept(
        self, opensearch_settings: OpenSearchSettings, alias: str, client: Any
    ) -> None:
        others = [f"{alias}-backup", f"{alias}-2-20200101t000000000000"]
        for name in others:
            client.indices.create(index=name)
        for _ in range(3):
            bulk_load(opensearch_settings, alias, MUGS)
        assert all(client.indices.exists(index=name) for name in others)

    def test_refused_products_are_reported_and_the_others_loaded(
        self, opensearch_settings: OpenSearchSettings, alias: str
    ) -> None:
        refused = [
            Product(id="mug-0", title="a mug with an id that was there"),
            Product(id="endless", title="mug", price=float("inf")),
            Product(id="x" * 513, title="mug with a very long id"),
            Product(id="", title="mug without an id"),
            Product(id="half", title="half a \ud83e character"),
            Product(id="object", title="mug", extra={"no": object()}),
        ]
        report = bulk_load(opensearch_settings, alias, [*MUGS, *refused, MUGS[0]])
        assert report.count == len(MUGS)
        assert [(failed.id, failed.position) for failed in report.failed] == [
            *((product.id, 3 + place) for place, product in enumerate(refused)),
            ("mug-0", 9),
        ]
        assert all(failed.reason for failed in report.failed)
        assert report.failed[-1] == FailedProduct(
            "mug-0", 9, "a product with this id was loaded before it"
        )

    def test_position_of_each_product_is_stored(
        self, opensearch_settings: OpenSearchSettings, alias: str, client: Any
    ) -> None:
        bulk_load(opensearch_settings, alias, MUGS)
        assert [
            client.get(index=alias, id=product.id)["_source"]["position"] for product in MUGS
        ] == [0, 1, 2]

    @pytest.mark.parametrize(
        ("products", "error", "says"),
        [
            pytest.param([], DataError, "no products", id="empty"),
            pytest.param(
                [Product(id="x" * 600, title="mug")], CatalogIndexError, "all 1", id="all refused"
            ),
        ],
    )
    def test_load_without_products_does_not_move_the_alias(
        self,
        opensearch_settings: OpenSearchSettings,
        alias: str,
        client: Any,
        products: list[Product],
        error: type[Exception],
        says: str,
    ) -> None:
        before = bulk_load(opensearch_settings, alias, MUGS).index
        with pytest.raises(error, match=says):
            bulk_load(opensearch_settings, alias, products)
        assert list(client.indices.get(index=f"{alias}*")) == [before]

    def test_failed_load_does_not_move_the_alias(
        self, opensearch_settings: OpenSearchSettings, alias: str, client: Any
    ) -> None:
        def broken() -> Iterator[Product]:
            yield from MUGS
            raise DataError("row 4 is no product")

        before = bulk_load(opensearch_settings, alias, MUGS).index
        with pytest.raises(DataError, match="row 4"):
            bulk_load(opensearch_settings, alias, broken())
        assert list(client.indices.get(index=f"{alias}*")) == [before]

    def test_index_with_the_name_of_the_alias_is_refused(
        self, opensearch_settings: OpenSearchSettings, alias: str, client: Any
    ) -> None:
        client.indices.create(index=alias)
        with pytest.raises(CatalogIndexError, match="expected an alias"):
            bulk_load(opensearch_settings, alias, MUGS)
        assert client.indices.exists(index=alias)

    def test_invalid_alias_is_explained(self, opensearch_settings: OpenSearchSettings) -> None:
        with pytest.raises(CatalogIndexError, match="must be lowercase"):
            bulk_load(opensearch_settings, "Catalog", MUGS)

    def test_replicas_are_set_after_the_load(
        self, opensearch_settings: OpenSearchSettings, alias: str, client: Any
    ) -> None:
        index = bulk_load(opensearch_settings, alias, MUGS, replicas=1).index
        settings = client.indices.get_settings(index=index)[index]["settings"]["index"]
        assert settings["number_of_replicas"] == "1"
        assert "refresh_interval" not in settings


@pytest.mark.opensearch
class TestConnect:
    def test_unknown_alias_is_named_with_the_remedy(
        self, opensearch_settings: OpenSearchSettings
    ) -> None:
        with pytest.raises(CatalogIndexError, match=r"'qtr-no-such'.*python -m indexer"):
            OpenSearchLexical.connect(opensearch_settings, "qtr-no-such")

    def test_deleted_index_is_named(
        self, opensearch_settings: OpenSearchSettings, alias: str, client: Any
    ) -> None:
        index = bulk_load(opensearch_settings, alias, MUGS).index
        lexical = OpenSearchLexical.connect(opensearch_settings, alias)
        client.indices.delete(index=index)
        for request in (lambda: lexical.search("mug", 1), lambda: len(lexical)):
            with pytest.raises(CatalogIndexError, match="no such index"):
                request()
        lexical.close()

    def test_index_with_another_mapping_is_explained(
        self, opensearch_settings: OpenSearchSettings, alias: str, client: Any
    ) -> None:
        client.indices.create(index=f"{alias}-other", body={"aliases": {alias: {}}})
        lexical = OpenSearchLexical.connect(opensearch_settings, alias)
        with pytest.raises(CatalogIndexError, match="make the index again"):
            lexical.search("mug", 1)
        lexical.close()


class TestConnectWithoutANode:
    def test_missing_node_is_named_without_the_login(self, unused_port: int) -> None:
        url = f"http://user:secret@127.0.0.1:{unused_port}"
        with pytest.raises(EngineUnavailableError, match="make opensearch") as caught:
            OpenSearchLexical.connect(OpenSearchSettings(url=url), "catalog")
        assert f"127.0.0.1:{unused_port}" in str(caught.value)
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("status", "says"),
        [
            (401, "OPENSEARCH_PASSWORD"),
            (403, "no permissions for the catalog.*permission, or set"),
            (429, "cannot respond now"),
            (503, "cannot respond now"),
        ],
    )
    def test_refusing_node_is_explained(self, status: int, says: str) -> None:
        # Responds as OpenSearch with its security plugin, or under load.
        class Refusing(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = b'{"error": {"reason": "no permissions for the catalog"}}'
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        with HTTPServer(("127.0.0.1", 0), Refusing) as server:
            settings = OpenSearchSettings(f"http://127.0.0.1:{server.server_port}", "shop", "x")
            # Connected before the thread starts: without opensearch-py the test ends here.
            lexical = OpenSearchLexical(connect(settings), settings.url, "catalog")
            thread = Thread(target=server.serve_forever)
            thread.start()
            try:
                with closing(lexical), pytest.raises(EngineUnavailableError, match=says):
                    len(lexical)
            finally:
                server.shutdown()
                thread.join()

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            (OpenSearchSettings(url="localhost:9200"), "OPENSEARCH_URL"),
            (OpenSearchSettings(url="ftp://localhost"), "OPENSEARCH_URL"),
            (OpenSearchSettings(user="admin"), "OPENSEARCH_PASSWORD"),
            (OpenSearchSettings(password="x"), "OPENSEARCH_USER"),
            (OpenSearchSettings(ca_file="/no/such/file.pem"), "OPENSEARCH_CA"),
        ],
    )
    def test_unusable_settings_are_named(self, settings: OpenSearchSettings, says: str) -> None:
        with pytest.raises(SettingsError, match=says):
            OpenSearchLexical.connect(settings, "catalog")
