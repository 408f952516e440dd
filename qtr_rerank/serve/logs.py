"""Plug in: the server's log, one JSON object a line. It never contains keys or documents."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("qtr_rerank.serve")


class JsonLines(logging.Formatter):
    """A record as one line of JSON, with the fields given as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
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
    """Write the logs of this package and of gunicorn to standard error.

    Without this call, the application's own host decides where its log goes.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    for name in ("qtr_rerank", "gunicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    logging.getLogger("qtr_rerank").setLevel(logging.INFO)
