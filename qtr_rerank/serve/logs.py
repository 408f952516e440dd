"""Plug in: one line of JSON a request, on standard error. Keys and documents never come into it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("qtr_rerank.serve")


class JsonLines(logging.Formatter):
    """A record as one line of JSON, with what was given as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """As logging.Formatter's."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_to_stderr() -> None:
    """Have the server's log written; without this it goes where the host application says."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("qtr_rerank", "waitress"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    logging.getLogger("qtr_rerank").setLevel(logging.INFO)
