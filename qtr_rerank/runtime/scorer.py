"""Runtime: a student at work. Texts become features, features become logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.artifact import GRAPHS, TOKENIZER, Artifact
from qtr_rerank.features.wordpiece import WordPiece
from qtr_rerank.runtime.session import Arrays, Session

# Titles encoded at once, and pairs scored at once: memory stays bounded whatever is asked.
ENCODE_BATCH = 64
SCORE_BATCH = 2048

_TOKEN_IDS = "ids"  # the one feature whose width is a number of tokens


class Scorer:
    """A loaded artifact. Safe to share between threads; nothing in it changes after loading.

    Title features are what an index stores: arrays with one row a title and a fixed row shape.
    """

    def __init__(self, artifact: Artifact, threads: int = 1) -> None:
        self.artifact = artifact
        self.name = artifact.name
        self.kind = artifact.config.kind
        self.fingerprint = artifact.fingerprint
        self._vocabulary = WordPiece.from_file(artifact.path / TOKENIZER)
        self._title, self._query, self._score = (
            Session(artifact.path / graph, threads) for graph in GRAPHS
        )

    @classmethod
    def load(cls, name_or_folder: str | Path, threads: int = 1) -> Scorer:
        """Load an artifact by name (see `qtr models`) or folder; raises ArtifactError."""
        return cls(Artifact.load(name_or_folder), threads)

    def encode_titles(self, titles: Sequence[str]) -> Arrays:
        """Title features by name, each (titles, ...)."""
        return self._encode(self._title, titles, self.artifact.config.max_title_tokens)

    def encode_queries(self, queries: Sequence[str]) -> Arrays:
        """Query features by name, each (queries, ...)."""
        # As wide as the longest query only: what is padding need not meet every title.
        most = self.artifact.config.max_query_tokens
        return self._encode(self._query, queries, most, fixed_width=False)

    def score(self, query: Arrays, titles: Arrays) -> NDArray[np.float32]:
        """Logits (n,): query features of 1 row, or of n, against title features of n rows."""
        count = len(next(iter(titles.values())))
        logits = np.empty(count, dtype=np.float32)
        for start in range(0, count, SCORE_BATCH):
            block = slice(start, start + SCORE_BATCH)
            inputs = {f"title_{name}": np.asarray(rows[block]) for name, rows in titles.items()}
            size = min(SCORE_BATCH, count - start)
            for name, rows in query.items():
                inputs[f"query_{name}"] = (
                    np.repeat(rows, size, axis=0) if len(rows) == 1 else rows[block]
                )
            logits[block] = self._score.run(inputs)["logits"]
        return logits

    def score_texts(self, query: str, titles: Sequence[str]) -> NDArray[np.float32]:
        """Logits (titles,) of one query against titles, read now."""
        if not titles:
            return np.empty(0, dtype=np.float32)
        return self.score(self.encode_queries([query]), self.encode_titles(titles))

    def score_pairs(self, queries: Sequence[str], titles: Sequence[str]) -> NDArray[np.float32]:
        """Logits (pairs,) of query i against title i; each distinct text is read once."""
        if not queries:
            return np.empty(0, dtype=np.float32)
        query_rows, query_places = _distinct(queries)
        title_rows, title_places = _distinct(titles)
        query_features = self.encode_queries(query_rows)
        title_features = self.encode_titles(title_rows)
        return self.score(
            {name: rows[query_places] for name, rows in query_features.items()},
            {name: rows[title_places] for name, rows in title_features.items()},
        )

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities of relevance; the order of `logits`, up to saturation."""
        calibration = self.artifact.config.calibration
        exponent = np.clip(-(calibration.scale * logits + calibration.bias), -80.0, 80.0)
        probabilities: NDArray[np.float32] = (1.0 / (1.0 + np.exp(exponent))).astype(np.float32)
        return probabilities

    def _encode(
        self, graph: Session, texts: Sequence[str], max_tokens: int, *, fixed_width: bool = True
    ) -> Arrays:
        ids = self._vocabulary.encode(texts, max_tokens, fixed_width=fixed_width)
        lengths = (ids != 0).sum(axis=1)
        features: dict[str, NDArray[Any]] = {}
        # Similar lengths together: little time goes into padding.
        order = np.argsort(lengths, kind="stable")
        for start in range(0, max(1, len(texts)), ENCODE_BATCH):
            places = order[start : start + ENCODE_BATCH]
            longest = int(lengths[places].max(initial=1)) or 1
            for output, rows in graph.run({"ids": ids[places, :longest]}).items():
                name = output.partition("_")[2]  # title_vector -> vector
                if name not in features:
                    width = ids.shape[1:] if name == _TOKEN_IDS else rows.shape[1:]
                    features[name] = np.zeros((len(texts), *width), dtype=rows.dtype)
                if name == _TOKEN_IDS:
                    features[name][places, :longest] = rows
                else:
                    features[name][places] = rows
        return features


def _distinct(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    places: dict[str, int] = {}
    rows = [places.setdefault(text, len(places)) for text in texts]
    return list(places), np.asarray(rows, dtype=np.int64)
