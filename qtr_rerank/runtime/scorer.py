"""Runtime: a student at work. Texts become features, features become logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.artifact import GRAPHS, Artifact
from qtr_rerank.features.vocabulary import load_vocabulary, used_columns
from qtr_rerank.probability import Float, sigmoid
from qtr_rerank.records import Product
from qtr_rerank.runtime.session import Arrays, Session
from qtr_rerank.template import ProductText

# Titles encoded at once, and pairs scored at once: memory stays bounded whatever is asked.
ENCODE_BATCH = 32
SCORE_BATCH = 2048


class Scorer:
    """A loaded artifact. Safe to share between threads; nothing in it changes after loading.

    Title features are what an index stores: arrays with one row a title and a fixed row shape.
    """

    def __init__(self, artifact: Artifact, threads: int = 1) -> None:
        self.artifact = artifact
        self.name = artifact.name
        self.kind = artifact.config.kind
        self.fingerprint = artifact.fingerprint
        self.reads = ProductText(artifact.config.reads)
        self._vocabulary = load_vocabulary(artifact.path, artifact.config.vocabulary)
        self._title, self._query, self._score = (
            Session(artifact.path / graph, threads) for graph in GRAPHS
        )
        # Whether the scoring graph wants a query row for each title row (it then gives both
        # numbers one name) or takes a single one too.
        rows = {name.partition("_")[0]: shape[0] for name, shape in self._score.inputs.items()}
        self._query_for_each = rows["query"] == rows["title"]

    @classmethod
    def load(cls, name_or_folder: str | Path, threads: int = 1) -> Scorer:
        """Load an artifact by name (see `qtr models`) or folder; raises ArtifactError."""
        return cls(Artifact.load(name_or_folder), threads)

    def encode_titles(self, titles: Sequence[str]) -> Arrays:
        """Title features by name, each (titles, ...). The texts are read as they are."""
        return self._encode(self._title, titles, self.artifact.config.max_title_tokens)

    def encode_products(self, products: Sequence[Product]) -> Arrays:
        """Title features by name, each (products, ...), of what the artifact's template reads."""
        return self.encode_titles([self.reads.render(product) for product in products])

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
                if len(rows) > 1:
                    rows = rows[block]
                elif self._query_for_each:
                    rows = np.repeat(rows, size, axis=0)
                inputs[f"query_{name}"] = rows
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

    def probabilities(self, logits: NDArray[Float]) -> NDArray[Float]:
        """Calibrated probabilities of relevance, in the precision of `logits` and in their order,
        up to saturation.
        """
        calibration = self.artifact.config.calibration
        calibrated = calibration.scale * logits + calibration.bias
        return sigmoid(calibrated.astype(logits.dtype, copy=False))

    def _encode(
        self, graph: Session, texts: Sequence[str], max_tokens: int, *, fixed_width: bool = True
    ) -> Arrays:
        ids = self._vocabulary.encode(texts, max_tokens, fixed_width=fixed_width)
        lengths = used_columns(ids, self._vocabulary.unit)
        features: dict[str, NDArray[Any]] = {}
        # Similar lengths together: little time goes into padding.
        order = np.argsort(lengths, kind="stable")
        for start in range(0, max(1, len(texts)), ENCODE_BATCH):
            places = order[start : start + ENCODE_BATCH]
            longest = int(lengths[places].max(initial=self._vocabulary.unit))
            for output, rows in graph.run({"ids": ids[places, :longest]}).items():
                name = output.partition("_")[2]  # title_vector -> vector
                # One row a token: as wide as the texts that came together, so padded here.
                by_token = isinstance(graph.outputs[output][1], str)
                if name not in features:
                    wide = (len(texts), ids.shape[1], *rows.shape[2:])
                    shape = wide if by_token else (len(texts), *rows.shape[1:])
                    features[name] = np.zeros(shape, dtype=rows.dtype)
                if by_token:
                    features[name][places, :longest] = rows
                else:
                    features[name][places] = rows
        return features


def _distinct(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    places: dict[str, int] = {}
    rows = [places.setdefault(text, len(places)) for text in texts]
    return list(places), np.asarray(rows, dtype=np.int64)
