"""Reads and measures scored pairs, as `qtr score` writes them: AUC, RMSE, judged-list nDCG."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qtr_rerank.errors import DataError
from qtr_rerank.evaluate.input_rows import cell_text, column_of, table_rows
from qtr_rerank.evaluate.measure_settings import PairColumns, PairSettings
from qtr_rerank.evaluate.pair_measures import (
    Floats,
    Ints,
    auc,
    cross_fitted_line,
    judged_list_ndcg,
    rmse,
)
from qtr_rerank.evaluate.qrels import QUERY_COLUMNS


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Pairs as columns of shape (pairs,); `codes` index `queries`, the distinct queries.

    `ordering` ranks the pairs; RMSE compares `probabilities` with the labels. `unlabelled` counts
    the rows that were left out because their label is empty.
    """

    path: Path
    queries: tuple[str, ...]
    codes: Ints
    labels: Floats
    ordering: Floats
    probabilities: Floats
    ordering_column: str
    probability_column: str
    unlabelled: int


@dataclass(frozen=True, slots=True)
class PairReport:
    """Measures of a file of scored pairs.

    `auc` and `positives` map each threshold to the AUC and to the number of positives. `rmse` is
    None for scores outside 0..1, `rmse_linear` for a single query. `ndcg` is the mean over the
    `ndcg_queries` queries with a label above 0.
    """

    path: str
    pairs: int
    unlabelled: int
    queries: int
    ndcg_queries: int
    ndcg: float
    auc: Mapping[float, float]
    positives: Mapping[float, int]
    rmse: float | None
    rmse_linear: float | None
    label_range: tuple[float, float]
    ordering_column: str
    probability_column: str
    settings: PairSettings
    per_query: Mapping[str, float]


def read_pairs(path: Path, columns: PairColumns) -> ScoredPairs:
    """Read a table of scored pairs (CSV, TSV, JSONL, Parquet); other columns are ignored.

    Queries are compared as exact text. Rows with an empty label are left out and counted.
    Raises DataError, with file, line, column and value, where a number is malformed.
    """
    names, rows = table_rows(path)
    usual = {name.strip().lower() for name in names}
    by_logit = columns.score is None and "logit" in usual
    score_name = columns.score or ("score" if "score" in usual or not by_logit else "logit")
    remedy = "score the pairs with 'qtr score', or name the column with --score"
    score = column_of(path, names, (score_name,), remedy)
    ordering = column_of(path, names, ("logit",), remedy) if by_logit else score
    query = column_of(
        path, names, (columns.query,) if columns.query else QUERY_COLUMNS, "name it with --query"
    )
    label = column_of(path, names, (columns.label,), "name it with --label")
    code_of: dict[str, int] = {}
    codes, labels, logits, scores = array("q"), array("d"), array("d"), array("d")
    unlabelled = 0
    for location, row in rows:
        text = cell_text(row, label)
        if not text.strip():
            unlabelled += 1
            continue
        codes.append(code_of.setdefault(cell_text(row, query), len(code_of)))
        labels.append(location.number(label, text))
        logits.append(location.number(ordering, cell_text(row, ordering)))
        scores.append(location.number(score, cell_text(row, score)))
    if not labels:
        raise DataError(f"{path} has no row with a label in {label!r}; expected at least one")
    return ScoredPairs(
        path=path,
        queries=tuple(code_of),
        codes=np.asarray(codes, np.int64),
        labels=np.asarray(labels, np.float64),
        ordering=np.asarray(logits, np.float64),
        probabilities=np.asarray(scores, np.float64),
        ordering_column=ordering,
        probability_column=score,
        unlabelled=unlabelled,
    )


def evaluate_pairs(pairs: ScoredPairs, settings: PairSettings) -> PairReport:
    """AUC at each threshold, RMSE on the labels' scale, and judged-list nDCG by query.

    RMSE compares low + (high - low) * score with the label, where [low, high] is the label range.
    `rmse_linear` first maps the scores by a line fitted on the other half of the queries (even
    against odd, in order of appearance), so that scale and offset of a score do not count.
    """
    thresholds = settings.thresholds or (float(pairs.labels.max()),)
    positives = {threshold: pairs.labels >= threshold for threshold in thresholds}
    for threshold, positive in positives.items():
        if positive.all() or not positive.any():
            raise DataError(
                f"{pairs.path}: {'every' if positive.all() else 'no'} label is at least "
                f"{threshold:g} (labels run from {pairs.labels.min():g} to "
                f"{pairs.labels.max():g}), so AUC has nothing to compare; choose another threshold"
            )
    low, high = settings.label_range or (float(pairs.labels.min()), float(pairs.labels.max()))
    scores = pairs.probabilities
    in_unit = bool(scores.min() >= 0 and scores.max() <= 1)
    ndcg = judged_list_ndcg(
        pairs.ordering, pairs.labels, pairs.codes, settings.cutoff, settings.gains
    )
    rated = np.isfinite(ndcg)
    return PairReport(
        path=str(pairs.path),
        pairs=len(pairs.labels),
        unlabelled=pairs.unlabelled,
        queries=len(pairs.queries),
        ndcg_queries=int(rated.sum()),
        ndcg=float(ndcg[rated].mean()) if rated.any() else 0.0,
        auc={at: auc(pairs.ordering, positive) for at, positive in positives.items()},
        positives={at: int(positive.sum()) for at, positive in positives.items()},
        rmse=rmse(low + (high - low) * scores, pairs.labels) if in_unit else None,
        rmse_linear=(
            rmse(cross_fitted_line(scores, pairs.labels, pairs.codes), pairs.labels)
            if len(pairs.queries) > 1
            else None
        ),
        label_range=(low, high),
        ordering_column=pairs.ordering_column,
        probability_column=pairs.probability_column,
        settings=settings,
        per_query={
            query: float(value)
            for query, value in zip(pairs.queries, ndcg, strict=True)
            if np.isfinite(value)
        },
    )
