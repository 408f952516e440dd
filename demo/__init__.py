"""Page: the shop in front of a search index. `create_app` makes the Flask application.

Run it with `python -m demo --index DIR`; gunicorn serves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from demo.faults import add_error_pages
from demo.home import Suggestion
from demo.routes import add_security_headers, shop_pages
from demo.shop import Shop, Storefront
from qtr_rerank.search import RetrievalSettings, SearchEngine

# Some title is nearest to any query: without a floor each search of a small catalog would find
# every product, and its facets would count them all. Between gibberish, whose nearest title lies at
# 0.29 to 0.38, and misspelt words that the twin reads ("headfones" 0.45, "runing shose" 0.49).
LEAST_COSINE = 0.38

__all__ = ["Storefront", "Suggestion", "create_app"]


def create_app(
    index: Storefront | str | Path,
    *,
    name: str = "Fieldnote Store",
    suggestions: Sequence[Suggestion] | None = None,
) -> Flask:
    """The shop over an index folder, or over an engine that is open already.

    `suggestions` are the searches offered on the home page; left out, they fit the catalog: the
    sample shop's hard ones where the index holds it, else brands.
    Raises CatalogIndexError where the folder holds no index. An engine that does not answer is no
    fault here: its pages say so until it comes back.
    """
    engine: Storefront = (
        SearchEngine.open(index, settings=RetrievalSettings(least_cosine=LEAST_COSINE))
        if isinstance(index, str | Path)
        else index
    )
    app = Flask(__name__)
    app.extensions["shop"] = Shop(engine, name, suggestions)
    # An id may hold "//": it must come through as it is.
    app.url_map.merge_slashes = False
    if isinstance(app.json, DefaultJSONProvider):
        app.json.sort_keys = False  # the stages of times_ms stand in the order they ran
    app.register_blueprint(shop_pages)
    add_security_headers(app)
    add_error_pages(app)
    return app
