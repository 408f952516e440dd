"""Page: the routes of the shop.

A route parses the arguments (`page_request`), searches (`shop`) and renders a template or JSON.
`error_pages` turns what goes wrong into a response.
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

from demo.comparison import COMPARED, compare, deciding_stages
from demo.error_pages import json_error
from demo.facets import chips, facet_groups, price_range
from demo.page_request import (
    MAX_QUERY_CHARACTERS,
    PageRequest,
    Problem,
    parse_request,
    unknown_arguments,
)
from demo.pagination import Pager, paginate
from demo.pictures import picture_for
from demo.product_view import attribute_rows, currency_of, product_card
from demo.result_view import browsing_heading, match_quality, summary
from demo.search_json import result_json
from demo.shop import ResultPage, Shop
from demo.sorting import sort_choices
from demo.stage_times import stage_times
from qtr_rerank.records import Filters

PICTURE_MAX_AGE_SECONDS = 86_400
# How many products the page for a poor match shows.
CLOSEST = 6

shop_pages = Blueprint("shop", __name__)


@shop_pages.get("/")
def search() -> str:
    """Home page without a query; else a result list, the comparison, or the no-results page."""
    shop = _shop()
    page_request = parse_request(_arguments(), [each.name for each in shop.departments()])
    context = {
        "page_request": page_request,
        "query": page_request.query,
        "problems": page_request.problems,
        "suggestions": shop.suggestions(),
        "comparing": page_request.view == "compare",
    }
    if page_request.is_home:
        shelf = tuple(map(product_card, shop.shelf()))
        return render_template("home.html", shelf=shelf, **context)
    page = shop.search(page_request)
    currency = currency_of(page.products.values()) or shop.currency
    context |= {
        "heading": browsing_heading(page_request),
        "chips": chips(page_request, currency),
        "clear_href": page_request.href(department="", filters=Filters()),
    }
    if not page.result.hits:
        return render_template("no_results.html", **context)
    quality = match_quality(page_request, page.result, page.best)
    if quality == "poor":
        closest = tuple(map(product_card, page.best[:CLOSEST]))
        return render_template("no_results.html", closest=closest, **context)
    context |= _result_context(shop, page_request, page, currency)
    context["by_meaning_only"] = quality == "by meaning"
    if page_request.view == "compare":
        return render_template(
            "compare.html",
            comparison=compare(page.result.hits, page.products),
            stages=deciding_stages(page.result.hits[:COMPARED]),
            cards_by_id={id: product_card(product) for id, product in page.products.items()},
            **context,
        )
    return render_template("results.html", **context)


def _result_context(
    shop: Shop, page_request: PageRequest, page: ResultPage, currency: str
) -> dict[str, Any]:
    """The template context that the result list and the comparison share."""
    pages = paginate(page_request, page.sorted_count)
    problems = page_request.problems
    if page_request.page > pages.page:
        shown = f"showing {pages.page}"
        beyond = Problem("page", str(page_request.page), f"at most {pages.pages}", shown)
        problems = (*problems, beyond)
    cards = tuple(product_card(page.products[hit.id]) for hit in page.hits)
    chosen = (each for each in shop.departments() if each.name == page_request.department)
    department = next(chosen, None)
    categories = department.categories if department else None
    return {
        "problems": problems,
        "cards": cards,
        "pager": pages,
        "summary": _summary(page_request, page, pages),
        "degraded": page.result.degraded,
        "sorts": sort_choices(page_request, page.facets, cards),
        "groups": facet_groups(page.facets, page_request.filters, page.best, categories),
        "price": price_range(page_request.filters, page.facets, currency),
        "hidden_fields": page_request.hidden_fields(),
        "list_href": page_request.href(view="list"),
        "compare_href": page_request.href(view="compare"),
        "times": stage_times(page.result.times_ms),
    }


def _summary(page_request: PageRequest, page: ResultPage, pages: Pager) -> str:
    if page_request.view == "compare":
        return summary(page.result)
    return summary(page.result, pages, None if page_request.sort == "best" else page.sorted_count)


@shop_pages.get("/product/<path:product_id>")
def product(product_id: str) -> str:
    """One product: picture, price, attributes, description."""
    shop = _shop()
    shown = shop.product(product_id)
    names = (each.name for each in shop.departments() if shown.category in each.categories)
    return render_template(
        "product.html",
        card=product_card(shown),
        department=next(names, ""),
        description=shown.description,
        attributes=attribute_rows(shown),
    )


@shop_pages.get("/picture/<path:product_id>.svg")
def product_picture(product_id: str) -> BaseResponse:
    """The drawn picture of a product. Browsers may cache it: it depends on the product alone."""
    response = Response(picture_for(_shop().product(product_id)), mimetype="image/svg+xml")
    response.cache_control.public = True
    response.cache_control.max_age = PICTURE_MAX_AGE_SECONDS
    response.add_etag()
    return response.make_conditional(request)


@shop_pages.get("/api/search")
def api_search() -> BaseResponse | tuple[BaseResponse, int]:
    """The same search as JSON. An invalid argument is rejected, not replaced."""
    shop = _shop()
    arguments = _arguments()
    page_request = parse_request(arguments, [each.name for each in shop.departments()])
    problems = (*page_request.problems, *unknown_arguments(arguments))
    if page_request.is_home:
        expected = "a query, a department, a brand or a category"
        problems = (*problems, Problem("q", page_request.query, expected, ""))
    if problems:
        return json_error(HTTPStatus.BAD_REQUEST, "; ".join(map(str, problems)), problems)
    page = shop.search(page_request, last_page=False)
    return jsonify(result_json(page_request, page.result, page.hits, page.products, page.facets))


@shop_pages.get("/health")
def health() -> BaseResponse:
    """200 with the engine's name and the number of products; 503 while it does not respond."""
    engine = _shop().engine
    return jsonify({"status": "ok", "engine": engine.engine, "products": len(engine)})


def add_security_headers(app: Flask) -> None:
    """Forbid foreign content, framing and content sniffing; browsers revalidate every page."""

    @app.after_request
    def headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-cache"
        return response

    @app.context_processor
    def defaults() -> dict[str, Any]:
        shop = _shop()
        return {
            "shop_name": shop.name,
            "departments": shop.known_departments,
            "asset": _asset,
            "max_query": MAX_QUERY_CHARACTERS,
            "query": "",
            "comparing": False,
            "page_request": None,
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
    """A static file's address with a hash of its content, so that browsers fetch a changed file."""
    return url_for("static", filename=name, v=_content_hash(name))


@lru_cache(maxsize=32)
def _content_hash(name: str) -> str:
    content = (Path(__file__).parent / "static" / name).read_bytes()
    return hashlib.sha256(content).hexdigest()[:10]
