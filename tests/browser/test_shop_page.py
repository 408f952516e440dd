"""The shop in Chromium: by mouse and by keyboard, on a desktop and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request

pytestmark = pytest.mark.browser

DESKTOP = (1280, 900)
PHONE = (360, 740)
# Long enough for a busy machine of one core.
TIMEOUT_MS = 60_000
PAGES = {
    "home": "/",
    "results": "/?q=kettle",
    "sorted": "/?q=bluetooth+speaker&sort=price-asc",
    "department": "/?department=Kitchen&page=2",
    "compare": "/?q=bluetooth+speaker&view=compare",
    "product": "/product/P00001",
    "markup": "/product/x/%3Cscript%3E",
    "notices": "/?q=kettle&page=abc&sort=xxx&price_min=foo",
    "no results": "/?q=kettle&price_min=99999",
    "poor match": "/?q=!!!",
    "long query": "/?q=" + "w" * 300,
}


@contextmanager
def open_page(
    browser: Browser, shop: str, size: tuple[int, int] = DESKTOP, script: bool = True
) -> Iterator[Page]:
    """Open a page; fail on console errors, dialogs and requests to other hosts."""
    context = browser.new_context(
        base_url=shop,
        viewport={"width": size[0], "height": size[1]},
        java_script_enabled=script,
        reduced_motion="reduce",
    )
    context.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    def on_dialog(dialog: Dialog) -> None:
        errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def on_request(request: Request) -> None:
        if not request.url.startswith((shop, "data:")):
            errors.append(request.url)

    page = context.new_page()
    page.on("console", on_console)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", on_dialog)
    page.on("request", on_request)
    try:
        yield page
    finally:
        context.close()
    assert errors == []


def argument(page: Page, name: str) -> str | None:
    return parse_qs(urlsplit(page.url).query).get(name, [None])[0]


def expand_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")


def search(page: Page, query: str) -> None:
    box = page.get_by_label("Search the store")
    box.fill(query)
    with page.expect_navigation():
        box.press("Enter")
    page.get_by_role("heading", name=re.compile("Results for")).wait_for()


def card_titles(page: Page) -> list[str]:
    return page.locator(".card-title").all_inner_texts()


def test_suggestion_leads_to_results_and_to_a_product(browser: Browser, shop: str) -> None:
    with open_page(browser, shop) as page:
        page.goto("/")
        with page.expect_navigation():
            page.get_by_role("link", name=re.compile("nordwerk toaster")).click()
        assert page.get_by_label("Search the store").input_value() == "nordwerk toaster"
        title = card_titles(page)[0]
        with page.expect_navigation():
            page.locator(".card").first.click()
        assert page.get_by_role("heading", level=1).inner_text() == title
        # The picture is rendered.
        assert page.locator(".product-picture img").evaluate("image => image.naturalWidth") > 0


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_facets_prices_and_sorting(browser: Browser, shop: str, script: bool) -> None:
    with open_page(browser, shop, script=script) as page:
        page.goto("/")
        search(page, "kettle")
        apply = page.get_by_role("button", name="Apply filters")
        page.locator("input[name=category][value=Kettles]").check()
        if not script:
            apply.click()
        page.get_by_role("link", name="Remove filter Kettles").wait_for()
        assert argument(page, "category") == "Kettles"
        page.get_by_label("Lowest price").fill("15")
        apply.click()
        page.get_by_role("link", name=re.compile(r"Remove filter from \$15")).wait_for()
        assert argument(page, "price_max") in (None, "")
        page.get_by_label("Sort by").select_option("price-asc")
        if not script:
            page.get_by_role("button", name="Go").click()
        page.wait_for_url("**sort=price-asc**")
        shown = page.locator(".card-price").all_inner_texts()
        prices = [float(price.strip("$").replace(",", "")) for price in shown]
        assert prices == sorted(prices)
        assert prices[0] >= 15
        assert argument(page, "q") == "kettle"
        with page.expect_navigation():
            page.get_by_role("link", name="Clear all").click()
        assert argument(page, "category") is None


def test_next_and_first_page(browser: Browser, shop: str) -> None:
    with open_page(browser, shop) as page:
        page.goto("/?department=Kitchen")
        first = card_titles(page)
        page.get_by_role("link", name="Next").click()
        page.wait_for_url("**page=2**")
        assert not set(first) & set(card_titles(page))
        with page.expect_navigation():
            page.get_by_role("link", name="Page 1").click()
        assert card_titles(page) == first


def test_comparison_shows_both_orders_side_by_side(browser: Browser, shop: str) -> None:
    with open_page(browser, shop) as page:
        page.goto("/?q=bluetooth+speaker")
        best = card_titles(page)[0]
        # Wait for the stylesheet: without it, the columns are stacked.
        with page.expect_navigation():
            page.get_by_role("link", name="Compare", exact=True).click()
        columns = page.locator(".compare section")
        assert columns.count() == 2
        left, right = (columns.nth(at).bounding_box() for at in (0, 1))
        assert left is not None
        assert right is not None
        assert left["y"] == right["y"]
        assert right["x"] >= left["x"] + left["width"]
        assert columns.nth(1).locator("li a").first.inner_text() == best
        assert page.get_by_role("img", name="Time of each stage").is_visible()
        # Hovering over a product in one order highlights it in the other.
        row = columns.nth(1).locator("li").first
        row.hover()
        paired = page.locator(".paired")
        assert {each.get_attribute("data-product") for each in paired.all()} == {
            row.get_attribute("data-product")
        }
        search(page, "kettle")
        assert argument(page, "view") == "compare"


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_comparison_explains_each_place(browser: Browser, shop: str, script: bool) -> None:
    with open_page(browser, shop, script=script) as page:
        page.goto(PAGES["compare"])
        assert page.locator(".compare li details").count() == page.locator(".compare li").count()
        row = page.locator(".compare section").nth(1).locator("li").nth(2)
        title = row.locator("a").inner_text()
        summary = row.locator("summary")
        assert " ".join(summary.inner_text().split()) == f"Why here? Place 3: {title}"
        parts = row.locator("dl")
        assert not parts.is_visible()
        summary.focus()
        page.keyboard.press("Enter")
        assert parts.is_visible()
        assert re.search(r"Model\s+(less than |more than )?\d+ % likely", parts.inner_text())
        assert re.search(r"First stage\s+place \d+", parts.inner_text())
        page.keyboard.press("Enter")
        assert not parts.is_visible()


def test_keyboard_alone_leads_from_home_to_a_product(browser: Browser, shop: str) -> None:
    with open_page(browser, shop) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "q"
        page.keyboard.type("kettle/teapot")  # in the box, a slash is plain text
        page.keyboard.press("Enter")
        page.wait_for_url("**q=kettle%2Fteapot**")
        page.locator("input[name=category]").first.focus()
        page.keyboard.press("Space")
        page.wait_for_url("**category=**")
        page.locator("#sort").focus()
        page.keyboard.press("ArrowDown")
        assert argument(page, "sort") is None  # arrow keys do not submit
        page.keyboard.press("Tab")
        page.wait_for_url("**sort=price-asc**")
        link = page.locator(".card-title a").first
        link.focus()
        assert (
            page.locator(".card").first.evaluate("card => getComputedStyle(card).outlineStyle")
            == "solid"
        )
        page.keyboard.press("Enter")
        page.wait_for_url("**/product/**")


@pytest.mark.parametrize("name", PAGES)
def test_phone_does_not_scroll_sideways(browser: Browser, shop: str, name: str) -> None:
    with open_page(browser, shop, PHONE) as page:
        page.goto(PAGES[name])
        expand_all(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE[0]


def test_filters_are_a_drawer_on_a_phone_and_a_column_on_a_desktop(
    browser: Browser, shop: str
) -> None:
    with open_page(browser, shop, PHONE) as page:
        page.goto("/?q=kettle")
        checkbox = page.locator("input[name=category]").first
        assert not checkbox.is_visible()
        page.locator(".facets > summary").click()
        assert checkbox.is_visible()
    for script in (True, False):
        with open_page(browser, shop, DESKTOP, script) as page:
            page.goto("/?q=kettle")
            assert page.locator("input[name=category]").first.is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_controls_and_pictures_have_accessible_names(
    browser: Browser, shop: str, name: str
) -> None:
    """Every page has one h1, one main landmark, and a name for each control and picture."""
    with open_page(browser, shop) as page:
        page.goto(PAGES[name])
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.get_by_role("main").count() == 1
        assert page.get_by_role("search").count() == 1
        assert page.locator("html").get_attribute("lang") == "en"
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll(
                    'a, button, input:not([type=hidden]), select, summary')]
                .filter(each => !each.innerText?.trim() && !each.labels?.length)
                .map(each => each.outerHTML)"""
        )
        assert unnamed == []
        assert page.locator("img:not([alt])").count() == 0
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["home", "results", "compare", "notices", "product"])
def test_text_contrast(browser: Browser, shop: str, name: str, scheme: str) -> None:
    """WCAG AA: a contrast of 4.5 to 1 for all text on a plain background."""
    with open_page(browser, shop) as page:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(PAGES[name])
        expand_all(page)
        low_contrast = page.evaluate(
            """() => {
                const channels = text => (text.match(/[\\d.]+/g) || []).map(Number);
                const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
                    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
                    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
                const background = element => {
                    for (let at = element; at; at = at.parentElement) {
                        const colour = channels(getComputedStyle(at).backgroundColor);
                        if (colour.length === 3 || colour[3] === 1) return colour;
                    }
                    return [255, 255, 255];
                };
                const low = [];
                const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
                while (walker.nextNode()) {
                    const element = walker.currentNode.parentElement;
                    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
                    const colour = channels(getComputedStyle(element).color);
                    const [one, other] = [colour, background(element)].map(luminance)
                        .sort((a, b) => b - a);
                    const contrast = (one + 0.05) / (other + 0.05);
                    if (contrast < 4.5) low.push([element.className, contrast]);
                }
                return low;
            }"""
        )
        assert low_contrast == []


@pytest.mark.parametrize(
    "query", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}"]
)
def test_query_markup_is_inert(browser: Browser, shop: str, query: str) -> None:
    with open_page(browser, shop) as page:
        page.goto("/")
        box = page.get_by_label("Search the store")
        box.fill(query)
        with page.expect_navigation():
            box.press("Enter")
        assert page.get_by_label("Search the store").input_value() == query
        assert query in page.get_by_role("heading", level=1).inner_text()
        assert page.locator("main script, main img[src=x]").count() == 0


def test_product_markup_is_inert(browser: Browser, shop: str) -> None:
    with open_page(browser, shop) as page:
        page.goto(PAGES["markup"])
        assert page.get_by_role("heading", level=1).inner_text().startswith("<script>")
        assert page.locator("main script, main img[src=x]").count() == 0
