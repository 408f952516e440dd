"""The judging page in Chromium: by keyboard, by finger on a phone, and against other sites."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from demo.judge import drawn
from qtr_rerank.judge.app import Judging, create_app
from qtr_rerank.judge.judgment_file import read_graded
from qtr_rerank.judge.session import Session
from qtr_rerank.judge.work import JudgeSettings, Work
from tests.demo_fixtures import serving
from tests.judge_fixtures import HOSTILE, JudgeShop, judge_shop

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

pytestmark = pytest.mark.browser

TIMEOUT_MS = 60_000


@dataclass
class Open:
    """A page of one judge, open in a browser."""

    page: Page
    session: Session
    out: Path
    address: str
    finished: list[bool] = field(default_factory=list)

    @property
    def ratings(self) -> list[int]:
        """The grades in the file, from the disk."""
        return [graded.rating for graded in read_graded(self.out)[1]]

    def press(self, key: str) -> None:
        with self.page.expect_navigation():
            self.page.keyboard.press(key)

    def click(self, name: str) -> None:
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name).click()

    def shown(self) -> tuple[str, str]:
        return self.page.locator("#query").inner_text(), self.page.locator("#title").inner_text()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> JudgeShop:
    return judge_shop(tmp_path_factory.mktemp("judge"))


@contextmanager
def judging(
    browser: Browser,
    shop: JudgeShop,
    out: Path,
    size: tuple[int, int] = (1100, 900),
    script: bool = True,
) -> Iterator[Open]:
    """Open the page; fail on console errors and dialogs."""
    errors: list[str] = []
    with ExitStack() as stack:
        settings = JudgeSettings(shop.runs, shop.index, out, (shop.qrels,), "anna")
        work = stack.enter_context(Work.prepare(settings))
        session = work.session()
        stack.callback(session.close)
        finished: list[bool] = []
        app = create_app(
            Judging(
                session,
                "anna",
                work.texts.texts,
                work.catalog.product,
                drawn,
                finish=lambda: finished.append(True),
            )
        )
        address = stack.enter_context(serving(app))
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, java_script_enabled=script
        )
        stack.callback(context.close)
        context.set_default_timeout(TIMEOUT_MS)

        def on_dialog(dialog: Dialog) -> None:
            errors.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page = context.new_page()
        page.on("console", lambda each: errors.append(each.text) if each.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", on_dialog)
        page.goto(address)
        yield Open(page, session, out, address, finished)
    assert errors == []


def test_everything_is_judged_by_keyboard(
    browser: Browser, shop: JudgeShop, tmp_path: Path
) -> None:
    with judging(browser, shop, tmp_path / "out.csv") as judge:
        for key in ("3", "0", "2", "1"):
            judge.press(key)
        assert judge.ratings == [3, 0, 2, 1]
        seen = judge.shown()
        judge.press("s")
        assert judge.shown() != seen
        judge.press("u")
        assert judge.shown() == seen
        judge.press("u")
        assert judge.ratings == [3, 0, 2]
        assert judge.page.locator("#progress").inner_text() == "3 judged, 20 left"
        while judge.page.locator("#grades").count():
            judge.press("0")
        assert len(judge.ratings) == 23
        assert judge.page.locator("h1").inner_text() == "All pairs are judged"
        assert judge.page.locator("#state").inner_text() == "comparison settled: you may finish"
        judge.press("U")
        assert len(judge.ratings) == 22
        judge.click("Finish")
        assert judge.finished == [True]
        assert judge.page.locator("h1").inner_text() == "Finished"


def test_keys_held_down_or_with_ctrl_grade_nothing(
    browser: Browser, shop: JudgeShop, tmp_path: Path
) -> None:
    with judging(browser, shop, tmp_path / "out.csv") as judge:
        for options in ("{key: '3', repeat: true}", "{key: '3', ctrlKey: true}", "{key: '4'}"):
            judge.page.evaluate(f"document.dispatchEvent(new KeyboardEvent('keydown', {options}))")
        judge.press("2")
        assert judge.ratings == [2]


def test_tab_and_enter_grade_too(browser: Browser, shop: JudgeShop, tmp_path: Path) -> None:
    with judging(browser, shop, tmp_path / "out.csv") as judge:
        judge.page.get_by_role("button", name="Close").focus()
        judge.press("Enter")
        assert judge.ratings == [2]


def test_markup_in_query_and_product_is_text(
    browser: Browser, shop: JudgeShop, tmp_path: Path
) -> None:
    with judging(browser, shop, tmp_path / "out.csv") as judge:
        seen = set()
        while judge.page.locator("#grades").count():
            seen.add(judge.shown())
            judge.press("0")
    assert ("<u>2 l</u> kettle", HOSTILE) in seen


def test_product_has_its_picture_price_and_description(
    browser: Browser, shop: JudgeShop, tmp_path: Path
) -> None:
    with judging(browser, shop, tmp_path / "out.csv") as judge:
        while "Kettle number 3" not in judge.shown()[1]:
            judge.press("s")
        picture = judge.page.locator("#picture")
        picture.wait_for()
        assert picture.evaluate("image => image.naturalWidth") > 0
        assert judge.page.locator(".facts").inner_text() == "Boil & Co · Kettles · 13.00 EUR"
        assert judge.page.locator("#description").inner_text().startswith("It boils water.")
        judge.page.get_by_text("Attributes").click()
        assert judge.page.get_by_role("row", name="power w 2000").is_visible()


def test_page_works_without_javascript(browser: Browser, shop: JudgeShop, tmp_path: Path) -> None:
    with judging(browser, shop, tmp_path / "out.csv", script=False) as judge:
        judge.click("3 Exact")
        judge.click("Skip")
        judge.click("1 Related")
        judge.click("Undo")
        assert judge.ratings == [3]


def test_phone_has_all_grades_within_reach(
    browser: Browser, shop: JudgeShop, tmp_path: Path
) -> None:
    with judging(browser, shop, tmp_path / "out.csv", size=(360, 640)) as judge:
        for name in ("0 Irrelevant", "1 Related", "2 Close", "3 Exact", "s Skip", "u Undo"):
            box = judge.page.get_by_role("button", name=name).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= 640
            assert box["height"] >= 40
        assert judge.page.evaluate("document.documentElement.scrollWidth") <= 360
        judge.click("2 Close")
        assert judge.ratings == [2]


def test_guidelines_are_open_before_the_first_grade(
    browser: Browser, shop: JudgeShop, tmp_path: Path
) -> None:
    with judging(browser, shop, tmp_path / "out.csv") as judge:
        rule = judge.page.get_by_text("Torn between two grades")
        assert rule.is_visible()
        judge.press("0")
        assert rule.is_hidden()
        judge.page.get_by_text("What the grades mean").click()
        assert rule.is_visible()


def test_form_on_another_site_grades_nothing(
    browser: Browser, shop: JudgeShop, tmp_path: Path
) -> None:
    with judging(browser, shop, tmp_path / "out.csv") as judge:
        pair = judge.session.current
        assert pair is not None
        token = judge.page.locator("input[name=token]").first.get_attribute("value")
        evil = Flask("evil")
        fields = {"query": pair.query, "document": pair.document, "rating": "3", "token": token}
        inputs = "".join(f'<input name="{name}" value="{fields[name]}">' for name in fields)

        @evil.get("/")
        def attack() -> str:
            # Even a token that leaked does not help it.
            return (
                f'<form method="post" action="{judge.address}/grade">{inputs}<button>Win</button>'
            )

        with serving(evil) as site:
            other = browser.new_page()
            other.goto(site)
            with other.expect_navigation():
                other.get_by_role("button", name="Win").click()
            assert "403" in other.locator("h1").inner_text()
            other.close()
        assert judge.ratings == []


def test_two_windows_judge_a_pair_once(browser: Browser, shop: JudgeShop, tmp_path: Path) -> None:
    with judging(browser, shop, tmp_path / "out.csv") as judge:
        second = judge.page.context.new_page()
        second.goto(judge.address)
        judge.press("3")
        with second.expect_navigation():
            second.keyboard.press("0")
        assert second.get_by_role("status").inner_text().startswith("That pair was judged already")
        assert judge.ratings == [3]
        # The notice goes with the next grade.
        with second.expect_navigation():
            second.keyboard.press("1")
        assert second.get_by_role("status").count() == 0
