"""The Home Depot experiment on an invented shop: steps, measures, conclusions on the page."""

from __future__ import annotations

import copy
import json
import logging
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")
pytest.importorskip("transformers")
pytest.importorskip("matplotlib", reason="plots need: pip install 'qtr-rerank[dev]'")

from experiments import homedepot_page, homedepot_plots
from experiments.homedepot import run
from experiments.homedepot_measures import (
    OPINIONS,
    Judged,
    difference,
    mixed,
    opinions_of,
    retention,
)
from experiments.homedepot_search import as_bytes
from experiments.homedepot_steps import (
    HomeDepotSettings,
    generated_for,
    sample,
    teacher_notes,
)
from experiments.homedepot_students import SIZES, Student, students
from experiments.tables import END
from qtr_rerank.data.training_pairs import read_table, texts, write_table
from qtr_rerank.errors import DataError
from qtr_rerank.evaluate.pair_measures import auc
from qtr_rerank.recipe.steps import StepRunner
from tests.tiny_encoder import untrained_encoder

KINDS = ["small", "large", "red", "blue", "steel", "oak", "brass", "garden", "folding", "flat"]
KINDS += ["round", "heavy", "light", "copper", "white", "black", "indoor", "short", "tall", "deep"]
KINDS += ["outdoor", "slim", "thick", "soft", "hard", "green", "grey", "pine", "iron", "tin"]
KINDS += ["narrow", "wide", "curved", "plain", "glossy", "smooth", "rough", "quiet", "fast", "warm"]
THINGS = ["hose", "kettle", "lamp", "drill", "shelf", "door", "desk", "mug", "saw", "vase", "rug"]
THINGS += ["bolt", "chair", "pump", "tile", "brush", "ladder", "fan", "sink", "tap", "rope", "box"]
THINGS += ["gate", "bench", "stove", "clock", "mirror", "hinge", "wheel", "torch"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """homedepot/ as in QTR_DATA_DIR: 1,200 products, and as many queries of two judgments."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "homedepot").mkdir()
    names = [f"{kind} {thing}" for thing in THINGS for kind in KINDS]
    rng = np.random.default_rng(5)
    titles = [f"{name} {rng.integers(2, 90)} in." for name in names]
    rows = [f"{number},{title}\n" for number, title in enumerate(titles)]
    (folder / "homedepot" / "products.csv").write_text(
        "product_uid,product_title\n" + "".join(rows)
    )
    judged: list[str] = []
    for number, name in enumerate(names):
        # The product itself, and another of the same thing or of another thing.
        first = number // len(KINDS) * len(KINDS)
        near = first + (number - first + int(rng.integers(1, len(KINDS)))) % len(KINDS)
        other = (first + int(rng.integers(len(KINDS), len(names)))) % len(names)
        for place, rating in ((number, 3), (near, 2.33) if number % 2 else (other, 1)):
            judged.append(f"{len(judged)},{place},{titles[place]},{name},{rating}\n")
    (folder / "homedepot" / "judgments.csv").write_text(
        "id,product_uid,product_title,search_term,relevance\n" + "".join(judged)
    )
    return folder


@pytest.fixture(scope="module")
def wide_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained two-layer BERT, as wide as the students' tables and the smaller rival."""
    return untrained_encoder(
        tmp_path_factory.mktemp("encoder"),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
    )


ROWS = (
    Student("match", "match", chosen=("epochs=1",)),
    Student("twin", "twin", chosen=("epochs=1", "student.dim=64", "student.vector=64")),
    Student("match-gold", "match", "gold", "gold labels alone", hard_labels=True),
    Student(
        "match-plain",
        "match",
        "no-augmentation",
        "no augmentation",
        augmented=False,
        chosen=("epochs=1",),
    ),
    Student("match-50k", "match", "size", "200", transfer=200, chosen=("epochs=1",)),
)


def test_experiment_runs_resumes_and_shows_its_results(
    data: Path,
    wide_encoder: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    caplog.set_level(logging.INFO, logger="qtr_rerank.recipe.steps")
    work = tmp_path / "work"
    settings = HomeDepotSettings(
        wide_encoder,
        transfer=600,
        generated=60,
        stacked=200,
        pretrain_epochs=1,
        teacher_epochs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own
        first = run(data, work, settings, ROWS, ["2x128"], seconds=0.01)
        output = capsys.readouterr().out
        for command in ("teacher pretrain", "teacher stack", "pairs augment", "distill twin"):
            assert f"+ qtr {command}" in output
        assert "+ python -m experiments.rivals distill --shape 2x128" in output
        shutil.rmtree(work / "artifacts" / "match-gold")
        again = run(data, work, settings, ROWS, ["2x128"], seconds=0.01)
    output = capsys.readouterr().out
    assert "+ qtr export" in output
    for command in ("distill", "teacher finetune", "teacher pretrain", "teacher stack", "pairs"):
        assert f"+ qtr {command}" not in output
    assert f"kept  {work / 'recall' / 'twin.json'}" in output
    for outcome in ("bm25-dev.parquet", "students/match/probes.json"):
        assert f"{outcome}: kept" in caplog.text
    assert first == again
    _check_the_report(first, work)
    _check_what_is_shown(first, tmp_path)
    with pytest.raises(DataError, match=r"begun with other stacked .* another --work"):
        run(data, work, replace(settings, stacked=100), ROWS)


def _check_the_report(report: dict[str, Any], work: Path) -> None:
    losses = {row["id"]: row.get("held_out_loss") for row in report["teachers"]}
    assert report["teacher"] == min(("plain", "ebert"), key=lambda name: losses[name])
    rows = {row["id"]: row for row in report["rows"]}
    match, gold = rows["match"], rows["match-gold"]
    assert match["auc"] > 0.9, "the titles contain the words of the query"
    assert gold["training"]["gold_share"] == 1.0
    assert (gold["transfer"], rows["match-50k"]["transfer"], match["transfer"]) == (0, 200, 600)
    assert gold["difference"]["auc"] == pytest.approx(gold["auc"] - match["auc"], abs=1e-4)
    assert "milliseconds" not in gold
    random, mean = (
        next(row for row in report["baselines"] if row["id"] == id) for id in ("random", "mean")
    )
    assert random["auc"] == 0.5
    assert random["auc_low"] == random["auc_high"] == 0.5
    # Half the ratings are 3, a quarter 2.33, a quarter 1.
    assert mean["rmse_raw"] == pytest.approx(np.std([3, 3, 2.33, 1]), abs=0.03)
    ways = {(row["retrieval"], row["vectors"]) for row in report["recall"]}
    assert len(report["recall"]) == len(ways) == 7
    assert [row["id"] for row in report["rivals"]] == ["2x128 fp32", "2x128 int8"]
    assert {"bert2dnn", "4x312"} <= set(report["missing"])
    scores = read_table(work / "transfer-scores", ["teacher_logit"])
    assert scores.num_rows == report["counts"]["transfer"]
    # No training query is among those that are measured on.
    given = set((work / "queries.csv").read_text().splitlines())
    assert not given & set(texts(read_table(work / "dev.parquet", ["query"]), "query"))


def _check_what_is_shown(report: dict[str, Any], tmp_path: Path) -> None:
    shown = homedepot_page.figures(json.loads(json.dumps(report)))
    for heading in ("Teachers", "Students", "Distillation", "Size", "Retrieval", "Goals"):
        assert f"### {heading}" in shown
    assert "| 200 | " in shown
    homedepot_plots.draw(report, tmp_path)
    drawn = {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")}
    assert set(drawn) == {f"homedepot-{name}.svg" for name in ("sizes", "distillation", "pareto")}
    homedepot_plots.draw(report, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")} == drawn
    page = tmp_path / "page.md"
    page.write_text(f"before\n{homedepot_page.START}\nold\n{END}\nafter\n")
    homedepot_page.write(report, page)
    homedepot_page.write(report, page)
    assert page.read_text() == (
        f"before\n{homedepot_page.START}\n\n{homedepot_page.figures(report)}\n\n{END}\nafter\n"
    )


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """200 queries of four products each."""
    rng = np.random.default_rng(1)
    ratings = rng.choice([1.0, 2.0, 2.33, 3.0], 800)
    path = tmp_path_factory.mktemp("judged") / "dev.parquet"
    write_table(
        pa.table(
            {
                "query": [f"query {place // 4}" for place in range(800)],
                "title": [f"title {place}" for place in range(800)],
                "docid": [str(place) for place in range(800)],
                "rating": ratings,
                "label": pa.array((ratings - 1) / 2, type=pa.float32()),
            }
        ),
        path,
    )
    return Judged(path, rounds=200)


def test_auc_of_bootstrap_samples_is_around_the_auc(judged: Judged) -> None:
    # Coarse, so that scores tie.
    order = np.round(judged.ratings + np.random.default_rng(2).normal(0, 1, 800))
    measured = judged.measure(order)
    assert measured.figures["auc"] == pytest.approx(auc(order, judged.relevant), abs=1e-4)
    assert measured.auc_samples.mean() == pytest.approx(measured.figures["auc"], abs=0.01)
    assert measured.figures["auc_low"] < measured.figures["auc"] < measured.figures["auc_high"]


def test_retention_and_difference_are_paired(judged: Judged) -> None:
    good = judged.measure(judged.ratings + np.random.default_rng(3).normal(0, 1, 800))
    assert difference(good, good) == {"auc": 0.0, "low": 0.0, "high": 0.0}
    whole = retention(good, good)
    assert whole["retention"] == whole["retention_low"] == whole["ndcg_kept"] == 1.0
    random = judged.measure(np.zeros(800))
    assert difference(random, good)["high"] < 0
    assert retention(random, good)["retention"] == 0.0


def test_mixture_is_fitted_on_the_other_half_of_the_queries(judged: Judged, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    opinions = pa.table(
        {name: judged.ratings + rng.normal(0, 1, 800) for name in OPINIONS}
        | {"label": (judged.ratings - 1) / 2}
    )
    logits, weights = mixed(judged, opinions, tmp_path)
    assert all(set(fitted) == set(OPINIONS) for fitted in weights)
    alone = opinions.column(OPINIONS[0]).to_numpy()
    assert auc(logits, judged.relevant) > auc(alone, judged.relevant) + 0.03
    # Inverted labels of one half invert the mixture of the other half.
    half = judged.half()
    turned = opinions.set_column(
        3,
        "label",
        pa.array(np.where(half, 1.0, 0.0) + np.where(half, -1.0, 1.0) * logits_labels(judged)),
    )
    other, _ = mixed(judged, turned, tmp_path)
    np.testing.assert_array_equal(other[half], logits[half])
    assert auc(other[~half], judged.relevant[~half]) < 0.5


def logits_labels(judged: Judged) -> np.ndarray:
    return (judged.ratings - 1) / 2


def test_opinions_are_columns_of_one_table(tmp_path: Path) -> None:
    columns = {"teacher_logit": [1.0], "coverage": [0.5], "label": [1.0]}
    write_table(pa.table({"query": ["a"], "title": ["b"]} | columns), tmp_path / "scores.parquet")
    write_table(pa.table({"cosine": [0.25]}), tmp_path / "cosine.parquet")
    table = opinions_of(tmp_path / "scores.parquet", tmp_path / "cosine.parquet")
    assert [table.column(name)[0].as_py() for name in OPINIONS] == [1.0, 0.25, 0.5]


def test_smaller_sample_is_part_of_a_larger_one(tmp_path: Path) -> None:
    runner = StepRunner(tmp_path, {})
    write_table(pa.table({"place": list(range(100))}), tmp_path / "all.parquet")
    samples = [
        read_table(
            sample(runner, tmp_path / "all.parquet", rows, tmp_path / f"{rows}.parquet", 7), []
        )
        .column("place")
        .to_pylist()
        for rows in (10, 40, 400)
    ]
    assert [len(places) for places in samples] == [10, 40, 100]
    assert set(samples[0]) < set(samples[1]) < set(samples[2])
    assert all(places == sorted(places) for places in samples)


def test_teacher_without_held_out_loss_is_refused(tmp_path: Path) -> None:
    (tmp_path / "teacher-plain").mkdir()
    (tmp_path / "teacher-plain" / "teacher.json").write_text("{}")
    with pytest.raises(DataError, match="has no held_out_loss"):
        teacher_notes(tmp_path, "plain")


@pytest.mark.parametrize(
    ("transfer", "generated"), [(50_000, 25_000), (200_000, 25_000), (1_000_000, 225_000)]
)
def test_larger_transfer_set_has_more_queries(transfer: int, generated: int) -> None:
    assert generated_for(transfer) == generated


@pytest.mark.parametrize("transfer", SIZES)
def test_rows_have_unique_ids_and_sizes_below_the_full_set(transfer: int) -> None:
    rows = students(transfer)
    assert len({row.id for row in rows}) == len(rows)
    assert {row.transfer for row in rows if row.transfer} == {
        size for size in SIZES if size < transfer
    }
    # The row that a variant is compared with is among them.
    assert {row.kind for row in rows} <= {row.id for row in rows}


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8))
def test_quantisation_error_is_at_most_half_a_step(values: list[float]) -> None:
    vectors = np.array([values], dtype=np.float32)
    assert np.abs(as_bytes(vectors, -1.0, 1.0) - vectors).max() <= 1 / 255 + 1e-6
    most = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-12)
    assert (np.abs(as_bytes(vectors, -most, most) - vectors) <= most / 255 + 1e-6).all()


def _figures(area: float, **more: Any) -> dict[str, Any]:
    return {
        "auc": area,
        "auc_low": area - 0.01,
        "auc_high": area + 0.01,
        "auc_best": area,
        "ndcg": 0.96,
        "ndcg_binary": 0.9,
        "rmse": 0.46,
        "rmse_raw": 0.47,
    } | more


def _gap(other: str, gap: float, half: float = 0.004) -> dict[str, Any]:
    return {"from": other, "auc": gap, "low": gap - half, "high": gap + half}


def _student(id: str, area: float, group: str = "main", **more: Any) -> dict[str, Any]:
    share = (area - 0.5) / 0.26
    return (
        {"id": id, "kind": "match", "group": group, "label": "", "transfer": 200_000}
        | _figures(area)
        | {"retention": share, "retention_low": share - 0.02, "retention_high": share + 0.02}
        | {"ndcg_kept": 0.998, "ndcg_binary_kept": 0.99, "training": {"loss": "logit_mse"}}
        | more
    )


def _cost(one: float, hundred: float) -> dict[str, float]:
    return {"1 pair from text": one, "100 pairs from text": hundred}


REPORT: dict[str, Any] = {
    "encoder": "MiniLM",
    "teacher": "stacked",
    "counts": {
        "products": 54_667,
        "train_pairs": 41_517,
        "train_queries": 6_583,
        "dev_pairs": 18_143,
        "dev_queries": 2_888,
        "dev_relevant": 12_455,
        "transfer": 200_000,
        "stacked": 60_000,
        "augmented": 40_000,
    },
    "teachers": [
        {"id": "plain", "held_out_loss": 0.55} | _figures(0.75),
        {"id": "ebert", "held_out_loss": 0.54, "difference": _gap("plain", 0.002)}
        | _figures(0.752),
        {"id": "stacked", "held_out_loss": 0.53, "difference": _gap("plain", 0.01)}
        | _figures(0.76, rmse=0.449),
        {"id": "mixed", "difference": _gap("stacked", -0.01)} | _figures(0.75),
    ],
    "baselines": [
        {"id": "bm25"} | _figures(0.62),
        {"id": "random"} | _figures(0.5),
        {"id": "mean", "rmse_raw": 0.53},
    ],
    "gains": [
        {"gain": "relevance", "random": 0.957, "bm25": 0.963, "teacher": 0.966},
        {"gain": "1 where relevant, else 0", "random": 0.874, "bm25": 0.891, "teacher": 0.899},
    ],
    "rows": [
        _student("match", 0.75, milliseconds=_cost(0.4, 5.0)),
        _student("match-gold", 0.73, "gold", difference=_gap("match", -0.02)),
        _student(
            "match-margin_mse", 0.752, "loss", label="margin_mse", difference=_gap("match", 0.002)
        ),
    ],
    "rivals": [
        {"id": "2x128 int8", "milliseconds": _cost(0.3, 20.0)} | _figures(0.74),
        {"id": "4x312 fp32", "milliseconds": _cost(3.0, 200.0)} | _figures(0.77),
    ],
    "recall": [],
    "missing": ["twin"],
}


@pytest.mark.parametrize(
    "sentence",
    [
        "| stacked (the teacher) | 0.530 | 0.449 |",
        "| teacher: RMSE at most 0.45 | 0.449 | reached |",
        "| teacher: AUC at least 0.775 | 0.760 | missed by 0.015 |",
        "97 % of the teacher's AUC - 0.5 | match: 96.2 % | missed by 0.8 points |",
        "best student: 99.5 % of the teacher's nDCG@10 | match: 99.8 % | reached",
        'gain here is "1 where relevant, else 0"',
        "2x128 int8: the best student of equal or lower latency is match, +0.010 AUC at 4.0 times",
        "At equal latency 4x312 fp32 is better than every student.",
        "| no rival better than our students at equal latency, 100 pairs | 4x312 fp32 | missed |",
        "- Stacking: a gain, +0.010 AUC",
        "- Mixing: a loss, -0.010 AUC",
        "- Pre-training on titles: no significant difference, +0.002 AUC",
        "- match, distillation: a gain, +0.020 AUC over training without it (+0.016 to +0.024).",
        "| logit_mse | 0.750 |",
        "Not run here: twin.",
    ],
)
def test_page_states_the_results(sentence: str) -> None:
    assert sentence in homedepot_page.figures(REPORT)


def test_page_states_that_no_rival_is_better() -> None:
    report = copy.deepcopy(REPORT)
    report["rivals"].pop()
    shown = homedepot_page.figures(report)
    assert "At equal latency no rival is better than our best student." in shown
    goal = "no rival better than our students at equal latency, 100 pairs"
    assert f"| {goal} | none | reached |" in shown
    # For a single pair it is faster than every student.
    assert "no student of equal or lower latency is as good as 2x128 int8." in shown


def test_page_is_in_step_with_results() -> None:
    report = json.loads(homedepot_page.RESULTS.read_text(encoding="utf-8"))
    shown = homedepot_page.PAGE.read_text(encoding="utf-8").partition(homedepot_page.START)[2]
    assert shown.partition(END)[0].strip() == homedepot_page.figures(report), (
        "run python -m experiments.homedepot_page"
    )
    known = {row.id for row in students(report["settings"]["transfer"])}
    assert {row["id"] for row in report["rows"]} <= known
