"""Plugin: what `check` reports, and ml-commons' error messages translated into it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from qtr_rerank.opensearch.wiring import PRIVATE_ADDRESSES, TRUSTED_ENDPOINTS


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `remedy` is empty if nothing is wrong."""

    what: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.remedy


@dataclass(frozen=True, slots=True)
class _Cause:
    """`signs` are parts of messages in lower case; `what` and `remedy` are format strings."""

    signs: tuple[str, ...]
    what: str
    remedy: str


_CAUSES = (
    _Cause(
        ("private ip",),
        "ml-commons refuses {base} as a private address",
        f"run 'qtr opensearch install' again, which sets {PRIVATE_ADDRESSES}: true",
    ),
    _Cause(
        ("trusted connector endpoint",),
        "ml-commons does not trust {base}",
        f"run 'qtr opensearch install' again, which adds it to {TRUSTED_ENDPOINTS}",
    ),
    _Cause(
        ("api key", "unauthorized"),
        "the server refuses the API key that the connector sends",
        "run 'qtr opensearch install' again with QTR_API_KEYS set to one of the server's keys",
    ),
    _Cause(
        ("is not served",),
        "the server has no model {model!r}: {reason}",
        "start 'qtr serve' with it (-m), or run 'qtr opensearch install --model' with another",
    ),
    _Cause(
        ("needs an index", "holds no titles"),
        "the server cannot rerank ids: {reason}",
        "start 'qtr serve' with --index, or run 'qtr opensearch install --no-ids'",
    ),
    _Cause(
        ("no route of this server", "no handler found"),
        "{base} is not the address of 'qtr serve', or {path} is not its route",
        "run 'qtr opensearch install --server' with the address that 'qtr serve' prints, as the "
        "nodes see it",
    ),
    # After the routes of a server: "no route" is also said of a network.
    _Cause(
        (
            "refused",
            "unknownhost",
            "unknown host",
            "timed out",
            "resolve",
            "no route",
            "unreachable",
            "timeout",
            "acquire operation",
        ),
        "OpenSearch's nodes do not reach the server at {base} ({reason})",
        "start it: qtr serve --host 0.0.0.0; if it runs, install with an address that the nodes "
        "can reach (127.0.0.1 is each node itself), and check firewalls",
    ),
)


def diagnose(reason: str, endpoint: str, model: str) -> Finding:
    """ml-commons' reason for a failed call of the server, in plain words and with a remedy."""
    reason = " ".join(reason.split())
    message = reason.lower()
    for cause in _CAUSES:
        if any(sign in message for sign in cause.signs):
            what = cause.what.format(
                base=base_address(endpoint),
                path=urlsplit(endpoint).path,
                model=model,
                reason=reason,
            )
            return Finding(what, cause.remedy)
    return Finding(
        f"calling the server failed: {reason}", "check the logs of the server and of the nodes"
    )


def base_address(endpoint: str) -> str:
    """The address without the route."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}"
