"""The page of `qtr judge` as a client sees it: what it shows, and whom it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from qtr_rerank.errors import EngineUnavailableError
from qtr_rerank.judge.app import Judging, create_app
from qtr_rerank.judge.guidelines import GRADES
from qtr_rerank.judge.judgment_file import JudgmentFile
from qtr_rerank.judge.pool import QueryTexts
from qtr_rerank.judge.session import Session
from qtr_rerank.records import Product
from tests.judge_fixtures import HOSTILE, make_pool, make_run

PRODUCTS = {
    "P1": Product("P1", HOSTILE, "<i>Boil</i>", "Kettles", 19.5, "<img src=x onerror=alert(2)>"),
    "P2": Product("P2", "Mug", image="https://shop.example/mug.jpg", extra={"currency": "EUR"}),
    "P3": Product("P3", "Toaster", image="javascript:alert(1)", attributes={"power_w": 800}),
}


class Page:
    """The page of one session, with what a browser would send."""

    def __init__(self, session: Session, texts: QueryTexts, **options: object) -> None:
        self.session = session
        self.finished: list[bool] = []
        self.app = create_app(
            Judging(
                session,
                "anna",
                texts.texts,
                **{"product": PRODUCTS.__getitem__, **options},
                finish=lambda: self.finished.append(True),
            )
        )
        self.client: FlaskClient = self.app.test_client()

    def html(self) -> str:
        return self.client.get("/").get_data(as_text=True)

    def form(self, **fields: str) -> dict[str, str]:
        """The fields of the form that the page shows."""
        found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.html())
        return {name: unescape(value) for name, value in found} | fields


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    pool = make_pool(make_run("a", {"<u>2 l</u> kettle": ["P1", "P2", "P3"]}))
    file = JudgmentFile(tmp_path / "o.csv", "anna", QueryTexts(pool.queries))
    # With a single run, the most useful pair is that of its first rank: P1, P2, P3.
    opened = Session(pool, {}, file, order="useful")
    yield opened
    opened.close()


@pytest.fixture
def page(session: Session) -> Page:
    return Page(session, QueryTexts(session.comparison.pool.queries))


def test_page_shows_query_product_and_the_grades_meaning(page: Page) -> None:
    html = page.html()
    assert "&lt;u&gt;2 l&lt;/u&gt; kettle" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; Kettle &amp; &#34;Co&#34;" in html
    assert "&lt;img src=x onerror=alert(2)&gt;" in html
    assert "19.50" in html
    for grade in GRADES:
        assert grade.meaning in html
    assert "0 judged, 3 left" in html


def test_page_does_not_say_which_run_shows_a_product(page: Page) -> None:
    assert "a.trec" not in page.html()


def test_markup_of_a_catalog_stays_text(page: Page) -> None:
    html = page.html()
    assert re.findall(r"<script[^>]*>", html) == ['<script src="/static/judge.js" defer>']
    assert "<img" not in html


def test_only_pictures_with_an_address_or_a_drawing_are_shown(session: Session) -> None:
    texts = QueryTexts(session.comparison.pool.queries)
    page = Page(session, texts, picture=lambda product: f"<svg id='{product.id}'/>")
    assert 'src="data:image/svg+xml;base64,' in page.html()
    plain = Page(session, texts)
    for expected in (None, "https://shop.example/mug.jpg", None):
        pictures = re.findall(r'<img id="picture" src="([^"]*)"', plain.html())
        assert pictures == ([expected] if expected else [])
        plain.client.post("/grade", data=plain.form(rating="0"))


def test_grades_lead_to_the_next_pair_until_all_are_judged(page: Page) -> None:
    for rating in ("3", "0", "2"):
        response = page.client.post("/grade", data=page.form(rating=rating))
        assert response.status_code == 303
        assert response.location == "/"
    assert [graded.rating for graded in page.session.graded] == [3, 0, 2]
    assert "All pairs are judged" in page.html()
    assert page.client.post("/undo", data=page.form()).status_code == 303
    assert "2 judged, 1 left" in page.html()


def test_pair_that_another_window_judged_is_not_judged_twice(page: Page) -> None:
    form = page.form(rating="3")
    page.client.post("/grade", data=form)
    response = page.client.post("/grade", data={**form, "rating": "0"}, follow_redirects=True)
    assert "That pair was judged already" in response.get_data(as_text=True)
    assert [graded.rating for graded in page.session.graded] == [3]


def test_skip_and_finish(page: Page) -> None:
    form = page.form()
    page.client.post("/skip", data=form)
    assert page.form()["document"] != form["document"]
    assert "Finished" in page.client.post("/finish", data=form).get_data(as_text=True)
    assert page.finished == [True]


@pytest.mark.parametrize("rating", ["4", "-1", "1.5", "", "x" * 50])
def test_wrong_grade_is_refused(page: Page, rating: str) -> None:
    response = page.client.post("/grade", data=page.form(rating=rating))
    assert response.status_code == 400
    assert "expected 0, 1, 2 or 3" in response.get_data(as_text=True)
    assert page.session.graded == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/grade", "/skip", "/undo", "/finish"])
def test_forms_of_other_sites_are_refused(page: Page, path: str, headers: dict[str, str]) -> None:
    response = page.client.post(path, data=page.form(rating="3"), headers=headers)
    assert response.status_code == 403
    assert (page.session.graded, page.finished) == ([], [])
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    accepted = page.client.post(path, data=page.form(rating="3"), headers=own)
    assert accepted.status_code in (200, 303)


@pytest.mark.parametrize("token", ["", "guess", "é"])
def test_form_without_the_pages_token_is_refused(page: Page, token: str) -> None:
    response = page.client.post("/grade", data=page.form(rating="3", token=token))
    assert response.status_code == 403
    assert page.session.graded == []


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8126", 200), ("localhost", 200), ("evil.example", 400), ("192.168.1.7", 400)],
)
def test_only_local_names_of_this_machine_get_a_page(page: Page, host: str, status: int) -> None:
    for path in ("/", "/static/judge.js"):
        with page.client.get(path, headers={"Host": host}) as response:
            assert response.status_code == status


def test_every_response_forbids_other_sites_and_inline_scripts(page: Page) -> None:
    for path in ("/", "/static/judge.css", "/none"):
        with page.client.get(path) as response:
            headers = response.headers
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_engine_that_does_not_respond_is_explained(session: Session) -> None:
    def product(id: str) -> Product:
        raise EngineUnavailableError("OpenSearch does not respond")

    page = Page(session, QueryTexts(session.comparison.pool.queries), product=product)
    response = page.client.get("/")
    assert response.status_code == 502
    assert "OpenSearch does not respond" in response.get_data(as_text=True)
