"""Expected calibration error: worked by hand, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.evaluate.calibration import expected_calibration_error, reliability

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("probabilities", "labels", "expected"),
    [
        ([0.0, 1.0], [0, 1], 0.0),
        ([0.0, 1.0], [1, 0], 1.0),
        # Bins (0, 0.5] and (0.5, 1]: 2/3 |0.5 - 0.3| + 1/3 |0 - 0.9|.
        ([0.2, 0.4, 0.9], [1, 0, 0], 2 / 3 * 0.2 + 1 / 3 * 0.9),
        # Soft labels; 0.5 belongs to the lower bin.
        ([0.5, 0.7], [0.3, 0.75], 0.5 * 0.2 + 0.5 * 0.05),
    ],
)
def test_ece_is_mean_gap_of_bins(
    probabilities: list[float], labels: list[float], expected: float
) -> None:
    found = expected_calibration_error(probabilities, labels, bins=2)
    assert found == pytest.approx(expected, abs=1e-12)


@given(PAIRS, st.integers(1, 20))
def test_every_pair_is_in_the_bin_of_its_probability(
    pairs: list[tuple[float, float]], bins: int
) -> None:
    probabilities, labels = map(np.array, zip(*pairs, strict=True))
    found = reliability(probabilities, labels, bins)
    assert len(found) == bins
    assert (found[0].low, found[-1].high) == (0.0, 1.0)
    assert sum(each.pairs for each in found) == len(pairs)
    for each in found:
        within = (probabilities > each.low) & (probabilities <= each.high)
        within |= (probabilities == 0) & (each.low == 0)
        assert each.pairs == within.sum()
        if each.pairs:
            assert each.confidence == pytest.approx(probabilities[within].mean())
            assert each.accuracy == pytest.approx(labels[within].mean())


@given(PAIRS, st.integers(1, 20))
def test_ece_is_bounded_by_the_overall_gap_and_the_mean_pair_gap(
    pairs: list[tuple[float, float]], bins: int
) -> None:
    probabilities, labels = map(np.array, zip(*pairs, strict=True))
    found = expected_calibration_error(probabilities, labels, bins)
    assert abs(labels.mean() - probabilities.mean()) - 1e-9 <= found
    assert found <= np.abs(labels - probabilities).mean() + 1e-9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 20))
def test_ece_is_zero_where_probabilities_are_the_labels(values: list[float], bins: int) -> None:
    assert expected_calibration_error(values, values, bins) == pytest.approx(0.0, abs=1e-12)


@given(PAIRS, st.randoms())
def test_ece_does_not_depend_on_pair_order(
    pairs: list[tuple[float, float]], rng: np.random.Generator
) -> None:
    shuffled = list(pairs)
    rng.shuffle(shuffled)
    before, after = (
        expected_calibration_error(*zip(*each, strict=True)) for each in (pairs, shuffled)
    )
    assert after == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.5, 1.5], [0, 1], "probabilities run from 0.5 to 1.5"),
        ([0.5, 0.6], [0, 3], "labels run from 0 to 3"),
        ([], [], "not empty"),
        ([0.5], [0, 1], "one shape"),
        ([float("nan")], [1], "expected 0 to 1"),
    ],
)
def test_values_outside_0_to_1_are_refused(
    probabilities: list[float], labels: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        expected_calibration_error(probabilities, labels)


def test_zero_bins_are_refused() -> None:
    with pytest.raises(SettingsError, match="bins is 0"):
        reliability([0.5], [1.0], bins=0)
