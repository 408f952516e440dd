"""Plug in: API keys. Several are valid at once, so that one can be replaced without a gap."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from http import HTTPStatus

from qtr_rerank.serve.request_errors import RequestError

_SCHEME = "bearer "


def require_key(authorization: str | None, keys: Sequence[str]) -> None:
    """Raise RequestError (401) unless the header is `Bearer KEY`, or no keys are set.

    Each key is compared in constant time.
    """
    if not keys:
        return
    given = authorization or ""
    token = given[len(_SCHEME) :].strip() if given.lower().startswith(_SCHEME) else ""
    valid = [hmac.compare_digest(token.encode(), key.encode()) for key in keys]
    if not any(valid):
        raise RequestError(
            HTTPStatus.UNAUTHORIZED,
            "the API key is missing or not valid; send it as 'Authorization: Bearer KEY'",
        )
