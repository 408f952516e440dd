"""The SST-2 experiment on invented sentences: preparation, empty queries, the page."""

from __future__ import annotations

import copy
import gzip
import json
import logging
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")
pytest.importorskip("transformers")
pytest.importorskip("matplotlib", reason="plots need: pip install 'qtr-rerank[experiments]'")

from experiments import sst2_page, sst2_plots
from experiments.sst2 import STUDENTS, Sst2Settings, Student, interval, run
from experiments.sst2_data import (
    as_sst2_writes,
    prepare,
    read_sst2,
    review_sentences,
    sentence_table,
    transfer_sentences,
)
from experiments.tables import END
from qtr_rerank.data.training_pairs import read_table, texts, with_column, write_table
from qtr_rerank.errors import DataError
from qtr_rerank.export.to_onnx import export_student
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.students.bert2dnn import Bert2DnnSettings
from qtr_rerank.students.bert_bilstm import BertBiLstmSettings
from qtr_rerank.students.configurations import DistillSettings
from qtr_rerank.students.distill import distill
from qtr_rerank.students.twin import TwinSettings
from tests.tiny_encoder import untrained_encoder

GOOD, BAD = ["fine", "great", "lovely", "moving"], ["dull", "awful", "tedious", "silly"]
THINGS = ["film", "plot", "score", "cast", "story", "ending", "scene", "script"]
SMALL = {
    "bert2dnn": Bert2DnnSettings(dim=16, bigram_buckets=64, hidden=16, hidden2=8),
    "bert2dnn paper": Bert2DnnSettings(layout="paper", vocabulary="ngrams", dim=16, layers=(16, 8)),
    "bert-bilstm": BertBiLstmSettings(dim=16, state=8, attention=8, hidden=16),
    "twin": TwinSettings(dim=16, layers=1, heads=2, feed_forward=16, vector=16),
}


def _sentences(count: int, seed: int) -> tuple[list[str], list[int]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return [
        f"a {rng.choice(GOOD if label else BAD)} {rng.choice(THINGS)} and "
        f"{rng.choice(THINGS)} number {place}"
        for place, label in enumerate(labels)
    ], [int(label) for label in labels]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sst2/ and imdb/ as in QTR_DATA_DIR, small."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "sst2").mkdir()
    (folder / "imdb").mkdir()
    for place, (split, count) in enumerate({"train": 300, "dev": 60, "test": 80}.items()):
        sentences, labels = _sentences(count, place)
        rows = [f"{s} \t{label}\n" for s, label in zip(sentences, labels, strict=True)]
        (folder / "sst2" / f"{split}.tsv").write_text("sentence\tlabel\n" + "".join(rows))
    reviews = _sentences(240, 9)[0]
    with gzip.open(folder / "imdb" / "imdb_50k.tsv.gz", "wt") as out:
        out.write("split\tid\tlabel\ttext\n")
        for place in range(0, 240, 3):
            first, second, third = (text.capitalize() for text in reviews[place : place + 3])
            out.write(f"train\t{place}\t1\t{first}.<br /><br />{second}! {third}. It is.\n")
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained one-layer BERT with 30 k tokens, as wide as the students' tables."""
    return untrained_encoder(
        tmp_path_factory.mktemp("encoder"),
        hidden_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )


@pytest.mark.parametrize(
    ("review", "sentences"),
    [
        ("It's fine, really. See it!", ["it 's fine , really ."]),  # two words are too few
        ("Don't go there.<br /><br />I can’t bear it", ["do n't go there .", "i ca n't bear it"]),
        ('He said "no." Mr. B. Smith left...', ["he said `` no . ''", "mr. b. smith left ..."]),
        ("Good -- (but) why?! Since when? word", ["good -- ( but ) why ? !"]),
        (f"{'word ' * 40}", ["word " * 39 + "word"]),
        (f"{'word ' * 41}", []),
        ("", []),
    ],
)
def test_review_is_cut_into_sentences_in_the_format_of_sst2(
    review: str, sentences: list[str]
) -> None:
    assert list(review_sentences(review)) == sentences


@given(st.text(max_size=80))
def test_sst2_format_keeps_words_and_is_lower_case(text: str) -> None:
    written = as_sst2_writes(text)
    assert written == " ".join(written.split())
    kept = "".join(c for c in text.lower() if c.isascii() and c.isalnum())
    assert "".join(c for c in written if c.isascii() and c.isalnum()) == kept


def test_transfer_set_has_each_sentence_once() -> None:
    reviews = ["A fine film. A dull plot here.", "A FINE FILM. A new one!"]
    assert transfer_sentences(reviews) == ["a fine film .", "a dull plot here .", "a new one !"]


def test_prepared_tables_are_pairs_with_an_empty_query(data: Path, tmp_path: Path) -> None:
    counts = prepare(data, tmp_path / "one", sentences=100, seed=7)
    assert counts == {
        "train": 300,
        "dev": 60,
        "test": 80,
        "reviews": 80,
        "sentences": 240,
        "transfer": 100,
    }
    imdb = read_table(tmp_path / "one" / "imdb.parquet", ["query", "clean_query", "title"])
    assert set(texts(imdb, "query")) == set(texts(imdb, "clean_query")) == {""}
    assert "label" not in imdb.column_names
    train = read_table(tmp_path / "one" / "train.parquet", ["query", "label"])
    assert set(train.column("label").to_pylist()) == {0.0, 1.0}
    # A smaller sample is a prefix of a larger one.
    prepare(data, tmp_path / "two", sentences=200, seed=7)
    larger = read_table(tmp_path / "two" / "imdb.parquet", ["title"])
    assert texts(larger, "title")[:100] == texts(imdb, "title")


def test_held_out_sentence_is_not_in_the_transfer_set(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    sentence = next(iter(review_sentences("A great film and scene number 5.")))
    with (tmp_path / "data" / "sst2" / "test.tsv").open("a") as rows:
        rows.write(f"{sentence} \t1\n")
    with gzip.open(tmp_path / "data" / "imdb" / "imdb_50k.tsv.gz", "at") as rows:
        rows.write("train\tx\t1\tA great film and scene number 5. A film of another kind.\n")
    counts = prepare(tmp_path / "data", tmp_path / "work", sentences=241, seed=7)
    assert counts["sentences"] == 241
    assert sentence not in texts(read_table(tmp_path / "work" / "imdb.parquet", []), "title")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("sentence\tlabel\nfine\t2\n", "every label 0 or 1"),
        ("text\tlabel\nfine\t1\n", "the columns sentence and label"),
        ("sentence\tlabel\n", "the columns sentence and label"),
    ],
)
def test_unknown_columns_or_labels_are_refused(rows: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(rows)
    with pytest.raises(DataError, match=message):
        read_sst2(tmp_path / "train.tsv")


def test_too_large_a_transfer_set_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gives 240 sentences, expected at least 1,000"):
        prepare(data, tmp_path, sentences=1000, seed=7)


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_student_learns_from_sentences_and_an_empty_query_is_a_constant(
    kind: str, encoder: str, tmp_path: Path
) -> None:
    sentences, labels = _sentences(1200, 3)
    logits = [2.0 if label else -2.0 for label in labels]
    table = with_column(sentence_table(sentences, "made"), "teacher_logit", logits)
    write_table(table, tmp_path / "scores.parquet")
    settings = DistillSettings(SMALL[kind], epochs=5, batch=64, learning_rate=2e-2)
    report = distill(
        kind.split()[0], [tmp_path / "scores.parquet"], [], encoder, tmp_path / "s", settings
    )
    # Split by title: a split by query would hold out all sentences.
    assert 1100 < report.pairs < 1200
    export_student(tmp_path / "s", tmp_path / "artifact")  # parity of torch and ONNX inside
    scorer = Scorer.load(tmp_path / "artifact")
    unseen, expected = _sentences(200, 4)
    predicted = scorer.score_pairs([""] * len(unseen), unseen)
    assert np.isfinite(predicted).all()
    assert ((scorer.probabilities(predicted) > 0.5) == np.array(expected)).mean() > 0.95
    for rows in scorer.encode_queries(["", " ", "\t"]).values():
        assert np.isfinite(rows).all()
        np.testing.assert_array_equal(rows, np.repeat(rows[:1], 3, axis=0))


STEPS = (
    Student("dnn", "DNN, our layout", "bert2dnn", transfer_share=0.5),
    Student("dnn-hard", "DNN, our layout", "bert2dnn", hard_labels=True),
)


def test_experiment_runs_resumes_and_refuses_other_settings(
    data: Path,
    encoder: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    caplog.set_level(logging.INFO, logger="qtr_rerank.recipe.steps")
    settings = Sst2Settings(encoder, transfer=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own
        first = run(data, tmp_path, settings, STEPS)
        assert "+ qtr teacher finetune" in capsys.readouterr().out
        shutil.rmtree(tmp_path / "dnn-hard" / "artifact")
        again = run(data, tmp_path, settings, STEPS)
    output = capsys.readouterr().out
    for outcome in ("teacher/teacher.json", "dnn/artifact/config.json"):
        assert f"{outcome}: kept" in caplog.text
    assert "+ qtr export" in output
    assert "qtr distill" not in output
    assert first == again
    teacher, dnn, hard = first["rows"]
    assert (dnn["imdb_sentences"], hard["imdb_sentences"]) == (100, 0)
    assert dnn["retention"] == pytest.approx(dnn["accuracy"] / teacher["accuracy"], abs=1e-4)
    assert 0 < dnn["p_against_gold"] <= 1
    assert hard["training"]["gold_share"] == 1.0
    with pytest.raises(DataError, match=r"begun with other transfer .* another --work"):
        run(data, tmp_path, replace(settings, transfer=100), STEPS)


@pytest.mark.parametrize(
    ("correct", "total", "expected"),
    # Newcombe 1998, table I, method 3.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611))],
)
def test_interval_is_wilsons(correct: int, total: int, expected: tuple[float, float]) -> None:
    assert interval(correct, total) == pytest.approx(expected, abs=1e-4)


def _row(id: str, accuracy: float, **more: Any) -> dict[str, Any]:
    row = {"id": id, "model": id, "accuracy": accuracy, "low": accuracy - 0.02}
    student = {
        "kind": "bert2dnn",
        "config": "default",
        "labels": "teacher",
        "imdb_sentences": 150_000,
        "retention": accuracy / 0.9,
        "training": {"temperature": 2.0},
    }
    return row | {"high": accuracy + 0.02} | (student if id != "teacher" else {}) | more


REPORT = {
    "encoder": "MiniLM",
    "teacher_epochs": 1,
    "counts": {
        "train": 60_614,
        "dev": 6_735,
        "test": 872,
        "reviews": 50_000,
        "sentences": 560_000,
        "transfer": 150_000,
    },
    "rows": [
        _row("teacher", 0.9),
        _row("dnn", 0.88, p_against_gold=0.0002),
        _row("dnn-hard", 0.8, labels="gold", imdb_sentences=0),
        _row("dnn-third", 0.86, imdb_sentences=50_000),
        _row("dnn-t1", 0.87, imdb_sentences=50_000, training={"temperature": 1.0}),
        _row("dnn-0", 0.82, imdb_sentences=0),
    ],
}


def test_page_states_the_results() -> None:
    shown = sst2_page.figures(REPORT)
    assert "| dnn | teacher, T = 2 | 88.0 | 86.0 to 90.0 | 97.8 |" in shown
    assert "| dnn-hard | gold labels | 80.0 |" in shown.replace(" 78.0 to 82.0 | 88.9 |", "")
    assert (
        "retains 97.8 % of its teacher's accuracy; the claim of more than 97 % is reached" in shown
    )
    assert "+8.0 points by distillation" in shown
    assert [value for value, _ in sst2_page.temperatures(REPORT)] == [1.0, 2.0]
    assert [value for value, _ in sst2_page.sizes(REPORT)] == [0, 50_000, 150_000]


def test_page_states_a_missed_goal() -> None:
    report = copy.deepcopy(REPORT)
    report["rows"][1] |= {"accuracy": 0.81, "retention": 0.9}  # type: ignore[index]
    assert "is missed by 7.0 points" in sst2_page.figures(report)


def test_writing_figures_keeps_the_rest_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{sst2_page.START}\nold\n{END}\nafter\n")
    sst2_page.write(REPORT, page)
    sst2_page.write(REPORT, page)
    shown = page.read_text()
    assert shown == f"before\n{sst2_page.START}\n\n{sst2_page.figures(REPORT)}\n\n{END}\nafter\n"


def test_plots_show_each_model_and_are_deterministic(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        sst2_plots.draw(REPORT, tmp_path / folder)
    for name in ("sst2.svg", "sst2-sizes.svg"):
        drawn = [(tmp_path / folder / name).read_bytes() for folder in ("one", "two")]
        assert drawn[0] == drawn[1]
        assert b"accuracy" in drawn[0]
    assert b"dnn" in (tmp_path / "one" / "sst2.svg").read_bytes()


def test_page_is_in_step_with_results() -> None:
    report = json.loads(sst2_page.RESULTS.read_text(encoding="utf-8"))
    shown = sst2_page.PAGE.read_text(encoding="utf-8").partition(sst2_page.START)[2]
    assert shown.partition(END)[0].strip() == sst2_page.figures(report), (
        "run python -m experiments.sst2_page"
    )
    assert [row["id"] for row in report["rows"]] == ["teacher", *(one.id for one in STUDENTS)]
