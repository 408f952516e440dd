"""Home Depot, judged lists: AUC, nDCG and RMSE of a model's scores, with bootstrap intervals."""

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
"""Lowest relevance of a relevant product, and the highest relevance."""
LOW, HIGH = 1.0, 3.0
OPINIONS = ("teacher_logit", "cosine", "coverage")
ROUNDS = 1000
GAINS = ("relevance", "relevance - 1", "2^(relevance - 1) - 1", "1 where relevant, else 0")

Floats = NDArray[np.float64]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """A row's figures, and its AUC in each bootstrap sample (rounds,), for paired differences."""

    figures: Figures
    auc_samples: Floats


class Judged:
    """The development pairs and bootstrap samples of their queries, the same for every model."""

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
        self, scores: NDArray[np.floating], probabilities: NDArray[np.floating] | None = None
    ) -> Measured:
        """Figures of `scores` (pairs,) and of calibrated `probabilities` (pairs,).

        RMSE compares the probabilities with the ratings; without them, the scores.
        """
        samples = self.auc_samples(scores)
        low, high = _interval(samples)
        ndcg = judged_list_ndcg(scores, self.ratings, self.codes)
        ndcg_low, ndcg_high = _interval(self._draws @ ndcg / len(ndcg))
        binary = self.ndcg(scores, GAINS[3])
        predictions = scores if probabilities is None else probabilities
        line = cross_fitted_line(predictions, self.ratings, self.codes)
        figures = {
            "auc": auc(scores, self.relevant),
            "auc_low": low,
            "auc_high": high,
            "auc_best": auc(scores, self.ratings >= BEST),
            "ndcg": float(ndcg.mean()),
            "ndcg_low": ndcg_low,
            "ndcg_high": ndcg_high,
            "ndcg_binary": binary,
            "rmse": rmse(line, self.ratings),
        }
        if probabilities is not None:
            scaled = LOW + (HIGH - LOW) * probabilities
            figures["rmse_raw"] = rmse(scaled, self.ratings)
        return Measured(rounded(figures), samples)

    def ndcg(self, scores: NDArray[np.floating], gains: str) -> float:
        """nDCG@10 with one of GAINS, over the queries with a gain above 0."""
        labels, form = {
            GAINS[0]: (self.ratings, "linear"),
            GAINS[1]: (self.ratings - LOW, "linear"),
            GAINS[2]: (self.ratings - LOW, "exponential"),
            GAINS[3]: (self.relevant.astype(np.float64), "linear"),
        }[gains]
        return float(np.nanmean(judged_list_ndcg(scores, labels, self.codes, gains=form)))

    def auc_samples(self, scores: NDArray[np.floating]) -> Floats:
        """AUC in each bootstrap sample, (rounds,); pairs weigh as often as their query is drawn."""
        places = np.argsort(scores, kind="stable")
        starts = np.flatnonzero(np.diff(scores[places], prepend=-np.inf) != 0)
        relevant, codes = self.relevant[places], self.codes[places]
        areas = np.empty(len(self._draws))
        for number, drawn in enumerate(self._draws):
            weight = drawn[codes].astype(np.float64)
            positive = np.add.reduceat(weight * relevant, starts)
            negative = np.add.reduceat(weight * ~relevant, starts)
            # Irrelevant pairs below, and half of those that tie.
            below = np.cumsum(negative) - negative / 2.0
            areas[number] = (positive * below).sum() / (positive.sum() * negative.sum())
        return areas

    def relevant_ids(self) -> dict[str, set[str]]:
        """Query -> ids of the products judged relevant for it; queries without any are left out."""
        ids_of: dict[str, set[str]] = {}
        for query, id, relevant in zip(self.queries, self.ids, self.relevant, strict=True):
            if relevant:
                ids_of.setdefault(query, set()).add(id)
        return ids_of

    def half(self) -> NDArray[np.bool_]:
        """Mask (pairs,) of one half of the queries, the one that `cross_fitted_line` uses."""
        odd: NDArray[np.bool_] = self.codes % 2 == 1
        return odd


def retention(student: Measured, teacher: Measured) -> Figures:
    """A student's share of its teacher's AUC above 0.5, with an interval, and of its nDCG."""
    ratio = (student.auc_samples - 0.5) / (teacher.auc_samples - 0.5)
    low, high = _interval(ratio)
    of_student, of_teacher = student.figures, teacher.figures
    return rounded(
        {
            "retention": (of_student["auc"] - 0.5) / (of_teacher["auc"] - 0.5),
            "retention_low": low,
            "retention_high": high,
            "ndcg_kept": of_student["ndcg"] / of_teacher["ndcg"],
            "ndcg_binary_kept": of_student["ndcg_binary"] / of_teacher["ndcg_binary"],
        }
    )


def difference(row: Measured, other: Measured) -> Figures:
    """AUC of a row minus AUC of another, with a paired bootstrap interval."""
    low, high = _interval(row.auc_samples - other.auc_samples)
    return rounded({"auc": row.figures["auc"] - other.figures["auc"], "low": low, "high": high})


def mixed(
    judged: Judged, opinions: pa.Table, work: Path
) -> tuple[NDArray[np.float32], list[Figures]]:
    """Logits (pairs,) of `qtr teacher mix`, and the weights fitted on each half.

    Each half of the development queries is mixed with weights fitted on the other half. No other
    pairs are new to the teacher, and no label may help to predict itself.
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
    """A teacher's scored pairs with the column `cosine` of the bi-encoder added."""
    table = read_table(scores, ["teacher_logit", "coverage", "label"])
    return with_column(table, "cosine", read_table(cosine, ["cosine"]).column("cosine").to_numpy())


def rounded(figures: Figures) -> Figures:
    """Figures to four decimals; more would be noise."""
    return {name: round(float(value), 4) for name, value in figures.items()}


def gains_table(judged: Judged, scores: dict[str, NDArray[np.floating]]) -> list[dict[str, object]]:
    """nDCG@10 of each model's scores with each of GAINS, to compare with published figures."""
    return [
        {"gain": gains}
        | {name: round(judged.ndcg(values, gains), 4) for name, values in scores.items()}
        for gains in GAINS
    ]


def _interval(samples: Floats | Sequence[float]) -> tuple[float, float]:
    """The 2.5th and 97.5th percentiles."""
    low, high = np.percentile(samples, [2.5, 97.5])
    return float(low), float(high)
