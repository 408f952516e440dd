"""Pair tables -> arrays of token ids and targets; each distinct text is encoded once."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from qtr_rerank.data.training_pairs import common_template, read_table, texts
from qtr_rerank.errors import DataError
from qtr_rerank.features.vocabulary import Vocabulary
from qtr_rerank.probability import sigmoid
from qtr_rerank.students.student import StudentSettings
from qtr_rerank.template import DEFAULT_TEMPLATE

_LOGIT_LIMIT = 8.0


class TargetSettings(Protocol):
    """The part of the training settings that decides tokens and targets."""

    @property
    def student(self) -> StudentSettings: ...
    @property
    def gold_share(self) -> float: ...
    @property
    def gold_repeats(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PairIds:
    """Pairs as row numbers in two tables of distinct texts; `target_logit` is what to learn."""

    queries: list[str]
    titles: list[str]
    query_ids: Tensor  # (distinct queries, tokens * unit) int32
    title_ids: Tensor  # (distinct titles, tokens * unit) int32
    query_of: Tensor  # (pairs,)
    title_of: Tensor  # (pairs,)
    target_logit: Tensor  # (pairs,)
    unit: int = 1  # columns per token
    reads: str = DEFAULT_TEMPLATE  # the template that made the titles

    def texts(self, pair: int) -> tuple[str, str]:
        """Query and title of a pair."""
        return self.queries[int(self.query_of[pair])], self.titles[int(self.title_of[pair])]

    @property
    def title_lengths(self) -> Tensor:
        """Columns without padding, (distinct titles,)."""
        return _used_columns(self.title_ids, self.unit)

    def ids(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Query and title ids of pairs, cut to the longest query and the longest title."""
        return (
            _trimmed(self.query_ids[self.query_of[rows]], self.unit),
            _trimmed(self.title_ids[self.title_of[rows]], self.unit),
        )

    def split(self, held_out_share: float) -> tuple[Tensor, Tensor]:
        """Row numbers (training, held out), split by the query's hash, so that held-out queries are
        never trained on. Pairs without a query (single sentences) are split by title.
        """
        by_query, by_title = _hash_shares(self.queries)[self.query_of], _hash_shares(self.titles)
        without = torch.tensor([not query for query in self.queries])[self.query_of]
        held_out = torch.where(without, by_title[self.title_of], by_query) < held_out_share
        rows = torch.arange(len(self.query_of))
        return rows[~held_out], rows[held_out]


def read_pair_ids(
    scores: Sequence[Path],
    gold: Sequence[Path],
    vocabulary: Vocabulary,
    settings: TargetSettings,
) -> PairIds:
    """Read scored transfer pairs, whose target is the teacher's logit, and scored judged pairs,
    whose target is between teacher and judges and which are repeated (see `DistillSettings`).

    Raises DataError without pairs, or if their titles were made with different templates.
    """
    queries: list[str] = []
    titles: list[str] = []
    targets: list[np.ndarray] = []
    for path in scores:
        table = read_table(path, ["query", "title", "teacher_logit"])
        queries += texts(table, "query")
        titles += texts(table, "title")
        targets.append(table.column("teacher_logit").to_numpy())
    for path in gold:
        table = read_table(path, ["query", "title", "label"])
        mixed = settings.gold_share * table.column("label").to_numpy()
        if settings.gold_share < 1.0:  # else the teacher is not needed
            table = read_table(path, ["query", "title", "teacher_logit", "label"])
            teacher = sigmoid(table.column("teacher_logit").to_numpy())
            mixed = mixed + (1.0 - settings.gold_share) * teacher
        mixed = np.clip(mixed, 1e-4, 1.0 - 1e-4)
        for _ in range(settings.gold_repeats):
            queries += texts(table, "query")
            titles += texts(table, "title")
            targets.append(np.log(mixed / (1.0 - mixed)))
    if not targets:
        raise DataError("no pairs to train on; give scored transfer pairs, judged pairs, or both")
    distinct_queries, query_of = _distinct(queries)
    distinct_titles, title_of = _distinct(titles)
    student = settings.student
    return PairIds(
        distinct_queries,
        distinct_titles,
        torch.from_numpy(vocabulary.encode(distinct_queries, student.max_query_tokens)),
        torch.from_numpy(vocabulary.encode(distinct_titles, student.max_title_tokens)),
        query_of,
        title_of,
        torch.from_numpy(np.clip(np.concatenate(targets), -_LOGIT_LIMIT, _LOGIT_LIMIT)).float(),
        vocabulary.unit,
        reads=common_template([*scores, *gold]),
    )


def _hash_shares(texts: Sequence[str]) -> Tensor:
    """A hash of each text in 0..1, the same in every run; (texts,)."""
    return torch.tensor([zlib.crc32(text.encode()) / 2**32 for text in texts], dtype=torch.float64)


def _used_columns(ids: Tensor, unit: int) -> Tensor:
    """As `features.vocabulary.used_columns`, but in torch, on the device of the ids."""
    positions = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    last = torch.where(ids != 0, positions, 0).amax(dim=1)
    return (last + unit - 1) // unit * unit


def _trimmed(ids: Tensor, unit: int) -> Tensor:
    return ids[:, : max(int(_used_columns(ids, unit).max()), unit)]


def _distinct(values: Sequence[str]) -> tuple[list[str], Tensor]:
    """The distinct values, and the position among them of each value."""
    positions: dict[str, int] = {}
    rows = [positions.setdefault(value, len(positions)) for value in values]
    return list(positions), torch.tensor(rows)
