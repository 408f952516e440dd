"""Teachers: pre-training, early stopping, stacking and mixing, with a tiny encoder, no mocks."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.data.training_pairs import read_table, write_table
from qtr_rerank.errors import DataError, SettingsError, TrainingError

torch = pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")

from qtr_rerank.teacher.finetune import FinetuneSettings, finetune  # noqa: E402
from qtr_rerank.teacher.mixture import Mixture, apply_mixture, fit_mixture  # noqa: E402
from qtr_rerank.teacher.pretrain import (  # noqa: E402
    IGNORED,
    PretrainSettings,
    mask_tokens,
    pretrain,
)
from qtr_rerank.teacher.score import ScoreSettings, score_pairs  # noqa: E402
from qtr_rerank.teacher.stack import stack  # noqa: E402

THINGS = ["hose", "kettle", "lamp", "phone", "case", "shoe", "desk", "mug"]


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 10_000))
def test_only_masked_positions_are_predicted(texts: int, tokens: int, seed: int) -> None:
    torch.manual_seed(seed)
    ids = torch.randint(5, 100, (texts, tokens))
    special = torch.zeros_like(ids, dtype=torch.bool)
    special[:, 0] = True
    inputs, targets = mask_tokens(ids, special, 3, 100, PretrainSettings("any", mask_share=0.5))
    predicted = targets != IGNORED
    assert not (predicted & special).any()
    assert torch.equal(targets[predicted], ids[predicted])
    assert torch.equal(inputs[~predicted], ids[~predicted])


def test_four_in_five_chosen_tokens_are_masked() -> None:
    torch.manual_seed(1)
    ids = torch.full((100, 100), 50)
    settings = PretrainSettings("any", mask_share=0.15)
    inputs, targets = mask_tokens(ids, torch.zeros_like(ids, dtype=torch.bool), 3, 1000, settings)
    predicted = targets != IGNORED
    assert predicted.float().mean() == pytest.approx(0.15, abs=0.02)
    assert (inputs[predicted] == 3).float().mean() == pytest.approx(0.8, abs=0.04)
    assert (inputs[predicted] == 50).float().mean() == pytest.approx(0.1, abs=0.03)


def test_finetuning_starts_from_a_pretrained_encoder(
    encoder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(5)
    titles = [" ".join(rng.choice(THINGS, 4, replace=False)) for _ in range(400)]
    settings = PretrainSettings(encoder, epochs=6, batch=32, learning_rate=1e-2)
    caplog.set_level(logging.INFO, logger="qtr_rerank.teacher.training_loop")
    folder = pretrain(titles, tmp_path / "ebert", settings)
    logged: list[Any] = [record.args for record in caplog.records]
    losses = [arguments[2] for arguments in logged if len(arguments) == 4]
    # The loss of a uniform guess: ln(30,522 tokens) = 10.3; ln(8 words of these titles) = 2.1.
    assert losses[-1] < 4.0
    finetune(None, [_judged(tmp_path)], tmp_path / "teacher", FinetuneSettings(str(folder)))
    assert (tmp_path / "teacher" / "model.safetensors").is_file()


def test_pretraining_without_titles_is_an_error(encoder: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no titles"):
        pretrain(["", "  "], tmp_path / "out", PretrainSettings(encoder))


def test_the_best_weights_on_held_out_queries_are_kept(encoder: str, tmp_path: Path) -> None:
    judged = _judged(tmp_path)
    # So high a learning rate that later evaluations are worse than the best one.
    settings = FinetuneSettings(
        encoder, epochs=3, batch=32, learning_rate=3e-2, checks_per_epoch=4, patience=2
    )
    finetune(None, [judged], tmp_path / "teacher", settings, dev=judged)
    report = json.loads((tmp_path / "teacher" / "teacher.json").read_text())
    score_pairs(tmp_path / "teacher", judged, tmp_path / "scores", ScoreSettings())
    table = read_table(tmp_path / "scores", ["teacher_logit", "label"])
    logit, label = (table.column(name).to_numpy() for name in ("teacher_logit", "label"))
    loss = np.mean(np.logaddexp(0.0, logit) - label * logit)
    assert loss == pytest.approx(report["held_out_loss"], abs=1e-3)


def test_ratings_are_scaled_to_0_1(encoder: str, tmp_path: Path) -> None:
    table = read_table(_judged(tmp_path), [])
    stars = pa.array(1.0 + 4.0 * table.column("label").to_numpy())
    write_table(
        table.drop_columns(["label"]).append_column("rating", stars), tmp_path / "s.parquet"
    )
    settings = FinetuneSettings(encoder, batch=32)
    finetune(None, [tmp_path / "s.parquet"], tmp_path / "stars", settings)
    finetune(None, [_judged(tmp_path)], tmp_path / "labels", settings)
    weights = "model.safetensors"
    assert (tmp_path / "stars" / weights).read_bytes() == (
        tmp_path / "labels" / weights
    ).read_bytes()


def test_a_diverging_run_suggests_a_lower_learning_rate(encoder: str, tmp_path: Path) -> None:
    settings = FinetuneSettings(encoder, epochs=3, batch=16, learning_rate=1e30)
    with pytest.raises(TrainingError, match="lower the learning rate"):
        finetune(None, [_judged(tmp_path)], tmp_path / "out", settings)


def test_stacking_trains_on_the_first_teachers_labels(encoder: str, tmp_path: Path) -> None:
    judged = _judged(tmp_path)
    settings = FinetuneSettings(encoder, epochs=2, batch=32, learning_rate=1e-2)
    first = finetune(None, [judged], tmp_path / "first", settings)
    unlabelled = read_table(judged, []).select(["query", "clean_query", "title"])
    write_table(unlabelled, tmp_path / "pairs.parquet")
    out = stack(
        first, tmp_path / "pairs.parquet", [judged], tmp_path / "second", settings, ScoreSettings()
    )
    labels = read_table(out / "labels.parquet", ["label", "teacher_logit"])
    logits = labels.column("teacher_logit").to_numpy()
    np.testing.assert_allclose(
        labels.column("label").to_numpy(), 1 / (1 + np.exp(-logits)), atol=1e-6
    )
    assert json.loads((out / "teacher.json").read_text())["encoder"] == str(out / "on-labels")


@given(
    st.lists(st.floats(-2, 2), min_size=1, max_size=3),
    st.floats(-1, 1),
    st.integers(0, 1000),
)
def test_fit_recovers_the_mixture_that_made_the_labels(
    tmp_path_factory: pytest.TempPathFactory, weights: list[float], bias: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    columns = {f"c{i}": rng.normal(size=400) for i in range(len(weights))}
    logit = bias + sum(w * c for w, c in zip(weights, columns.values(), strict=True))
    label = 1 / (1 + np.exp(-logit))
    path = tmp_path_factory.mktemp("mix") / "judged.parquet"
    write_table(pa.table(columns | {"label": label}), path)
    fitted = fit_mixture(path, list(columns))
    # The ridge penalty moves weights a little towards 0.
    assert list(fitted.weights.values()) == pytest.approx(weights, abs=0.1)
    assert fitted.bias == pytest.approx(bias, abs=0.1)


def test_a_mixture_is_saved_loaded_and_applied(tmp_path: Path) -> None:
    table = pa.table({"teacher_logit": [1.0, -1.0], "cosine": [0.5, 0.0], "title": ["a", "b"]})
    write_table(table, tmp_path / "pairs.parquet")
    Mixture({"teacher_logit": 2.0, "cosine": 4.0}, -1.0).save(tmp_path / "mixture.json")
    mixture = Mixture.load(tmp_path / "mixture.json")
    assert apply_mixture(mixture, tmp_path / "pairs.parquet", tmp_path / "out.parquet") == 2
    mixed = read_table(tmp_path / "out.parquet", ["title"]).column("teacher_logit").to_pylist()
    assert mixed == pytest.approx([3.0, -3.0])


def test_a_malformed_mixture_and_missing_columns_are_errors(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(DataError, match="no mixture"):
        Mixture.load(tmp_path / "bad.json")
    write_table(pa.table({"cosine": [0.5]}), tmp_path / "pairs.parquet")
    with pytest.raises(DataError, match="lacks"):
        apply_mixture(Mixture({"coverage": 1.0}, 0.0), tmp_path / "pairs.parquet", tmp_path / "o")
    with pytest.raises(SettingsError, match="at least one"):
        Mixture({}, 0.0)


def _judged(folder: Path) -> Path:
    """400 judged pairs, relevant if the title contains the first word of the query."""
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(400):
        query = f"{rng.choice(THINGS)} {rng.integers(60)}"
        title = " ".join(rng.choice(THINGS, 3, replace=False))
        rows.append((query, title, float(query.split()[0] in title)))
    queries, titles, labels = zip(*rows, strict=True)
    path = folder / "judged.parquet"
    columns = {"query": queries, "clean_query": queries, "title": titles}
    write_table(pa.table(columns | {"label": pa.array(labels, type=pa.float32())}), path)
    return path
