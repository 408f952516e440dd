"""Page: the demo shop in front of a search index. `create_app` makes the Flask application.

Run it with `python -m demo --index DIR`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from demo.error_pages import add_error_pages
from demo.home_page import Suggestion
from demo.routes import add_security_headers, shop_pages
from demo.shop import Shop, ShopEngine
from qtr_rerank.search import RetrievalSettings, SearchEngine

# Every query has a nearest title. Without a minimum, each search of a small catalog would return
# every product and the facets would count them all. The value separates random letters
# (nearest title at 0.29 to 0.38) from misspelt words that the twin model understands
# ("headfones" 0.45, "runing shose" 0.49).
MIN_COSINE = 0.38

__all__ = ["ShopEngine", "Suggestion", "create_app"]


def create_app(
    index: ShopEngine | str | Path,
    *,
    name: str = "Fieldnote Store",
    suggestions: Sequence[Suggestion] | None = None,
) -> Flask:
    """The shop over an index folder, or over an engine that is already open.

    `suggestions` are the searches offered on the home page. Without them the shop picks its own:
    the sample shop's hard queries if the index holds that shop, else the largest brands.
    Raises CatalogIndexError if the folder holds no index. An engine that does not respond raises
    nothing here: the pages show status 503 until it is back.
    """
    engine: ShopEngine = (
        SearchEngine.open(index, settings=RetrievalSettings(least_cosine=MIN_COSINE))
        if isinstance(index, str | Path)
        else index
    )
    app = Flask(__name__)
    app.extensions["shop"] = Shop(engine, name, suggestions)
    # A product id may contain "//", which Flask would otherwise reduce to "/".
    app.url_map.merge_slashes = False
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False  # times_ms lists the stages in the order they ran
    app.register_blueprint(shop_pages)
    add_security_headers(app)
    add_error_pages(app)
    return app
