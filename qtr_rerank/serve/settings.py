"""Plug in: how the rerank server runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.errors import SettingsError
from qtr_rerank.rerank.kernel import BLOCK

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The server's settings.

    `models` maps the names that requests use to models by name or folder; the first is the default.
    With `index`, documents may be ids of its products: objects that hold one under a name of
    `id_fields`, or texts that begin with `id_prefix`.

    What was read of `cache` titles is kept by each model, for texts that come again; 0 keeps none.

    `concurrency` requests are scored at once, each on `threads` threads; `queue` more may wait, and
    what comes then is refused (429). Requests that wait are scored together, `batch` documents at
    most; 1 scores each alone. `timeout_ms` is the longest that a request may take, waiting
    included; `body_bytes` and `documents` bound a request's size. `api_keys`, where there are any,
    are asked for; `log_queries` puts the queries into the log.
    """

    models: tuple[tuple[str, str], ...] = (("match", "match"),)
    index: Path | None = None
    id_prefix: str = "id:"
    id_fields: tuple[str, ...] = ("id", "product_id")
    cache: int = 50_000
    threads: int = 1
    concurrency: int = 2
    queue: int = 64
    batch: int = BLOCK
    timeout_ms: float = 10_000.0
    body_bytes: int = 32 * MEGABYTE
    documents: int = 100_000
    api_keys: tuple[str, ...] = ()
    log_queries: bool = False

    def __post_init__(self) -> None:
        names = [name for name, _ in self.models]
        if not names:
            raise SettingsError("no models to serve; name one at least")
        for name in names:
            if not name or names.count(name) > 1:
                raise SettingsError(f"the models are named {names}; expected a name once for each")
        for field, least in (
            ("threads", 1),
            ("concurrency", 1),
            ("queue", 0),
            ("batch", 1),
            ("cache", 0),
            ("body_bytes", 1),
            ("documents", 1),
        ):
            if getattr(self, field) < least:
                raise SettingsError(f"{field} is {getattr(self, field)}; expected {least} or more")
        if not 0.0 < self.timeout_ms < math.inf:
            raise SettingsError(f"timeout_ms is {self.timeout_ms}; expected more than 0")
        if not self.id_prefix:
            raise SettingsError(
                "the id prefix is empty, and every text would be an id; a request says so itself "
                "with documents_are_ids"
            )
        for key in self.api_keys:
            if not key or not key.isascii() or key != key.strip():
                raise SettingsError(
                    "an API key is empty, holds other characters than ASCII's, or has space "
                    "around it; make keys with: python -c 'import secrets; "
                    "print(secrets.token_urlsafe())'"
                )
