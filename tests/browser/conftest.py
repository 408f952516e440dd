"""The machine's own Chromium, and the shop on a port of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from demo import create_app
from tests.demo_fixtures import build_shop_index, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
# A test browser speaks to the shop alone: nothing of its maker's in the background.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def _missing(what: str) -> None:
    """Fail in CI, skip on a user's machine; one line either way."""
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        _missing(f"no browser found: looked for {', '.join(BROWSERS)} on PATH; install Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed: pip install 'qtr-rerank[dev]'")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a shop over a small index of the sample catalog."""
    app = create_app(build_shop_index(tmp_path_factory.mktemp("browser") / "index"))
    with serving(app) as address:
        yield address
    app.extensions["shop"].engine.close()
