"""Pairs -> teacher: labels without judges, from a bi-encoder's cosine and lexical coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qtr_rerank.data.training_pairs import read_table, texts, with_column, write_table
from qtr_rerank.teacher.encoders import encode_texts


def add_cosine(encoder: str, pairs: Path, out: Path) -> None:
    """Write `pairs` with the column `cosine`, a bi-encoder's similarity of query and title."""
    table = read_table(pairs, ["clean_query", "title"])
    columns = []
    for name in ("clean_query", "title"):
        column = np.asarray(texts(table, name), dtype=object)
        distinct, rows = np.unique(column, return_inverse=True)
        columns.append((encode_texts(encoder, list(distinct)), rows))
    (queries, query_rows), (titles, title_rows) = columns
    cosine = np.concatenate(
        [
            np.einsum("nd,nd->n", queries[q], titles[t])
            for q, t in zip(
                np.array_split(query_rows, 64), np.array_split(title_rows, 64), strict=True
            )
        ]
    )
    write_table(with_column(table, "cosine", cosine), out)


def add_weak_label(pairs: Path, out: Path, cosine_share: float = 0.5) -> None:
    """Write `pairs` with `label` = cosine_share * cosine + (1 - cosine_share) * coverage.

    Clipped to 0..1. Needs no judges: the label for a new shop (cold start).
    """
    table = read_table(pairs, ["cosine", "coverage"])
    cosine = table.column("cosine").to_numpy()
    coverage = table.column("coverage").to_numpy()
    label = np.clip(cosine_share * cosine + (1.0 - cosine_share) * coverage, 0.0, 1.0)
    write_table(with_column(table, "label", label), out)
