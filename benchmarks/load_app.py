"""The server's application for benchmarks/load.py: behind any WSGI server, with any model.

`create` makes it with `match`. `python -m benchmarks.load_app PORT` serves a cross-encoder.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from flask import Flask
from numpy.typing import NDArray

from qtr_rerank import Reranker
from qtr_rerank.rerank.kernel import BLOCK
from qtr_rerank.runtime.cross_encoder import CrossEncoder
from qtr_rerank.serve.app import create_app
from qtr_rerank.serve.run import listen, serve
from qtr_rerank.serve.server_settings import ServerSettings
from qtr_rerank.serve.service import RerankService


def create() -> Flask:
    """The application with `match`."""
    service = RerankService.load(ServerSettings())
    service.warm()
    return create_app(service)


class Yardstick:
    """A cross-encoder behind the same server: it reads query and title together, stores nothing."""

    name = "MiniLM-L6"
    store = None

    def __init__(self, encoder: CrossEncoder, student: Reranker) -> None:
        """`student` lends its template and calibration, which do not matter for the time."""
        self._encoder = encoder
        self.scorer = student.scorer
        self.reads = student.reads

    def logits(
        self,
        query: str,
        titles: Sequence[str | None],
        positions: NDArray[np.int64] | None = None,
        *,
        deadline: float | None = None,
    ) -> NDArray[np.float32]:
        """As `Reranker.logits`: in the same blocks, until the same deadline."""
        logits = np.full(len(titles), np.nan, dtype=np.float32)
        for start in range(0, len(titles), BLOCK):
            if deadline is not None and time.perf_counter() >= deadline:
                break
            block = [title or "" for title in titles[start : start + BLOCK]]
            logits[start : start + len(block)] = self._encoder.score_texts(query, block)
        return logits


def cross_encoder() -> Yardstick:
    """A cross-encoder with the shape of all-MiniLM-L6, in int8."""
    from qtr_rerank.artifact import SHIPPED
    from qtr_rerank.export.cross_encoders import random_cross_encoder
    from qtr_rerank.features.wordpiece import FILE, WordPiece

    with tempfile.TemporaryDirectory() as folder:
        graph = random_cross_encoder("MiniLM-L6", "int8", Path(folder))
        encoder = CrossEncoder(graph, WordPiece.from_file(SHIPPED / "twin" / FILE))
    return Yardstick(encoder, Reranker.load("match"))


def main() -> None:
    """Serve the cross-encoder on a port."""
    # Time is measured, so no request is cut short.
    settings = ServerSettings(timeout_ms=600_000)
    app = create_app(RerankService({"match": cross_encoder()}, settings))
    serve(lambda: app, listen("127.0.0.1", int(sys.argv[1])), lambda: None, threads=74)


if __name__ == "__main__":
    main()
