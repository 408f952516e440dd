"""Retrieve: connect to OpenSearch, and translate its client's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qtr_rerank.environment import OpenSearchSettings
from qtr_rerank.errors import (
    CatalogIndexError,
    EngineUnavailableError,
    MissingExtraError,
    SettingsError,
)

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# The index setting that names the search pipeline of searches that name none.
DEFAULT_PIPELINE = "index.search.default_pipeline"
_TIMEOUT_SECONDS = 30


def connect(settings: OpenSearchSettings, retries: int = 2) -> OpenSearch:
    """A client for `settings`; no request is sent yet.

    `retries` counts repeats after a broken connection: 0 if a request must not be sent twice.
    Raises SettingsError for unusable settings, MissingExtraError without opensearch-py.
    """
    try:
        from opensearchpy import OpenSearch
    except ImportError:
        raise MissingExtraError("an OpenSearch index", "opensearch") from None
    _check(settings)
    return OpenSearch(
        hosts=[settings.url],
        http_auth=(settings.user, settings.password) if settings.user else None,
        verify_certs=True,
        ca_certs=settings.ca_file,
        timeout=_TIMEOUT_SECONDS,
        max_retries=retries,
    )


@contextmanager
def engine_errors(url: str) -> Iterator[None]:
    """Turn opensearch-py's errors into QtrErrors that name the node and the remedy."""
    from opensearchpy import exceptions

    node = f"OpenSearch at {without_login(url)}"
    try:
        yield
    except exceptions.SerializationError as error:
        raise EngineUnavailableError(not_opensearch(url)) from error
    except exceptions.SSLError as error:
        if "WRONG_VERSION_NUMBER" in str(error.info):
            raise EngineUnavailableError(
                f"{node} does not use TLS; give its address as http://..."
            ) from error
        raise EngineUnavailableError(
            f"{node} has a certificate that is not trusted ({error.info}); "
            "set OPENSEARCH_CA to the certificate file of its authority"
        ) from error
    except exceptions.ConnectionTimeout as error:
        raise EngineUnavailableError(
            f"{node} did not respond in time; check its load and its log"
        ) from error
    except exceptions.ConnectionError as error:
        raise EngineUnavailableError(
            f"{node} does not respond; start it (make opensearch) or set OPENSEARCH_URL"
        ) from error
    except exceptions.AuthenticationException as error:
        raise EngineUnavailableError(
            f"{node} does not accept the login; set OPENSEARCH_USER and OPENSEARCH_PASSWORD"
        ) from error
    except exceptions.AuthorizationException as error:
        raise EngineUnavailableError(
            f"{node} forbids this to the user ({error_reason(error)}); "
            "grant the user the permission, or set OPENSEARCH_USER to another"
        ) from error
    except exceptions.NotFoundError as error:
        raise CatalogIndexError(
            f"{node} has no such index ({error_reason(error)}); make it with "
            "'python -m indexer CATALOG --index DIR --engine opensearch --alias NAME'"
        ) from error
    except exceptions.TransportError as error:
        if error.status_code == 429 or error.status_code >= 500:
            raise EngineUnavailableError(
                f"{node} cannot respond now, status {error.status_code} ({error_reason(error)}); "
                "check its load and its log"
            ) from error
        raise CatalogIndexError(
            f"{node} refuses the request, status {error.status_code} ({error_reason(error)}); "
            "correct what it names, or make the index again if another version made it"
        ) from error


def _check(settings: OpenSearchSettings) -> None:
    parts = urlsplit(settings.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(
            f"OpenSearch's address (OPENSEARCH_URL, or --url) is {without_login(settings.url)!r}; "
            "expected one such as https://search.example:9200"
        )
    if (settings.user is None) != (settings.password is None):
        raise SettingsError(
            "only one of OPENSEARCH_USER and OPENSEARCH_PASSWORD is set; set both, or neither"
        )
    if settings.ca_file is not None and not Path(settings.ca_file).is_file():
        raise SettingsError(
            f"OPENSEARCH_CA is {settings.ca_file!r}, which is not a file; "
            "name the certificate of the node's authority (PEM), or unset it"
        )


def not_opensearch(url: str) -> str:
    """The message for an address at which another server responds."""
    return (
        f"the server at {without_login(url)} is not OpenSearch; give OpenSearch's address in "
        "OPENSEARCH_URL, or with --url"
    )


def without_login(url: str) -> str:
    """The address without user and password, for messages and logs."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def error_reason(error: Exception) -> str:
    """OpenSearch's own sentence if the response has one, else the error's text."""
    info = getattr(error, "info", None)
    detail = info.get("error") if isinstance(info, dict) else None
    if isinstance(detail, dict):
        causes = detail.get("root_cause") or [detail]
        return str(causes[0].get("reason") or detail.get("reason") or detail)
    return str(detail or info or error)
