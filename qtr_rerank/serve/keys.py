"""Plug in: API keys. Several may be valid at once, so that one can be changed without a gap."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from http import HTTPStatus

from qtr_rerank.serve.faults import RequestFaultError

_SCHEME = "bearer "


def require_key(authorization: str | None, keys: Sequence[str]) -> None:
    """Raises RequestFaultError (401) where there are keys and the header is not `Bearer` and one.

    Every key is compared, each in a time that does not depend on how much of it is right.
    """
    if not keys:
        return
    given = authorization or ""
    token = given[len(_SCHEME) :].strip() if given.lower().startswith(_SCHEME) else ""
    valid = [hmac.compare_digest(token.encode(), key.encode()) for key in keys]
    if not any(valid):
        raise RequestFaultError(
            HTTPStatus.UNAUTHORIZED,
            "the API key is missing or not valid; send it as 'Authorization: Bearer KEY'",
        )
