"""The rerank server's own page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from devtools.server_process import Running, running_server
from qtr_rerank import Reranker

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("server") / "log"
    with running_server(log, "-m", "match", "-m", "bert2dnn", env={"QTR_API_KEYS": "k1"}) as it:
        yield it


@pytest.fixture
def page(browser: Browser, server: Running) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1000, "height": 900})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(server.url)
    yield opened
    opened.close()
    assert errors == []


def test_page_shows_the_models_and_reranks_typed_titles(page: Page) -> None:
    models = page.locator("table").first.locator("tbody tr")
    assert [row.split("\t")[0] for row in models.all_inner_texts()] == [
        "match (default)",
        "bert2dnn",
    ]
    titles = ["Mug", "USB-C cable 2 m", "<b>Phone</b> case"]
    page.get_by_label("Query").fill("usb cable")
    page.get_by_label("Titles, one a line").fill("\n".join(titles) + "\n\n")
    page.get_by_label("Model").select_option("bert2dnn")
    page.get_by_label("API key").fill("k1")
    page.get_by_role("button", name="Rerank").click()
    page.wait_for_selector("#results:visible")
    rows = [row.split("\t") for row in page.locator("#results tbody tr").all_inner_texts()]
    ranked = Reranker.load("bert2dnn").rerank("usb cable", titles)
    assert [row[1] for row in rows] == [hit.document for hit in ranked]
    assert [row[3] for row in rows] == [f"{hit.score:.3f}" for hit in ranked]
    assert page.locator("#took").inner_text().startswith("3 titles in ")


def test_refusal_is_shown_as_text(page: Page) -> None:
    page.get_by_role("button", name="Rerank").click()
    page.wait_for_function("document.getElementById('error').textContent !== ''")
    assert "the API key is missing or not valid" in page.locator("#error").inner_text()
    assert page.locator("#results").is_hidden()


def test_page_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
