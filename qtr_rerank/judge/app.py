"""Judge: the page, as a Flask application for one judge on this machine.

Only this machine may use it: the server listens on the loopback address, requests must name a
local host (no other name that resolves here gets a response), and a form must come from this page
(its token, and the browser's own word on where it was sent from).
"""

from __future__ import annotations

import base64
import hmac
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from qtr_rerank.errors import QtrError, UnknownIdError
from qtr_rerank.judge.guidelines import GRADES, RATINGS, RULES
from qtr_rerank.judge.pool import Pair
from qtr_rerank.judge.session import Session
from qtr_rerank.records import Product
from qtr_rerank.trec import from_trec_id

LOCAL_HOSTS = ["127.0.0.1", "localhost"]
# Forms hold a grade and two ids.
_MAX_FORM_BYTES = 1 << 16
_SHOWN_ATTRIBUTES = 12
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; "
        "img-src 'self' data: http: https:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    # Not no-referrer: browsers then say of this page's own forms that they come from nowhere.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Judging:
    """What the page shows and who sees it.

    `product` gives a product by id. `picture` draws one (SVG) for a product whose image is no
    address, or gives "". `finish` ends the server.
    """

    session: Session
    judge: str
    texts: Mapping[str, str]
    product: Callable[[str], Product]
    picture: Callable[[Product], str] = lambda product: ""
    finish: Callable[[], None] = lambda: None


def create_app(judging: Judging) -> Flask:
    """The page for one session."""
    app = Flask(__name__)
    app.config["TRUSTED_HOSTS"] = LOCAL_HOSTS
    app.config["MAX_CONTENT_LENGTH"] = _MAX_FORM_BYTES
    token = secrets.token_urlsafe(16)
    session = judging.session

    @app.before_request
    def refuse_other_sites() -> None:
        if request.method in ("GET", "HEAD"):
            return
        own = request.host_url.rstrip("/")
        sent_from = request.headers.get("Origin", own)
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        given = request.form.get("token", "")
        if (
            sent_from != own
            or site != "same-origin"
            or not hmac.compare_digest(given.encode(), token.encode())
        ):
            abort(HTTPStatus.FORBIDDEN, "this form was not sent by this page; reload it")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        if response.mimetype == "text/html":
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int]:
        code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        status = f"{code} {error.name}"
        return render_template("error.html", status=status, message=error.description), code

    @app.errorhandler(QtrError)
    def failed(error: QtrError) -> tuple[str, int]:
        code = HTTPStatus.NOT_FOUND if isinstance(error, UnknownIdError) else HTTPStatus.BAD_GATEWAY
        return render_template("error.html", status=f"{code} {code.phrase}", message=error), code

    @app.get("/")
    def page() -> str:
        pair = session.current
        context = {
            "token": token,
            "judge": judging.judge,
            "progress": session.progress,
            "can_undo": session.can_undo,
            "grades": GRADES,
            "rules": RULES,
            "notice": request.args.get("notice", ""),
        }
        if pair is None:
            return render_template("done.html", **context)
        product = judging.product(from_trec_id(pair.document))
        return render_template(
            "pair.html",
            pair=pair,
            query=judging.texts[pair.query],
            product=product,
            price=_price(product),
            attributes=list(product.attributes.items())[:_SHOWN_ATTRIBUTES],
            picture=_picture(product, judging),
            **context,
        )

    @app.post("/grade")
    def grade() -> AnyResponse:
        text = request.form.get("rating", "")
        if text not in {str(rating) for rating in RATINGS}:
            abort(HTTPStatus.BAD_REQUEST, f"the grade is {text[:20]!r}; expected 0, 1, 2 or 3")
        return _next(session.judge(_pair(), int(text)))

    @app.post("/skip")
    def skip() -> AnyResponse:
        return _next(session.skip(_pair()))

    @app.post("/undo")
    def undo() -> AnyResponse:
        session.undo()
        return _next(True)

    @app.post("/finish")
    def finish() -> str:
        judging.finish()
        return render_template("finished.html", judge=judging.judge, progress=session.progress)

    return app


def _next(done: bool) -> AnyResponse:
    """The next pair. The address says if the last grade was not taken: its pair was judged before,
    in another window.
    """
    notice = None if done else "judged"
    return redirect(url_for("page", notice=notice), HTTPStatus.SEE_OTHER)


def _pair() -> Pair:
    return Pair(request.form.get("query", ""), request.form.get("document", ""))


def _picture(product: Product, judging: Judging) -> str:
    if product.image.startswith(("http://", "https://")):
        return product.image
    drawn = judging.picture(product)
    # In an <img>, an SVG runs no script.
    encoded = base64.b64encode(drawn.encode()).decode()
    return f"data:image/svg+xml;base64,{encoded}" if drawn else ""


def _price(product: Product) -> str:
    if product.price is None or not math.isfinite(product.price):
        return ""
    return f"{product.price:,.2f} {product.extra.get('currency') or ''}".strip()
