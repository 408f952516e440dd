"""Fixtures of the shop's tests: records, a small real index, and a real server for browsers.

`tests/test_demo_*.py` and `tests/browser/` import from here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from flask import Flask
from werkzeug.serving import make_server

from demo.page_request import PageRequest, parse_request
from qtr_rerank.records import Product, Ranked
from tests.small_index import build_small_index, small_catalog

SCRIPT_ID = "x/<script>"
SCRIPT_TITLE = '<script>alert(1)</script> Kettle & "Co" \'n'
BARE_ID = "bare"


def make_hit(
    id: str = "p",
    rank: int = 1,
    first_rank: int = 1,
    probability: float | None = 0.5,
    logit: float = 0.0,
    parts: Mapping[str, float] | None = None,
) -> Ranked:
    """A hit that the model "match" gives `probability`, or that no model scored if None."""
    stage, own = ("retrieve", {}) if probability is None else ("match", {"match": probability})
    explain = {**own, **(parts or {}), "first_rank": first_rank}
    return Ranked(id, first_rank - 1, rank, 0.4, logit, first_rank, 0.02, stage, None, explain)


def make_product(id: str = "p", **fields: Any) -> Product:
    return Product(**{"id": id, "title": f"Product {id}", **fields})


def parse_address(query: str) -> PageRequest:
    """The request of an address's query string, in a shop with two departments."""
    return parse_request(parse_qs(query, keep_blank_values=True), ["Kitchen", "Home & Garden"])


def shop_catalog() -> list[Product]:
    """600 products of the sample, one full of markup, and one with hardly any fields."""
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
    """Serve the application on a free local port; yields its address, and stops at the end."""

    def in_memory(environ: Any, start_response: Any) -> list[bytes]:
        # werkzeug's server leaves a file open if the browser disconnects while it is sent.
        response = app.wsgi_app(environ, start_response)
        with closing(response):  # type: ignore[type-var]
            return [b"".join(response)]

    server = make_server("127.0.0.1", 0, in_memory, threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="shop")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
