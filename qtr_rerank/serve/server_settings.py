"""Plug in: settings of the rerank server."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.errors import SettingsError

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The server's settings. Raises SettingsError for values that make no sense.

    `models` maps the names that requests use to models by name or folder; the first is the default.
    With `index`, documents may be ids of its products: objects with one of the `id_fields`, or
    texts that begin with `id_prefix`. Each model caches the features of `cache` titles; 0 caches
    none.

    Each of `workers` processes has its own title cache and admission queue: it scores `concurrency`
    requests at once, each on `threads` threads, and `queue` more requests may wait; others are
    refused (429). `timeout_ms` bounds a request, waiting included; `max_body_bytes` and
    `max_documents` bound its size. Where `api_keys` are given, requests need one of them.
    `log_queries` writes queries into the log.
    """

    models: tuple[tuple[str, str], ...] = (("match", "match"),)
    index: Path | None = None
    id_prefix: str = "id:"
    id_fields: tuple[str, ...] = ("id", "product_id")
    cache: int = 50_000
    workers: int = 1
    threads: int = 1
    concurrency: int = 2
    queue: int = 64
    timeout_ms: float = 10_000.0
    max_body_bytes: int = 32 * MEGABYTE
    max_documents: int = 100_000
    api_keys: tuple[str, ...] = ()
    log_queries: bool = False

    def __post_init__(self) -> None:
        names = [name for name, _ in self.models]
        if not names:
            raise SettingsError("no models to serve; name at least one")
        for name in names:
            if not name or names.count(name) > 1:
                raise SettingsError(f"the model names are {names}; expected each name once")
        for field, least in (
            ("workers", 1),
            ("threads", 1),
            ("concurrency", 1),
            ("queue", 0),
            ("cache", 0),
            ("max_body_bytes", 1),
            ("max_documents", 1),
        ):
            if getattr(self, field) < least:
                raise SettingsError(f"{field} is {getattr(self, field)}; expected {least} or more")
        if not 0.0 < self.timeout_ms < math.inf:
            raise SettingsError(f"timeout_ms is {self.timeout_ms}; expected more than 0")
        if not self.id_prefix:
            raise SettingsError(
                "the id prefix is empty, so every text would be an id; send documents_are_ids in "
                "the request instead"
            )
        for key in self.api_keys:
            if not key or not key.isascii() or key != key.strip():
                raise SettingsError(
                    "an API key is empty, has non-ASCII characters or has space around it; make "
                    "one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
                )
