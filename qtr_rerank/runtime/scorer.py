"""Runtime: scores with a student. Texts become features, features become logits.

Results do not depend on the rest of the batch. ONNX Runtime has two such dependencies, found by
experiment: sums over tokens are split by memory alignment, so token counts are padded to a multiple
of LANES; matrix products of a single row take another code path, so one text is encoded twice.
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

# Texts encoded and pairs scored per batch. They bound the memory of a call.
ENCODE_BATCH = 32
SCORE_BATCH = 2048
# Tokens are padded to a multiple of this: 16 bytes of float32, one SIMD register.
LANES = 4


class Scorer:
    """A loaded artifact. Immutable, so safe to share between threads.

    An index stores its title features: arrays with one row per title and a fixed row shape.
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
        # Some scoring graphs need one query row per title row (they give both dimensions the same
        # name), the others also accept a single query row.
        rows = {name.partition("_")[0]: shape[0] for name, shape in self._score.inputs.items()}
        self._query_for_each = rows["query"] == rows["title"]

    @classmethod
    def load(cls, name_or_folder: str | Path, threads: int = 1) -> Scorer:
        """Load an artifact by name (see `qtr models`) or folder; raises ArtifactError."""
        return cls(Artifact.load(name_or_folder), threads)

    def encode_titles(self, titles: Sequence[str]) -> Arrays:
        """Title features by name, each (titles, ...). No template is applied."""
        return self._encode(self._title, titles, self.artifact.config.max_title_tokens)

    def encode_products(self, products: Sequence[Product]) -> Arrays:
        """Title features by name, each (products, ...), of the artifact's template's text."""
        return self.encode_titles([self.reads.render(product) for product in products])

    def encode_queries(self, queries: Sequence[str]) -> Arrays:
        """Query features by name, each (queries, ...), as wide as the longest query needs."""
        most = self.artifact.config.max_query_tokens
        return self._encode(self._query, queries, most, fixed_width=False)

    def score(self, query: Arrays, titles: Arrays) -> NDArray[np.float32]:
        """Logits (n,) of query features with 1 or n rows against title features with n rows."""
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
        """Logits (titles,) of one query against titles, encoded now."""
        if not titles:
            return np.empty(0, dtype=np.float32)
        return self.score(self.encode_queries([query]), self.encode_titles(titles))

    def score_pairs(self, queries: Sequence[str], titles: Sequence[str]) -> NDArray[np.float32]:
        """Logits (pairs,) of query i against title i; each distinct text is encoded once."""
        logits = np.empty(len(queries), dtype=np.float32)
        if not queries:
            return logits
        distinct_titles, title_rows = _distinct(titles)
        title_features = self.encode_titles(distinct_titles)
        # Queries are grouped by width, so that each is scored at the width that it has alone.
        most = self.artifact.config.max_query_tokens
        distinct_queries, query_rows = _distinct(queries)
        query_ids = self._vocabulary.encode(distinct_queries, most, fixed_width=True)
        widths = self._widths(query_ids)
        for width in np.unique(widths).tolist():
            of_width = np.flatnonzero(widths == width)
            query_features = self.encode_queries([distinct_queries[row] for row in of_width])
            pairs = np.flatnonzero(widths[query_rows] == width)
            rows_of_width = np.searchsorted(of_width, query_rows[pairs])
            logits[pairs] = self.score(
                {name: rows[rows_of_width] for name, rows in query_features.items()},
                {name: rows[title_rows[pairs]] for name, rows in title_features.items()},
            )
        return logits

    def probabilities(self, logits: NDArray[Float]) -> NDArray[Float]:
        """Calibrated probabilities of relevance, with the dtype and the order of `logits`.

        Extreme logits may saturate to equal probabilities.
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
        for width, batch in _batches(widths, self._lanes):
            # A single text is encoded twice: see the module's docstring.
            rows_in = ids[batch if len(batch) != 1 else np.repeat(batch, 2), :width]
            for output, rows in graph.run({"ids": rows_in}).items():
                name = output.partition("_")[2]  # title_vector -> vector
                # Outputs with one row per token are as wide as this batch and are padded.
                by_token = isinstance(graph.outputs[output][1], str)
                if name not in features:
                    row_shape = (full_width, *rows.shape[2:]) if by_token else rows.shape[1:]
                    features[name] = np.zeros((len(texts), *row_shape), dtype=rows.dtype)
                if by_token:
                    features[name][batch, :width] = rows[: len(batch)]
                else:
                    features[name][batch] = rows[: len(batch)]
        return features

    @property
    def _lanes(self) -> int:
        """The columns of LANES tokens; widths are multiples of it."""
        return LANES * self._vocabulary.unit

    def _widths(self, ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Columns (texts,) to encode each text with, from its ids (texts, columns)."""
        used = used_columns(ids, self._vocabulary.unit)
        whole = -(-np.maximum(used, 1) // self._lanes) * self._lanes
        widths: NDArray[np.int64] = np.minimum(whole, ids.shape[1])
        return widths


def _batches(widths: NDArray[np.int64], narrowest: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Width and row numbers of each batch: at most ENCODE_BATCH texts of one width.

    Without texts it yields one empty batch, which gives the features their names and dtypes.
    """
    if not len(widths):
        yield narrowest, np.empty(0, dtype=np.int64)
    for width in np.unique(widths).tolist():
        of_width = np.flatnonzero(widths == width)
        for start in range(0, len(of_width), ENCODE_BATCH):
            yield width, of_width[start : start + ENCODE_BATCH]


def _distinct(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct texts, and the row (texts,) of each text among them."""
    row_of: dict[str, int] = {}
    rows = [row_of.setdefault(text, len(row_of)) for text in texts]
    return list(row_of), np.asarray(rows, dtype=np.int64)
