"""Teacher, students and export end to end, with a tiny encoder and a tiny shop, no mocks."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from qtr_rerank.cli import cli
from qtr_rerank.data.training_pairs import read_table, write_table
from qtr_rerank.errors import ArtifactError, DataError, SettingsError, TrainingError
from qtr_rerank.runtime.scorer import Scorer

torch = pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")
pytest.importorskip("transformers")

from qtr_rerank.export.parity import check_parity  # noqa: E402
from qtr_rerank.export.to_onnx import export_student  # noqa: E402
from qtr_rerank.students import student_kind  # noqa: E402
from qtr_rerank.students.bert2dnn import Bert2DnnSettings  # noqa: E402
from qtr_rerank.students.bert_bilstm import BertBiLstmSettings  # noqa: E402
from qtr_rerank.students.configurations import configuration  # noqa: E402
from qtr_rerank.students.distill import distill  # noqa: E402
from qtr_rerank.students.student_folder import load_student  # noqa: E402
from qtr_rerank.students.twin import TwinSettings  # noqa: E402
from qtr_rerank.teacher.finetune import FinetuneSettings, finetune  # noqa: E402
from qtr_rerank.teacher.score import ScoreSettings, score_pairs  # noqa: E402

SMALL: dict[str, Any] = {
    "bert2dnn": Bert2DnnSettings(dim=16, bigram_buckets=64, hidden=16, hidden2=8),
    "bert-bilstm": BertBiLstmSettings(dim=16, state=8, attention=8, hidden=16),
    "twin": TwinSettings(dim=16, layers=1, heads=2, feed_forward=16, vector=16),
}
# Small students that cover every architecture setting.
VARIANTS = {
    **{kind: (kind, settings) for kind, settings in SMALL.items()},
    "bert2dnn paper": (
        "bert2dnn",
        Bert2DnnSettings(layout="paper", vocabulary="ngrams", dim=8, layers=(16, 8)),
    ),
    "twin tri-letters, res, mean": (
        "twin",
        replace(
            SMALL["twin"],
            vocabulary="triletters",
            crossing="res",
            crossing_hidden=16,
            pooling="mean",
            downscale="none",
            bag=False,
        ),
    ),
    "twin cls, tanh": ("twin", replace(SMALL["twin"], pooling="cls", downscale="tanh")),
}
THINGS = ["hose", "kettle", "lamp", "phone", "case", "shoe", "desk", "mug"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries of one word, titles of three; relevant if the title contains the word."""
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(1200):
        title = list(rng.choice(THINGS, 3, replace=False))
        query = str(rng.choice(THINGS))
        rows.append((query, " ".join(title), 0.95 if query in title else 0.05))
    queries, titles, labels = zip(*rows, strict=True)
    path = tmp_path_factory.mktemp("pairs") / "pairs.parquet"
    logits = np.log(np.array(labels) / (1 - np.array(labels)))
    table = pa.table(
        {
            "query": queries,
            "clean_query": queries,
            "title": titles,
            "label": pa.array(labels, type=pa.float32()),
            "teacher_logit": pa.array(logits, type=pa.float32()),
        }
    )
    write_table(table, path)
    return path


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_student_is_trained_exported_and_ranks(
    variant: str, encoder: str, pairs: Path, tmp_path: Path
) -> None:
    kind, student = VARIANTS[variant]
    settings = replace(configuration(kind), student=student, epochs=6, batch=64, learning_rate=2e-2)
    distill(kind, [pairs], [pairs], encoder, tmp_path / "student", settings)
    artifact = export_student(tmp_path / "student", tmp_path / "artifact", card="Made in a test.")
    card = (artifact.path / "README.md").read_text()
    assert "Made in a test." in card
    assert "Expected calibration error 0." in card
    assert artifact.config.training["seed"] == 7
    scorer = Scorer(artifact)
    logits = scorer.score_texts("lamp", ["kettle lamp mug", "desk shoe mug"])
    assert logits[0] > logits[1]


@pytest.fixture(scope="module")
def student(encoder: str, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bert2dnn trained for one epoch."""
    folder = tmp_path_factory.mktemp("student")
    settings = replace(configuration("bert2dnn"), student=SMALL["bert2dnn"], epochs=1)
    distill("bert2dnn", [pairs], [], encoder, folder, settings)
    return folder


def test_the_same_seed_gives_the_same_student(
    student: Path, encoder: str, pairs: Path, tmp_path: Path
) -> None:
    settings = replace(configuration("bert2dnn"), student=SMALL["bert2dnn"], epochs=1)
    distill("bert2dnn", [pairs], [], encoder, tmp_path, settings)
    weights = "student.safetensors"
    assert (tmp_path / weights).read_bytes() == (student / weights).read_bytes()


class _InterruptAfterEpoch(logging.Handler):
    """Raises KeyboardInterrupt when the log reports the given epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def emit(self, record: logging.LogRecord) -> None:
        if f"epoch {self._epoch} of" in record.getMessage():
            raise KeyboardInterrupt


def test_an_interrupted_run_resumes_and_gives_the_same_student(
    encoder: str, pairs: Path, tmp_path: Path
) -> None:
    settings = replace(configuration("bert2dnn"), student=SMALL["bert2dnn"], epochs=3, batch=64)
    whole = distill("bert2dnn", [pairs], [], encoder, tmp_path / "whole", settings)
    broken = tmp_path / "broken"
    logger = logging.getLogger("qtr_rerank.students.distill")
    level = logger.level
    interrupts = _InterruptAfterEpoch(epoch=2)
    logger.addHandler(interrupts)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            distill("bert2dnn", [pairs], [], encoder, broken, settings)
    finally:
        logger.removeHandler(interrupts)
        logger.setLevel(level)
    with pytest.raises(DataError, match="give the same ones"):
        distill("bert2dnn", [pairs], [], encoder, broken, replace(settings, seed=8))
    resumed = distill("bert2dnn", [pairs], [], encoder, broken, settings)
    assert resumed == whole
    weights = "student.safetensors"
    assert (broken / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    assert not (broken / "checkpoint.pt").exists()


@pytest.mark.parametrize("steps", [1, 8, 9, 10])
def test_a_run_may_have_few_steps(steps: int, encoder: str, pairs: Path, tmp_path: Path) -> None:
    """A tenth of nine steps would be less than one step of warm-up."""
    settings = replace(
        configuration("bert2dnn"), student=SMALL["bert2dnn"], epochs=steps, batch=2000
    )
    report = distill("bert2dnn", [pairs], [], encoder, tmp_path, settings)
    assert report.epochs == steps


def test_without_training_or_held_out_pairs_distillation_is_an_error(
    encoder: str, pairs: Path, tmp_path: Path
) -> None:
    settings = replace(configuration("bert2dnn"), student=SMALL["bert2dnn"], held_out_share=0.0)
    with pytest.raises(DataError, match="1200 pairs to train on and 0 held out"):
        distill("bert2dnn", [pairs], [], encoder, tmp_path, settings)


def test_parity_check_rejects_an_artifact_unlike_torch(student: Path, tmp_path: Path) -> None:
    artifact = export_student(student, tmp_path / "artifact")
    loaded, _ = load_student(student)
    other: Any = loaded
    other.unigrams.quantise()
    other.bigrams.quantise()
    probes = [("lamp", "a lamp"), ("mug", "a mug")]
    check_parity(other.eval(), artifact, probes)
    with torch.no_grad():
        other.output.bias.add_(0.01)
    with pytest.raises(ArtifactError, match=r"torch and ONNX differ by 1\.00e-02"):
        check_parity(other, artifact, probes)


def test_export_never_replaces_a_folder_that_is_no_artifact(student: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear")
    with pytest.raises(ArtifactError, match="is no model folder"):
        export_student(student, tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "dear"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_loss_of_nan_is_an_error(encoder: str, pairs: Path, tmp_path: Path) -> None:
    table = read_table(pairs, [])
    broken = tmp_path / "broken.parquet"
    place = table.column_names.index("teacher_logit")
    values = pa.array([float("nan")] * table.num_rows, type=pa.float32())
    write_table(table.set_column(place, "teacher_logit", values), broken)
    settings = replace(configuration("bert2dnn"), student=SMALL["bert2dnn"])
    with pytest.raises(TrainingError, match="loss became nan"):
        distill("bert2dnn", [broken], [], encoder, tmp_path / "student", settings)


def test_a_teacher_trains_scores_and_resumes(encoder: str, pairs: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers
        teacher = finetune(
            pairs, [], tmp_path / "teacher", FinetuneSettings(encoder, weak_pairs=256)
        )
        out = tmp_path / "scores"
        settings = ScoreSettings(shard_rows=500)
        assert score_pairs(teacher, pairs, out, settings) == 1200
        whole = read_table(out, ["teacher_logit"]).column("teacher_logit").to_numpy()
        kept = (out / "part-00000.parquet").stat().st_mtime_ns
        (out / "part-00001.parquet").unlink()
        score_pairs(teacher, pairs, out, settings)
    again = read_table(out, ["teacher_logit"]).column("teacher_logit").to_numpy()
    np.testing.assert_allclose(again, whole, atol=1e-6)
    assert (out / "part-00000.parquet").stat().st_mtime_ns == kept
    with pytest.raises(DataError, match="another teacher or of other pairs"):
        score_pairs(teacher, pairs, out, ScoreSettings(shard_rows=400))


def test_labels_of_a_single_grade_are_an_error(encoder: str, pairs: Path, tmp_path: Path) -> None:
    table = read_table(pairs, [])
    place = table.column_names.index("label")
    values = pa.array([3.0] * table.num_rows, type=pa.float32())
    write_table(table.set_column(place, "label", values), tmp_path / "stars.parquet")
    with pytest.raises(DataError, match="expected at least two grades"):
        finetune(tmp_path / "stars.parquet", [], tmp_path / "t", FinetuneSettings(encoder))


def test_an_unknown_kind_lists_the_kinds() -> None:
    with pytest.raises(SettingsError, match=r"'bert'.*bert-bilstm.*bert2dnn.*twin"):
        student_kind("bert")


def test_an_unknown_encoder_is_named(pairs: Path, tmp_path: Path) -> None:
    settings = FinetuneSettings(str(tmp_path / "no-such-folder"))
    with pytest.raises(DataError, match="no-such-folder"):
        finetune(pairs, [], tmp_path / "t", settings)


def test_commands_make_label_and_score_pairs(
    encoder: str, pairs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    titles = tmp_path / "titles.tsv"
    rows = [f"a\t{x} {y} blue\n" for x in THINGS for y in THINGS]
    titles.write_text("source\ttitle\n" + "".join(rows))
    steps = [
        f"pairs synthesize {titles} --source a --generated 40 -o {tmp_path}/p.parquet",
        f"pairs label {tmp_path}/p.parquet --encoder {encoder} -o {tmp_path}/l.parquet",
        f"teacher finetune --encoder {encoder} --weak {tmp_path}/l.parquet -o {tmp_path}/t",
        f"teacher score {tmp_path}/t {tmp_path}/l.parquet -o {tmp_path}/s",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in steps:
            result = CliRunner().invoke(cli, step.split(), catch_exceptions=False)
            assert result.exit_code == 0, result.output
    table = read_table(tmp_path / "s", ["query", "title", "label", "cosine", "teacher_logit"])
    assert np.isfinite(table.column("teacher_logit").to_numpy()).all()
