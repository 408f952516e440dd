"""The server's application for benchmarks/load.py: behind any WSGI server, with any model.

python -m benchmarks.load_app PORT [cross-encoder]      cheroot; or waitress and a cross-encoder
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
from qtr_rerank.rerank.reranker import Request
from qtr_rerank.runtime.cross_encoder import CrossEncoder
from qtr_rerank.serve.app import create_app
from qtr_rerank.serve.run import listen, run
from qtr_rerank.serve.service import RerankService
from qtr_rerank.serve.settings import ServeSettings


def create() -> Flask:
    """The application with `match`."""
    service = RerankService(ServeSettings())
    service.warm()
    return create_app(service)


class Yardstick(Reranker):
    """A cross-encoder where a student would be: reads query and title together, stores nothing."""

    encoder: CrossEncoder

    def logits(
        self,
        query: str,
        titles: Sequence[str | None],
        positions: NDArray[np.int64] | None = None,
        *,
        deadline: float | None = None,
    ) -> NDArray[np.float32]:
        """As Reranker's, in the same blocks and by the same clock."""
        found = np.full(len(titles), np.nan, dtype=np.float32)
        for start in range(0, len(titles), BLOCK):
            if deadline is not None and time.perf_counter() >= deadline:
                break
            block = [title or "" for title in titles[start : start + BLOCK]]
            found[start : start + len(block)] = self.encoder.score_texts(query, block)
        return found

    def logits_together(self, requests: Sequence[Request]) -> list[NDArray[np.float32]]:
        """As Reranker's: all pairs in one run."""
        queries = [one.query for one in requests for _ in one.titles]
        titles = [title or "" for one in requests for title in one.titles]
        ends = np.cumsum([len(one.titles) for one in requests])
        return np.split(self.encoder.score_pairs(queries, titles), ends[:-1])


def yardstick() -> RerankService:
    """A service whose only model has all-MiniLM-L6's shape, in int8."""
    from qtr_rerank.artifact import SHIPPED
    from qtr_rerank.export.cross_encoders import random_cross_encoder
    from qtr_rerank.features.wordpiece import FILE, WordPiece

    # Time is what is measured: no request is cut short.
    service = RerankService(ServeSettings(timeout_ms=600_000))
    with tempfile.TemporaryDirectory() as folder:
        graph = random_cross_encoder("MiniLM-L6", "int8", Path(folder))
        model = Yardstick(service.models["match"].scorer)
        model.encoder = CrossEncoder(graph, WordPiece.from_file(SHIPPED / "twin" / FILE))
    service.models["match"] = model
    return service


def main() -> None:
    port = int(sys.argv[1])
    if sys.argv[2:] == ["cross-encoder"]:
        service = yardstick()
        run(create_app(service), listen("127.0.0.1", port), service.settings)
        return
    from cheroot.wsgi import Server

    server = Server(("127.0.0.1", port), create(), numthreads=74, request_queue_size=1024)
    server.safe_start()


if __name__ == "__main__":
    main()
