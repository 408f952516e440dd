"""Plugin: the rerank server's own counters, by which `check` sees whether a search called it."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlsplit

REQUESTS = re.compile(r'^qtr_requests_total\{route="/v2/rerank",status="\d+"\} (\S+)', re.M)
UNKNOWN_IDS = re.compile(r"^qtr_unknown_ids_total\{.*\} (\S+)", re.M)
_TIMEOUT_SECONDS = 10


def read_counter(endpoint: str, counter: re.Pattern[str]) -> float | None:
    """The sum of a counter over its labels; None if the server's /metrics cannot be read."""
    parts = urlsplit(endpoint)
    https = parts.scheme == "https"
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    # A proxy may respond with a page of its own.
    if response.status != http.HTTPStatus.OK or "qtr_requests" not in text:
        return None
    return sum(float(count) for count in counter.findall(text))
