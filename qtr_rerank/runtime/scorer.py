"""Runtime: a student at work. Texts become features, features become logits.

Results do not depend on what else is in a batch. Two causes were found by experiment, and are
avoided: sums over tokens are split by memory alignment, so token counts are padded to a multiple
of LANES; and matrix products of a single row take another path, so one text is encoded as two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

# Texts encoded at once, and pairs scored at once: they bound the memory that a call takes.
ENCODE_BATCH = 32
SCORE_BATCH = 2048
# Tokens are padded to a multiple of this: 16 bytes of float32, one SIMD register.
LANES = 4


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
        """Query features by name, each (queries, ...), as wide as the longest query needs."""
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
        """Logits (pairs,) of query i against title i; each distinct text is encoded once."""
        logits = np.empty(len(queries), dtype=np.float32)
        if not queries:
            return logits
        distinct_titles, title_places = _distinct(titles)
        title_features = self.encode_titles(distinct_titles)
        # Queries of one width together: a query is scored as wide as if it came alone.
        most = self.artifact.config.max_query_tokens
        distinct_queries, query_places = _distinct(queries)
        query_ids = self._vocabulary.encode(distinct_queries, most, fixed_width=True)
        widths = self._widths(query_ids)
        for width in np.unique(widths).tolist():
            of_width = np.flatnonzero(widths == width)
            query_features = self.encode_queries([distinct_queries[row] for row in of_width])
            pairs = np.flatnonzero(widths[query_places] == width)
            query_rows = np.searchsorted(of_width, query_places[pairs])
            logits[pairs] = self.score(
                {name: rows[query_rows] for name, rows in query_features.items()},
                {name: rows[title_places[pairs]] for name, rows in title_features.items()},
            )
        return logits

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
        ids = self._vocabulary.encode(texts, max_tokens, fixed_width=True)
        widths = self._widths(ids)
        full_width = ids.shape[1] if fixed_width else int(widths.max(initial=self._lanes))
        features: dict[str, NDArray[Any]] = {}
        for width, places in _batches(widths, self._lanes):
            # A single text is encoded twice: see the module's docstring.
            rows_in = ids[places if len(places) != 1 else np.repeat(places, 2), :width]
            for output, rows in graph.run({"ids": rows_in}).items():
                name = output.partition("_")[2]  # title_vector -> vector
                # Some outputs have one row a token: as wide as this batch, padded here.
                by_token = isinstance(graph.outputs[output][1], str)
                if name not in features:
                    row_shape = (full_width, *rows.shape[2:]) if by_token else rows.shape[1:]
                    features[name] = np.zeros((len(texts), *row_shape), dtype=rows.dtype)
                if by_token:
                    features[name][places, :width] = rows[: len(places)]
                else:
                    features[name][places] = rows[: len(places)]
        return features

    @property
    def _lanes(self) -> int:
        """Columns that widths are a multiple of: LANES tokens."""
        return LANES * self._vocabulary.unit

    def _widths(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Columns (texts,) that each text is encoded with, from its ids (texts, columns)."""
        used = used_columns(ids, self._vocabulary.unit)
        whole = -(-np.maximum(used, 1) // self._lanes) * self._lanes
        widths: NDArray[np.int64] = np.minimum(whole, ids.shape[1])
        return widths


def _batches(widths: NDArray[np.int64], narrowest: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Width and places of each batch: texts of one width, ENCODE_BATCH at most.

    No text at all is one empty batch, which still says what the features are.
    """
    if not len(widths):
        yield narrowest, np.empty(0, dtype=np.int64)
    for width in np.unique(widths).tolist():
        places = np.flatnonzero(widths == width)
        for start in range(0, len(places), ENCODE_BATCH):
            yield width, places[start : start + ENCODE_BATCH]


def _distinct(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    places: dict[str, int] = {}
    rows = [places.setdefault(text, len(places)) for text in texts]
    return list(places), np.asarray(rows, dtype=np.int64)
