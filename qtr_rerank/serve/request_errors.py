"""Plug in: errors for the client, before a wire format serialises them."""

from __future__ import annotations

from http import HTTPStatus

from qtr_rerank.errors import QtrError

# Characters of a request that one error message may repeat.
_QUOTED = 80


class RequestError(QtrError):
    """A request that is refused: an HTTP status and a message for the client.

    `retry_after` (seconds) says when the same request may succeed.
    """

    def __init__(self, status: HTTPStatus, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def malformed(message: str) -> RequestError:
    """The body is not JSON: 400."""
    return RequestError(HTTPStatus.BAD_REQUEST, message)


def unprocessable(message: str) -> RequestError:
    """The body is JSON, but not what the API expects: 422."""
    return RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, message)


def quoted(text: str) -> str:
    """The beginning of what a client sent: no response repeats a long request."""
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."
