"""The shop over a small real index: pages, JSON, errors and the command that serves it."""

from __future__ import annotations

import html
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from demo import create_app
from demo.pictures import picture_for
from qtr_rerank.errors import CatalogIndexError, EngineUnavailableError, UnknownIdError
from qtr_rerank.records import Facets, FacetValue, Filters, Product, SearchResult
from qtr_rerank.retrieve.dense_faiss import FaissDense
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.runtime.manifest import IndexManifest
from tests.demo_fixtures import BARE_ID, SCRIPT_ID, build_shop_index, make_hit, shop_catalog

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shop_index(tmp_path_factory.mktemp("shop") / "index")


@pytest.fixture(scope="module")
def client(index: Path) -> Iterator[FlaskClient]:
    app = create_app(index)
    yield app.test_client()
    app.extensions["shop"].engine.close()


def page(client: FlaskClient, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status, response.text
    return response.text


def api(client: FlaskClient, address: str, status: int = 200) -> dict[str, Any]:
    response = client.get(address)
    assert response.status_code == status, response.text
    content: dict[str, Any] = response.get_json()
    return content


def titles(text: str) -> list[str]:
    """The titles of the cards on a page, unescaped."""
    cards = re.findall(r'class="card-title"><a [^>]*>(.*?)</a>', text)
    return [html.unescape(title) for title in cards]


def test_home_page_shows_departments_with_pictures_and_suggestions(client: FlaskClient) -> None:
    text = page(client, "/")
    assert "headfones" in text
    assert "Kitchen" in text
    assert len(re.findall(r'class="tile"', text)) >= 12
    for picture in re.findall(r'src="(/picture/[^"]+)"', text):
        assert client.get(html.unescape(picture)).mimetype == "image/svg+xml"


def test_result_page_shows_query_cards_facets_and_times(client: FlaskClient) -> None:
    text = page(client, "/?q=red+kettle")
    assert re.search(r'<input id="q"[^>]* value="red kettle"', text)
    assert any("Kettle" in title for title in titles(text)[:3])
    assert re.search(
        r"results · retrieved in [\d.]+ ms · reranked in [\d.]+ ms · engine: embedded", text
    )
    assert 'name="brand"' in text
    assert 'name="price_min"' in text


@pytest.mark.parametrize("query", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_query_is_escaped(client: FlaskClient, query: str) -> None:
    response = client.get("/", query_string={"q": query})
    assert response.status_code == 200
    assert "<script>alert" not in response.text
    assert "<img src=x" not in response.text
    assert html.escape(query, quote=False).replace('"', "&#34;") in response.text
    response = client.get("/api/search", query_string={"q": query})
    assert response.mimetype == "application/json"
    assert response.get_json()["query"] == query


@pytest.mark.parametrize("address", ["/?q=script+alert+kettle+co", "/product/x/%3Cscript%3E"])
def test_product_fields_are_escaped(client: FlaskClient, address: str) -> None:
    text = page(client, address)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert re.findall(r"<script(?! src=)", text) == []
    assert "<img src=x" not in text
    assert "<b>Bold" not in text
    assert "javascript:" not in text


def test_picture_of_an_id_with_slashes_is_cached_by_etag(client: FlaskClient) -> None:
    (expected,) = [each for each in shop_catalog() if each.id == SCRIPT_ID]
    picture = client.get("/picture/x/%3Cscript%3E.svg")
    assert picture.text == picture_for(expected)
    assert "max-age" in picture.headers["Cache-Control"]
    again = client.get(
        "/picture/x/%3Cscript%3E.svg", headers={"If-None-Match": picture.headers["ETag"]}
    )
    assert again.status_code == 304


def test_product_without_price_brand_and_rating_has_a_page(client: FlaskClient) -> None:
    text = page(client, f"/product/{BARE_ID}")
    assert "Unpriced kettle without brand" in text
    assert "None" not in text
    assert "Unpriced kettle without brand" in titles(page(client, "/?q=unpriced+kettle"))


@pytest.mark.parametrize(
    "address",
    [
        "page=abc",
        "page=-1",
        "page=999999999999",
        "size=1e9",
        "sort=xxx",
        "stage=yyy",
        "view=zzz",
        "price_min=foo",
        "price_max=nan",
        "price_min=9&price_max=1",
        "department=Moon",
        "q=" + "word+" * 500,
    ],
)
def test_invalid_value_is_a_notice_on_a_page_and_an_error_in_json(
    client: FlaskClient, address: str
) -> None:
    text = page(client, f"/?q=kettle&{address}" if not address.startswith("q=") else f"/?{address}")
    assert 'class="notice"' in text
    assert "expected" in text
    body = f"/api/search?q=kettle&{address}" if not address.startswith("q=") else address
    response = api(client, body if body.startswith("/") else f"/api/search?{body}", 400)
    (problem,) = response["error"]["problems"]
    assert problem["parameter"] in response["error"]["message"]
    assert problem["expected"]


@pytest.mark.parametrize("address", ["/api/search", "/api/search?q=+", "/api/search?q=tea&k=1e9"])
def test_json_rejects_an_empty_query_and_unknown_arguments(
    client: FlaskClient, address: str
) -> None:
    assert api(client, address, 400)["error"]["problems"][0]["expected"]


@pytest.mark.parametrize("address", ["/?q=tea&k=1e9&utm_source=mail", "/?q=%00%FF%F0", "/?q=a&q=b"])
def test_page_ignores_unknown_and_repeated_arguments(client: FlaskClient, address: str) -> None:
    assert "<main" in page(client, address)


def test_json_hits_are_in_order_with_both_ranks(client: FlaskClient) -> None:
    response = api(client, "/api/search?q=kettle&size=2")
    assert set(response) >= {"query", "total", "hits", "facets", "times_ms", "engine", "degraded"}
    hits = response["hits"]
    assert [each["rank"] for each in hits] == [1, 2]
    assert set(hits[0]) >= {
        *("id", "title", "brand", "price", "rank"),
        *("score", "first_rank", "first_score", "stage"),
    }
    assert all(0 <= each["score"] <= 1 for each in hits)
    for each in hits:
        assert 0 <= each["explain"][each["stage"]] <= 1
        assert each["explain"]["first_rank"] == each["first_rank"]
        assert {"bm25", "lexical_rank"} <= set(each["explain"])
    assert next(iter(response["times_ms"])) == "lexical"
    assert [*response["times_ms"]][-1] == "total"
    assert api(client, "/api/search?q=kettle&size=2&page=2")["hits"][0]["rank"] == 3
    first = api(client, "/api/search?q=kettle&size=2&stage=retrieve")["hits"]
    assert [each["first_rank"] for each in first] == [1, 2]
    assert {each["stage"] for each in first} == {"retrieve"}


def test_page_beyond_the_last_shows_the_last_and_is_empty_in_json(
    client: FlaskClient,
) -> None:
    address = "?q=kettle&category=Kettles&page=9"
    text = page(client, f"/{address}")
    assert titles(text)
    assert 'class="notice"' in text
    response = api(client, f"/api/search{address}")
    assert response["hits"] == []
    assert response["total"] > 0


def test_filtering_by_a_facet_value_gives_its_count(client: FlaskClient) -> None:
    facets = api(client, "/api/search?q=kettle")["facets"]
    for parameter in ("brand", "category"):
        for value in facets[parameter][:3]:
            response = client.get(
                "/api/search", query_string={"q": "kettle", parameter: value["value"]}
            )
            found = response.get_json()
            assert found["total"] == value["count"]
            assert {each[parameter] for each in found["hits"]} == {value["value"]}


def test_price_filter_and_price_sort(client: FlaskClient) -> None:
    response = api(client, "/api/search?q=headphones&price_min=20&price_max=150&sort=price-asc")
    prices = [each["price"] for each in response["hits"]]
    assert prices
    assert prices == sorted(prices)
    assert prices[0] >= 20
    assert prices[-1] <= 150
    down = api(client, "/api/search?q=headphones&sort=price-desc")["hits"]
    assert [each["price"] for each in down] == sorted((e["price"] for e in down), reverse=True)


def test_department_shows_only_its_products_and_categories(client: FlaskClient) -> None:
    products = {each.id: each for each in shop_catalog()}
    response = api(client, "/api/search?department=Kitchen&size=100")
    kitchen = {
        each.category for each in products.values() if each.extra.get("department") == "Kitchen"
    }
    assert {each["category"] for each in response["hits"]} <= kitchen
    assert response["total"] == sum(each.category in kitchen for each in products.values())
    text = page(client, "/?department=Kitchen")
    boxes = re.findall(r'name="category" value="([^"]+)"', text)
    assert {html.unescape(box) for box in boxes} <= kitchen


def test_comparison_shows_both_orders_and_times(client: FlaskClient) -> None:
    text = page(client, "/?q=bluetooth+speaker&view=compare")
    orders = re.findall(r'<ol class="ranks">(.*?)</ol>', text, re.S)
    assert len(orders) == 2
    for order in orders:
        assert re.findall(r'class="place">(\d+)<', order) == [str(n) for n in range(1, 21)]
    response = api(client, "/api/search?q=bluetooth+speaker&size=20")
    shown = [html.unescape(each) for each in re.findall(r'data-product="([^"]+)"', orders[1])]
    assert shown == [each["id"] for each in response["hits"]]
    for stage in ("lexical", "dense", "total"):
        assert re.search(rf"{stage}</dt><dd>[\d.]+ ms", text), stage


@pytest.mark.parametrize(
    ("address", "retrievals"),
    [
        ("/", 0),
        ("/product/P00001", 0),
        ("/?q=kettle", 1),
        ("/?q=kettle&page=2", 1),
        ("/?q=kettle&sort=price-asc", 1),
        ("/?q=kettle&stage=retrieve", 1),
        ("/?q=kettle&view=compare", 1),
        ("/api/search?q=kettle", 1),
        ("/?department=Kitchen", 2),
        ("/?q=kettle&category=Kettles", 2),
        ("/?q=kettle&category=Kettles&brand=Kettler&price_min=5&price_max=90", 2),
        ("/api/search?q=kettle&category=Kettles&price_max=90", 2),
    ],
)
def test_retrievals_of_each_engine_per_page(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, address: str, retrievals: int
) -> None:
    page(client, "/")  # reads the departments once
    calls = {
        "lexical": count_calls(monkeypatch, TantivyLexical, "matches"),
        "dense": count_calls(monkeypatch, FaissDense, "search"),
    }
    page(client, address)
    assert {engine: len(made) for engine, made in calls.items()} == {
        "lexical": retrievals,
        "dense": retrievals,
    }


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[str]:
    """Record the calls of a method, which still runs."""
    calls: list[str] = []
    method = getattr(owner, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        return method(*arguments, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_filters_without_results_can_be_cleared(client: FlaskClient) -> None:
    text = page(client, "/?q=kettle&price_min=100000")
    assert "with these filters" in text
    assert "Clear all filters" in text
    assert "?q=kettle" in re.findall(r'class="clear" href="([^"]+)"', text)


@pytest.mark.parametrize("query", ["!!!", "???", "xqzzt blorf"])
def test_poor_query_gets_tips_and_departments(client: FlaskClient, query: str) -> None:
    text = page(client, f"/?q={query}")
    assert "We found nothing" in text
    assert "Try fewer words" in text
    assert "Popular departments" in text


@pytest.mark.parametrize("address", ["/nowhere", "/product/none", "/picture/none.svg"])
def test_unknown_address_is_a_404_page(client: FlaskClient, address: str) -> None:
    text = page(client, address, 404)
    assert "home page" in text
    assert "Traceback" not in text


def test_errors_under_api_are_json(client: FlaskClient) -> None:
    assert api(client, "/api/nowhere", 404)["error"]["status"] == 404
    assert len(client.get("/api/" + "x" * 10_000).data) < 300
    response = client.post("/api/search")
    assert response.status_code == 405
    assert response.get_json()["error"]["status"] == 405


def test_health_gives_engine_and_product_count(client: FlaskClient) -> None:
    response = api(client, "/health")
    assert response == {"status": "ok", "engine": "embedded", "products": len(shop_catalog())}


@pytest.mark.parametrize(
    "address", ["/", "/?q=tea", "/nowhere", "/api/search?q=tea", "/static/shop.css"]
)
def test_responses_load_nothing_from_other_hosts(client: FlaskClient, address: str) -> None:
    response = client.get(address, buffered=True)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    if response.mimetype == "text/html":
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//', response.text) == []
        # The content security policy blocks inline styles and handlers.
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=", response.text) == []


class BareRetrieval:
    """All of a bare catalog in catalog order, cut by a deadline before any reranking."""

    def __init__(self, query: str, ids: Sequence[str]) -> None:
        self._query = query
        self._ids = ids

    def first(self, k: int) -> SearchResult:
        hits = tuple(make_hit(id, at, at, None) for at, id in enumerate(self._ids, start=1))
        times = {"lexical": 1.0, "total": 1.2}
        return SearchResult(self._query, hits[:k], len(hits), times, "bare", degraded=True)

    def reranked(self, k: int) -> SearchResult:
        return self.first(k)

    def facets(self) -> Facets:
        return Facets(brands=() if self._query else (FacetValue("Acme", 3),))


class BareCatalog:
    """An engine over a catalog of titles only, as Home Depot's: no price, brand or category."""

    engine = "bare"
    down = False

    def __init__(self, names: Sequence[str]) -> None:
        self._products = {str(at): Product(str(at), name) for at, name in enumerate(names)}

    def retrieve(
        self, query: str, filters: Filters | None = None, *, candidates: int = 1000
    ) -> BareRetrieval:
        self._check_connection()
        return BareRetrieval(query, [] if filters else list(self._products)[:candidates])

    def products(self, ids: Sequence[str]) -> list[Product]:
        self._check_connection()
        missing = [id for id in ids if id not in self._products]
        if missing:
            raise UnknownIdError(f"the index holds no product {missing[0]!r}")
        return [self._products[id] for id in ids]

    def __len__(self) -> int:
        self._check_connection()
        return len(self._products)

    def close(self) -> None:
        """Nothing to close."""

    def _check_connection(self) -> None:
        if self.down:
            raise EngineUnavailableError("http://127.0.0.1:9 does not respond; start OpenSearch")


def test_catalog_of_titles_only_has_a_shop() -> None:
    client = create_app(BareCatalog(["Hammer", "Deck screws", "Claw hammer"])).test_client()
    home = page(client, "/")
    assert "Acme" in home
    assert titles(home) == ["Hammer", "Deck screws", "Claw hammer"]
    text = page(client, "/?q=hammer")
    assert titles(text) == ["Hammer", "Deck screws", "Claw hammer"]
    assert "price_min" not in text
    assert "<select" not in text
    assert "Apply filters" not in text
    assert "ran out" in text  # the engine marked its result as degraded
    assert titles(page(client, "/?q=hammer&sort=price-asc")) == titles(text)


def test_unavailable_engine_gives_503_until_it_is_back() -> None:
    engine = BareCatalog(["Hammer"])
    client = create_app(engine, name="Tool <shed>").test_client()
    engine.down = True
    for address in ("/", "/?q=hammer", "/product/0"):
        text = page(client, address, 503)
        assert "does not respond" in text
        assert "Traceback" not in text
    assert re.search(r'<input id="q"[^>]* value="hammer"', page(client, "/?q=hammer", 503))
    assert 'href="/?q=hammer"' in page(client, "/?q=hammer", 503)
    for address in ("/api/search?q=hammer", "/health"):
        assert "start OpenSearch" in api(client, address, 503)["error"]["message"]
    engine.down = False
    assert titles(page(client, "/?q=hammer")) == ["Hammer"]


def test_unreachable_opensearch_gives_503_with_its_address(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opensearchpy", reason="opensearch-py is not installed")
    folder = tmp_path / "index"
    folder.mkdir()
    for each in index.iterdir():
        (folder / each.name).symlink_to(each)
    (folder / "index.json").unlink()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    manifest = IndexManifest.load(index)
    replace(manifest, engine="opensearch", alias="shop", url=url).save(folder)
    monkeypatch.setenv("OPENSEARCH_URL", url)
    client = create_app(folder).test_client()
    text = page(client, "/?q=kettle", 503)
    assert url in text
    assert "Traceback" not in text
    assert api(client, "/health", 503)["error"]["status"] == 503


def test_folder_without_an_index_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogIndexError, match="python -m indexer"):
        create_app(tmp_path)


def serve(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def test_command_prints_its_address_once_it_listens(index: Path) -> None:
    with serve("--index", str(index), "--port", "0", "--threads", "2") as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address), process.stderr
            with urllib.request.urlopen(f"{address}/health", timeout=30) as response:
                assert json.load(response)["status"] == "ok"
        finally:
            process.terminate()
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_command_explains_a_taken_port_and_a_missing_index(index: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        cases = {
            "is taken": ("--index", str(index), "--port", port),
            "python -m indexer": ("--index", str(tmp_path / "none"), "--port", "0"),
            "cannot listen": ("--index", str(index), "--port", "0", "--host", "256.1.1.1"),
        }
        for remedy, arguments in cases.items():
            with serve(*arguments) as process:
                out, err = process.communicate(timeout=60)
            assert (process.returncode, out) == (1, "")
            assert remedy in err
            assert len(err.splitlines()) == 1, err
