"""The parts that both training loops share: batches of similar length, the step, the checkpoint."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.errors import DataError, TrainingError

torch = pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")

from qtr_rerank.teacher.pretrain import PretrainSettings  # noqa: E402
from qtr_rerank.teacher.training_loop import Training  # noqa: E402
from qtr_rerank.torch_training import Batch, similar_length_batches  # noqa: E402


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 9), st.integers(1, 4))
def test_every_row_is_in_one_batch(lengths: list[int], size: int, pool: int) -> None:
    rng = np.random.default_rng(7)
    batches = similar_length_batches(np.array(lengths, np.int64), size, pool, rng)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(0 < len(batch) <= size for batch in batches)


def test_batches_hold_rows_of_similar_length() -> None:
    lengths = np.random.default_rng(1).integers(1, 1000, 640)
    batches = similar_length_batches(lengths, 10, 64, np.random.default_rng(7))
    spread = [np.ptp(lengths[batch]) for batch in batches]
    assert max(spread) < 100
    assert any(a.mean() > b.mean() for a, b in pairwise(batches))


class InterruptionError(Exception):
    pass


def _train(folder: Path, stop_at: int | None = None, learning_rate: float = 1e-2) -> Any:
    """The weights after 250 steps of a small net with dropout, or after an interruption."""
    torch.manual_seed(7)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    inputs = torch.randn(100, 4)
    settings = PretrainSettings("unused", epochs=25, batch=10, learning_rate=learning_rate)
    training = Training(net, np.ones(100, np.int64), settings, folder)

    def loss_of(rows: Batch) -> Any:
        return (net(inputs[rows]).squeeze(1) - inputs[rows].sum(1)).square().mean()

    def after(done: int) -> bool:
        if done == stop_at:
            raise InterruptionError
        return False

    training.run(loss_of, after)
    training.finish()
    return torch.cat([weight.detach().flatten() for weight in net.parameters()])


def test_an_interrupted_run_resumes_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = _train(tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()
    with pytest.raises(InterruptionError):
        _train(tmp_path, stop_at=230)  # the last checkpoint is of step 200
    resumed = _train(tmp_path)
    assert torch.equal(resumed, whole)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        _train(tmp_path, stop_at=230)
    with pytest.raises(DataError, match="other settings or pairs; give the same ones"):
        _train(tmp_path, learning_rate=1e-3)


def test_an_infinite_loss_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"at step \d+ of 250; lower the learning rate"):
        _train(tmp_path, learning_rate=1e30)
