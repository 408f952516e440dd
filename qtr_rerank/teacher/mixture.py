"""Teachers -> students: several teachers' scores of a pair become one calibrated logit.

A cross-encoder, a bi-encoder's cosine and lexical coverage make different errors. A logistic
regression on their columns, fitted on judged pairs that none of them was trained on, gives one
`teacher_logit` that is comparable across queries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from qtr_rerank.atomic import write_json
from qtr_rerank.data.training_pairs import read_table, with_column, write_table
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.probability import sigmoid

_MAX_STEPS, _RIDGE = 50, 1e-3


@dataclass(frozen=True, slots=True)
class Mixture:
    """logit = bias + sum of weight * column. Raises SettingsError without columns."""

    weights: Mapping[str, float]
    bias: float

    def __post_init__(self) -> None:
        if not self.weights:
            raise SettingsError("a mixture has no columns; name at least one")

    def logits(self, table: pa.Table) -> NDArray[np.float32]:
        """(pairs,) of a table that has all columns of the mixture."""
        total = np.full(table.num_rows, self.bias, dtype=np.float64)
        for name, weight in self.weights.items():
            total += weight * table.column(name).to_numpy()
        return total.astype(np.float32)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        fields = {"weights": dict(self.weights), "bias": self.bias}
        write_json(path, fields)

    @classmethod
    def load(cls, path: Path) -> Mixture:
        """Read what `save` wrote. Raises DataError if the file is missing or malformed."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return cls({name: float(w) for name, w in fields["weights"].items()}, fields["bias"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is no mixture ({error!r}); expected a file written by 'qtr teacher mix'"
            ) from error


def fit_mixture(judged: Path, columns: Sequence[str]) -> Mixture:
    """The mixture that best predicts the judges' `label` (0..1): logistic regression with a small
    ridge penalty, by iteratively reweighted least squares (Hastie et al. 2009, section 4.4.1).
    """
    table = read_table(judged, [*columns, "label"])
    values = np.stack([table.column(name).to_numpy().astype(np.float64) for name in columns], 1)
    label = table.column("label").to_numpy().astype(np.float64)
    if label.min() < 0.0 or label.max() > 1.0:
        raise DataError(f"{judged}: labels span {label.min():g}..{label.max():g}; expected 0..1")
    centre, spread = values.mean(0), np.maximum(values.std(0), 1e-9)
    inputs = np.column_stack([(values - centre) / spread, np.ones(len(label))])
    ridge = _RIDGE * len(label) * np.diag([1.0] * len(columns) + [0.0])
    coefficients = np.zeros(len(columns) + 1)
    for _ in range(_MAX_STEPS):
        predicted = sigmoid(inputs @ coefficients)
        gradient = inputs.T @ (label - predicted) - ridge @ coefficients
        hessian = (inputs * (predicted * (1 - predicted) + 1e-9)[:, None]).T @ inputs + ridge
        step = np.linalg.solve(hessian + 1e-9 * np.eye(len(coefficients)), gradient)
        coefficients += step
        if np.abs(step).max() < 1e-8:
            break
    weights = coefficients[:-1] / spread
    return Mixture(
        {name: float(weight) for name, weight in zip(columns, weights, strict=True)},
        float(coefficients[-1] - weights @ centre),
    )


def apply_mixture(mixture: Mixture, pairs: Path, out: Path) -> int:
    """Write `pairs` with the mixture's logits as `teacher_logit`; returns the number of rows."""
    table = read_table(pairs, list(mixture.weights))
    write_table(with_column(table, "teacher_logit", mixture.logits(table)), out)
    return int(table.num_rows)
