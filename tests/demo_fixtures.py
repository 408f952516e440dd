"""The shop's fixtures: a small real index behind it, and a real server for browsers.

`tests/test_demo_app.py` and `tests/browser/` import from here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from werkzeug.serving import make_server

from qtr_rerank.records import Product
from tests.small_index import build_small_index, small_catalog

SCRIPT_ID = "x/<script>"
SCRIPT_TITLE = '<script>alert(1)</script> Kettle & "Co" \'n'
BARE_ID = "bare"


def shop_catalog() -> list[Product]:
    """A few hundred products of the sample, and two that no shop wants: markup, and hardly any."""
    hostile = Product(
        id=SCRIPT_ID,
        title=SCRIPT_TITLE,
        brand="<b>Bold</b>",
        category="Kettles",
        price=19.5,
        description="<img src=x onerror=alert(2)>",
        attributes={"<i>note</i>": "</td><script>alert(3)</script>"},
        image="javascript:alert(4)",
        extra={"currency": "USD", "rating": "not a number", "department": "Kitchen"},
    )
    return [
        *small_catalog(600),
        hostile,
        Product(id=BARE_ID, title="Unpriced kettle without brand"),
    ]


def build_shop_index(folder: Path) -> Path:
    build_small_index(folder, shop_catalog())
    return folder


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The application on a free port of this machine, in a thread of this process."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="shop")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
