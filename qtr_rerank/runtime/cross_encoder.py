"""Runtime: a cross-encoder in one ONNX graph.

It reads query and title as one text, so no title features can be stored. The students are compared
with it, in quality and in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import ArtifactError
from qtr_rerank.features.wordpiece import WordPiece
from qtr_rerank.runtime.session import Session

# Pairs per batch. On one CPU thread larger batches are no faster and need more padding.
BATCH = 32


def special_ids(vocabulary: WordPiece) -> tuple[int, int]:
    """The ids of [CLS] and [SEP]. Raises ArtifactError if the vocabulary lacks one."""
    id_of = {token: id for id, token in enumerate(vocabulary.tokens())}
    if "[CLS]" not in id_of or "[SEP]" not in id_of:
        raise ArtifactError("the vocabulary lacks [CLS] or [SEP]; use a BERT vocabulary")
    return id_of["[CLS]"], id_of["[SEP]"]


def join_pairs(
    query_ids: NDArray[Any], title_ids: NDArray[Any], special: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`[CLS] query [SEP] title [SEP]` of each pair, and its segments (0: query, 1: title).

    Inputs and outputs are ids (pairs, tokens), padded with 0 at the end; the output is as wide as
    the longest pair.
    """
    cls, sep = special
    pairs = np.arange(len(query_ids))
    query_lengths = (query_ids != 0).sum(axis=1)
    ends = query_lengths + (title_ids != 0).sum(axis=1) + 2
    ids = np.zeros((len(pairs), int(ends.max(initial=1)) + 1), dtype=np.int64)
    rows, columns = np.nonzero(query_ids)
    ids[rows, columns + 1] = query_ids[rows, columns]
    rows, columns = np.nonzero(title_ids)
    ids[rows, columns + query_lengths[rows] + 2] = title_ids[rows, columns]
    ids[:, 0] = cls
    ids[pairs, query_lengths + 1] = sep
    ids[pairs, ends] = sep
    columns = np.arange(ids.shape[1])
    segments = (columns >= query_lengths[:, None] + 2) & (columns <= ends[:, None])
    return ids, segments.astype(np.int64)


class CrossEncoder:
    """A graph from `ids` and `segments` (pairs, tokens) to `logits` (pairs,), and its vocabulary.

    It truncates texts at the same lengths as the students, so that all models read the same.
    """

    def __init__(
        self,
        graph: Path,
        vocabulary: WordPiece,
        *,
        threads: int = 1,
        max_query_tokens: int = 16,
        max_title_tokens: int = 32,
    ) -> None:
        self._session = Session(graph, threads)
        self._vocabulary = vocabulary
        self._special = special_ids(vocabulary)
        self._max_query_tokens, self._max_title_tokens = max_query_tokens, max_title_tokens

    def score_texts(self, query: str, titles: Sequence[str]) -> NDArray[np.float32]:
        """Logits (titles,) of one query against titles."""
        query_ids = self._vocabulary.encode([query], self._max_query_tokens)
        title_ids = self._vocabulary.encode(titles, self._max_title_tokens)
        return self._logits(np.repeat(query_ids, len(titles), axis=0), title_ids)

    def score_pairs(self, queries: Sequence[str], titles: Sequence[str]) -> NDArray[np.float32]:
        """Logits (pairs,) of query i against title i."""
        return self._logits(
            self._vocabulary.encode(queries, self._max_query_tokens),
            self._vocabulary.encode(titles, self._max_title_tokens),
        )

    def _logits(
        self, query_ids: NDArray[np.int32], title_ids: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        logits = np.empty(len(query_ids), dtype=np.float32)
        lengths = (query_ids != 0).sum(axis=1) + (title_ids != 0).sum(axis=1)
        # Batches of similar lengths need little padding.
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids, segments = join_pairs(query_ids[rows], title_ids[rows], self._special)
            outputs = self._session.run({"ids": ids, "segments": segments})
            logits[rows] = outputs["logits"]
        return logits
