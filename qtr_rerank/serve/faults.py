"""Plug in: what a client is told when it cannot be answered, before any API gives it its shape."""

from __future__ import annotations

from http import HTTPStatus

from qtr_rerank.errors import QtrError


class RequestFaultError(QtrError):
    """A request that is not answered: an HTTP status, and a message for the client.

    `retry_after` is in seconds, for what may work later.
    """

    def __init__(self, status: HTTPStatus, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


def malformed(message: str) -> RequestFaultError:
    """The body is no JSON."""
    return RequestFaultError(HTTPStatus.BAD_REQUEST, message)


def unprocessable(message: str) -> RequestFaultError:
    """The body is JSON, and not what the API expects."""
    return RequestFaultError(HTTPStatus.UNPROCESSABLE_ENTITY, message)
