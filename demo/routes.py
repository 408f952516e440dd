"""Page: the addresses of the shop.

A route reads the request through `demo.request`, asks the engine, and hands view models to a
template. What goes wrong is translated in `demo.faults`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    jsonify,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as BaseResponse

from demo import view
from demo.api import result_json
from demo.facets import chips, facet_groups, price_range
from demo.faults import json_fault
from demo.orders import COMPARED, compare, deciding_stages, times
from demo.pictures import picture_for
from demo.request import (
    MAX_QUERY_CHARACTERS,
    PageRequest,
    Problem,
    parse_request,
    unknown_arguments,
)
from demo.shop import Found, Shop
from qtr_rerank.records import Filters

PICTURE_SECONDS = 86_400
# How many products a hopeless query is shown, by way of trying.
NEAREST = 6

shop_pages = Blueprint("shop", __name__)


@shop_pages.get("/")
def search() -> str | tuple[str, int]:
    """Home without a query; else results, the two orders side by side, or a kind page."""
    shop = _shop()
    departments = shop.departments()
    asked = parse_request(_arguments(), [each.name for each in departments])
    common = {
        "asked": asked,
        "query": asked.query,
        "problems": asked.problems,
        "suggestions": shop.suggestions(),
        "comparing": asked.view == "compare",
    }
    if asked.is_home:
        shelf = tuple(map(view.product_card, shop.shelf()))
        return render_template("home.html", shelf=shelf, **common)
    found = shop.find(asked)
    currency = view.currency_of(found.products.values()) or shop.currency
    common |= {
        "heading": view.browsing_title(asked),
        "chips": chips(asked, currency),
        "clear_href": asked.href(department="", filters=Filters()),
    }
    if not found.result.hits:
        return render_template("nothing.html", **common)
    fit = view.fit(asked, found.result, found.best)
    if fit == "hopeless":
        nearest = tuple(map(view.product_card, found.best[:NEAREST]))
        return render_template("nothing.html", nearest=nearest, **common)
    pager = view.pager(asked, found.ordered)
    if asked.page > pager.page:
        beyond = Problem("page", str(asked.page), f"at most {pager.pages}", f"showing {pager.page}")
        common["problems"] = (*asked.problems, beyond)
    cards = tuple(view.product_card(found.products[hit.id]) for hit in found.shown)
    inside = next((each.categories for each in departments if each.name == asked.department), None)
    common |= {
        "summary": _summary(asked, found, pager),
        "nearest_only": fit == "nearest",
        "degraded": found.result.degraded,
        "sorts": view.sort_choices(asked, found.facets, cards),
        "groups": facet_groups(found.facets, asked.filters, found.best, inside),
        "price": price_range(asked.filters, found.facets, currency),
        "kept": asked.unfiltered_arguments(),
        "list_href": asked.href(view="list"),
        "compare_href": asked.href(view="compare"),
        "times": times(found.result.times_ms),
    }
    if asked.view != "compare":
        return render_template("results.html", cards=cards, pager=pager, **common)
    return render_template(
        "compare.html",
        comparison=compare(found.result.hits, found.products),
        stages=deciding_stages(found.result.hits[:COMPARED]),
        cards={id: view.product_card(each) for id, each in found.products.items()},
        **common,
    )


def _summary(asked: PageRequest, found: Found, pager: view.Pager) -> str:
    if asked.view == "compare":
        return view.summary(found.result)
    return view.summary(found.result, pager, None if asked.sort == "best" else found.ordered)


@shop_pages.get("/product/<path:product_id>")
def product(product_id: str) -> str:
    """One product: picture, price, attributes, description."""
    shop = _shop()
    found = shop.product(product_id)
    inside = (each.name for each in shop.departments() if found.category in each.categories)
    return render_template(
        "product.html",
        card=view.product_card(found),
        department=next(inside, ""),
        description=found.description,
        attributes=view.attribute_rows(found),
    )


@shop_pages.get("/picture/<path:product_id>.svg")
def product_picture(product_id: str) -> BaseResponse:
    """The drawn picture of a product. It depends on the product alone, so browsers may keep it."""
    response = Response(picture_for(_shop().product(product_id)), mimetype="image/svg+xml")
    response.cache_control.public = True
    response.cache_control.max_age = PICTURE_SECONDS
    response.add_etag()
    return response.make_conditional(request)


@shop_pages.get("/api/search")
def api_search() -> BaseResponse | tuple[BaseResponse, int]:
    """The same search as JSON. A value that cannot be used is refused, not replaced."""
    shop = _shop()
    arguments = _arguments()
    asked = parse_request(arguments, [each.name for each in shop.departments()])
    problems = (*asked.problems, *unknown_arguments(arguments))
    if asked.is_home:
        picked = "a query, a department, a brand or a category"
        problems = (*problems, Problem("q", asked.query, picked, ""))
    if problems:
        return json_fault(HTTPStatus.BAD_REQUEST, "; ".join(map(str, problems)), problems)
    found = shop.find(asked, last_page=False)
    return jsonify(result_json(asked, found.result, found.shown, found.products, found.facets))


@shop_pages.get("/health")
def health() -> BaseResponse:
    """200 with the engine's name and the number of products; 503 while it does not answer."""
    engine = _shop().engine
    return jsonify({"status": "ok", "engine": engine.engine, "products": len(engine)})


def add_security_headers(app: Flask) -> None:
    """Nothing from other hosts, no framing, no guessing of types. Pages are asked for anew."""

    @app.after_request
    def headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-cache"
        return response

    @app.context_processor
    def everywhere() -> dict[str, Any]:
        shop = _shop()
        return {
            "shop_name": shop.name,
            "departments": shop.known_departments,
            "asset": _asset,
            "max_query": MAX_QUERY_CHARACTERS,
            "query": "",
            "comparing": False,
            "asked": None,
        }


_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def _shop() -> Shop:
    shop = current_app.extensions["shop"]
    if not isinstance(shop, Shop):
        raise TypeError("the application was not made by demo.create_app")
    return shop


def _arguments() -> dict[str, list[str]]:
    return request.args.to_dict(flat=False)


def _asset(name: str) -> str:
    """A static file's address with its contents' hash, so that browsers may keep it for long."""
    return url_for("static", filename=name, v=_content_hash(name))


@lru_cache(maxsize=32)
def _content_hash(name: str) -> str:
    content = (Path(__file__).parent / "static" / name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:10]
