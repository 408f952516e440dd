"""Home Depot, judged lists: what a model's scores of the development pairs are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from qtr_rerank.data.training_pairs import read_table, texts, with_column, write_table
from qtr_rerank.evaluate.pair_measures import auc, cross_fitted_line, judged_list_ndcg, rmse
from qtr_rerank.teacher.mixture import fit_mixture

RELEVANT, BEST = 2.33, 3.0
"""Relevance from which a product counts as relevant, and the highest there is."""
LOW, HIGH = 1.0, 3.0
OPINIONS = ("teacher_logit", "cosine", "coverage")
ROUNDS = 1000
GAINS = ("relevance", "relevance - 1", "2^(relevance - 1) - 1", "1 where relevant, else 0")

Floats = NDArray[np.float64]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """A row's figures, and its AUC in each bootstrap sample (rounds,), for differences."""

    figures: Figures
    auc_samples: Floats


class Judged:
    """The development pairs, and bootstrap samples of their queries, the same for every model."""

    def __init__(self, path: Path, seed: int = 7, rounds: int = ROUNDS) -> None:
        table = read_table(path, ["query", "title", "docid", "rating"])
        self.queries, self.titles = texts(table, "query"), texts(table, "title")
        self.ids = texts(table, "docid")
        self.ratings: Floats = table.column("rating").to_numpy()
        code_of: dict[str, int] = {}
        codes = [code_of.setdefault(query, len(code_of)) for query in self.queries]
        self.codes = np.asarray(codes, dtype=np.int64)
        self.distinct = tuple(code_of)
        self.relevant: NDArray[np.bool_] = self.ratings >= RELEVANT
        count = len(code_of)
        # How often each query is drawn, (rounds, queries).
        self._draws = np.random.default_rng(seed).multinomial(
            count, np.full(count, 1.0 / count), size=rounds
        )

    def measure(
        self, order: NDArray[np.floating], chances: NDArray[np.floating] | None = None
    ) -> Measured:
        """`order` (pairs,) ranks; `chances` (pairs,), calibrated probabilities, are compared with
        the ratings. Without them RMSE is of `order` itself, by a line.
        """
        samples = self.auc_samples(order)
        low, high = _interval(samples)
        ndcg = judged_list_ndcg(order, self.ratings, self.codes)
        ndcg_low, ndcg_high = _interval(self._draws @ ndcg / len(ndcg))
        binary = self.ndcg(order, GAINS[3])
        believed = order if chances is None else chances
        line = cross_fitted_line(believed, self.ratings, self.codes)
        figures = {
            "auc": auc(order, self.relevant),
            "auc_low": low,
            "auc_high": high,
            "auc_best": auc(order, self.ratings >= BEST),
            "ndcg": float(ndcg.mean()),
            "ndcg_low": ndcg_low,
            "ndcg_high": ndcg_high,
            "ndcg_binary": binary,
            "rmse": rmse(line, self.ratings),
        }
        if chances is not None:
            figures["rmse_raw"] = rmse(LOW + (HIGH - LOW) * chances, self.ratings)
        return Measured(rounded(figures), samples)

    def ndcg(self, order: NDArray[np.floating], gains: str) -> float:
        """nDCG@10 with one of GAINS, over the queries that have any gain."""
        labels, form = {
            GAINS[0]: (self.ratings, "linear"),
            GAINS[1]: (self.ratings - LOW, "linear"),
            GAINS[2]: (self.ratings - LOW, "exponential"),
            GAINS[3]: (self.relevant.astype(np.float64), "linear"),
        }[gains]
        return float(np.nanmean(judged_list_ndcg(order, labels, self.codes, gains=form)))

    def auc_samples(self, order: NDArray[np.floating]) -> Floats:
        """AUC in each bootstrap sample, (rounds,): each pair weighs what its query is drawn."""
        places = np.argsort(order, kind="stable")
        starts = np.flatnonzero(np.diff(order[places], prepend=-np.inf) != 0)
        relevant, codes = self.relevant[places], self.codes[places]
        areas = np.empty(len(self._draws))
        for number, drawn in enumerate(self._draws):
            weight = drawn[codes].astype(np.float64)
            positive = np.add.reduceat(weight * relevant, starts)
            negative = np.add.reduceat(weight * ~relevant, starts)
            # Those below, and half of those that tie.
            below = np.cumsum(negative) - negative / 2.0
            areas[number] = (positive * below).sum() / (positive.sum() * negative.sum())
        return areas

    def searched(self) -> dict[str, set[str]]:
        """Query -> the products judged relevant for it; queries without any are left out."""
        found: dict[str, set[str]] = {}
        for query, id, relevant in zip(self.queries, self.ids, self.relevant, strict=True):
            if relevant:
                found.setdefault(query, set()).add(id)
        return found

    def half(self) -> NDArray[np.bool_]:
        """(pairs,): one half of the queries, that of `cross_fitted_line`."""
        odd: NDArray[np.bool_] = self.codes % 2 == 1
        return odd


def kept(student: Measured, teacher: Measured) -> Figures:
    """What a student keeps of its teacher: of AUC above chance, with an interval, and of nDCG."""
    ratio = (student.auc_samples - 0.5) / (teacher.auc_samples - 0.5)
    low, high = _interval(ratio)
    mine, its = student.figures, teacher.figures
    return rounded(
        {
            "retention": (mine["auc"] - 0.5) / (its["auc"] - 0.5),
            "retention_low": low,
            "retention_high": high,
            "ndcg_kept": mine["ndcg"] / its["ndcg"],
            "ndcg_binary_kept": mine["ndcg_binary"] / its["ndcg_binary"],
        }
    )


def difference(row: Measured, other: Measured) -> Figures:
    """By how much a row's AUC is above another's, with a paired bootstrap interval."""
    low, high = _interval(row.auc_samples - other.auc_samples)
    return rounded({"auc": row.figures["auc"] - other.figures["auc"], "low": low, "high": high})


def mixed(
    judged: Judged, opinions: pa.Table, work: Path
) -> tuple[NDArray[np.float32], list[Figures]]:
    """Logits (pairs,) of `teacher mix`, and the weights of both halves.

    Each half of the development queries is mixed by weights fitted on the other: only these pairs
    are unseen by the teacher, and no label may help to predict itself.
    """
    logits = np.empty(len(judged.codes), dtype=np.float32)
    weights = []
    for name, mask in (("even", judged.half()), ("odd", ~judged.half())):
        path = work / "mix" / f"{name}.parquet"
        write_table(opinions.filter(pa.array(~mask)), path)
        mixture = fit_mixture(path, OPINIONS)
        logits[mask] = mixture.logits(opinions)[mask]
        weights.append(rounded(dict(mixture.weights)))
    return logits, weights


def opinions_of(scores: Path, cosine: Path) -> pa.Table:
    """A teacher's scored pairs with the bi-encoder's cosine beside them."""
    table = read_table(scores, ["teacher_logit", "coverage", "label"])
    return with_column(table, "cosine", read_table(cosine, ["cosine"]).column("cosine").to_numpy())


def rounded(figures: Figures) -> Figures:
    """To four decimals: more would be noise."""
    return {name: round(float(value), 4) for name, value in figures.items()}


def gains_table(judged: Judged, orders: dict[str, NDArray[np.floating]]) -> list[dict[str, object]]:
    """nDCG@10 of some orders with each of GAINS: which one do figures elsewhere speak of?"""
    return [
        {"gain": gains}
        | {name: round(judged.ndcg(order, gains), 4) for name, order in orders.items()}
        for gains in GAINS
    ]


def _interval(samples: Floats | Sequence[float]) -> tuple[float, float]:
    """The middle 95 %."""
    low, high = np.percentile(samples, [2.5, 97.5])
    return float(low), float(high)
