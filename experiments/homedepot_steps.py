"""Home Depot, the steps that write files: pair tables, teachers, scores, students, rivals.

Each is a command of the program; finished steps are kept in the work folder.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from experiments import rivals
from experiments.commands import QTR, Program, step
from experiments.homedepot_students import GOLD_EPOCHS, Student, short
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.homedepot import CATALOG_FILES
from qtr_rerank.data.training_pairs import read_table, texts, write_table
from qtr_rerank.errors import DataError
from qtr_rerank.recipe.steps import StepRunner

TEACHERS = ("plain", "ebert", "stacked")
# A training step of the larger one costs five or six times as much.
RIVAL_EPOCHS = {"2x128": 3, "4x312": 1}
SHAPES = tuple(RIVAL_EPOCHS)
# How often an epoch has each judged pair, for students (except the paper's layout) and rivals.
GOLD_REPEATS = 2
PRECISIONS = ("fp32", "int8")
RIVALS = Program("python -m experiments.rivals", rivals.main)
_GENERATED, _DEFAULT_TRANSFER = 25_000, 200_000
# A generated query is paired with five titles; some pairs occur twice.
_PAIRS_PER_QUERY = 4


@dataclass(frozen=True, slots=True)
class HomeDepotSettings:
    """Settings that a work folder is bound to.

    `transfer`: pairs in the transfer set; `generated`: queries generated from titles, beside the
    judged ones; `stacked`: pairs that teacher 1 labels for teacher 2.
    """

    encoder: str
    transfer: int = _DEFAULT_TRANSFER
    generated: int = _GENERATED
    stacked: int = 40_000
    pretrain_epochs: int = 2
    teacher_epochs: int = 2
    seed: int = 7


def generated_for(transfer: int) -> int:
    """How many generated queries a transfer set of that size needs."""
    return _GENERATED + max(0, transfer - _DEFAULT_TRANSFER) // _PAIRS_PER_QUERY


def prepare(data: Path, runner: StepRunner) -> None:
    """Write the judged pairs of both sides of the split, and the training queries."""
    work = runner.folder
    for split in ("train", "dev"):
        QTR.step(
            runner,
            work / f"{split}.parquet",
            *("pairs", "judged", "homedepot", data / "homedepot", "--split", split),
            *("-o", work / f"{split}.parquet"),
        )

    def write_queries() -> None:
        with (work / "queries.csv").open("w", encoding="utf-8", newline="") as rows:
            writer = csv.writer(rows)
            writer.writerow(["query"])
            judged = texts(read_table(work / "train.parquet", ["query"]), "query")
            writer.writerows([query] for query in dict.fromkeys(judged))

    step(runner, work / "queries.csv", write_queries)


def train_teachers(data: Path, runner: StepRunner, settings: HomeDepotSettings) -> str:
    """Make the transfer set, three teachers and their scores of the development pairs.

    Returns the name of the better of the first two, by its loss on held-out training queries. The
    students learn from it, not from the stacked one, so that they do not have to wait for that.
    """
    work = runner.folder
    products = first_file(data / "homedepot", CATALOG_FILES)
    gold = ("--gold", work / "train.parquet", "--epochs", settings.teacher_epochs)
    seed = ("--seed", settings.seed)
    encoders = {"plain": settings.encoder, "ebert": str(work / "ebert")}
    QTR.step(
        runner,
        work / "ebert" / "pretrain.json",
        *("teacher", "pretrain", products, "--column", "product_title"),
        *("--encoder", settings.encoder, "--epochs", settings.pretrain_epochs),
        *("--set", "learning_rate=2e-4", "--set", f"seed={settings.seed}", "-o", work / "ebert"),
    )
    for name, encoder in encoders.items():
        QTR.step(
            runner,
            _teacher(work, name) / "teacher.json",
            *("teacher", "finetune", "--encoder", encoder, *gold, "--gold-repeats", 1, *seed),
            *("-o", _teacher(work, name)),
        )
    QTR.step(
        runner,
        work / "pairs.parquet",
        *("pairs", "synthesize", products, "--column", "product_title"),
        *("--queries", work / "queries.csv", "--keep-out", work / "dev.parquet"),
        *("--generated", settings.generated, "--dense-encoder", settings.encoder),
        *("--size", settings.transfer, *seed, "-o", work / "pairs.parquet"),
    )
    stacked = work / "stack.parquet"
    sample(runner, work / "pairs.parquet", settings.stacked, stacked, settings.seed)
    first = _best(work, encoders)
    QTR.step(
        runner,
        _teacher(work, "stacked") / "teacher.json",
        *("teacher", "stack", _teacher(work, first), stacked),
        *("--encoder", encoders[first], *gold, "--set", f"seed={settings.seed}"),
        *("-o", _teacher(work, "stacked")),
    )
    for name in TEACHERS:
        _score(work, name, work / "dev.parquet", f"{name}-dev")
    return first


def teacher_notes(work: Path, name: str) -> dict[str, Any]:
    """The content of a teacher's teacher.json. Raises DataError if it lacks a held-out loss."""
    path = _teacher(work, name) / "teacher.json"
    notes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "held_out_loss" not in notes:
        raise DataError(
            f"{path} has no held_out_loss, by which teachers are compared; remove {path.parent} "
            "and run again (it needs some 600 training queries)"
        )
    return notes


def score_pairs(runner: StepRunner, teacher: str, settings: HomeDepotSettings) -> None:
    """Score what students learn from: transfer, training and augmented pairs."""
    work = runner.folder
    QTR.step(
        runner,
        work / "augmented.parquet",
        *("pairs", "augment", work / "train.parquet", "--seed", settings.seed),
        *("-o", work / "augmented.parquet"),
    )
    for table, out in (("pairs", "transfer"), ("train", "train"), ("augmented", "augmented")):
        _score(work, teacher, work / f"{table}.parquet", f"{out}-scores")


def train_student(student: Student, runner: StepRunner, settings: HomeDepotSettings) -> Path:
    """Train and export a student; its artifact."""
    work = runner.folder
    chosen = list(student.chosen)
    if student.hard_labels:
        read: list[object] = ["--gold", work / "train.parquet", "--epochs", GOLD_EPOCHS]
        # The targets are the gold labels alone, not softened.
        chosen += ["gold_share=1", "gold_repeats=1", "temperature=1"]
    else:
        read = ["--scores", _transfer(student, runner, settings)]
        if student.augmented:
            read += ["--scores", work / "augmented-scores"]
        read += ["--gold", work / "train-scores"]
        if student.config == "default":
            chosen.append(f"gold_repeats={GOLD_REPEATS}")
    folder = student_folder(student, work)
    QTR.step(
        runner,
        folder / "probes.json",  # written last
        *("distill", student.kind, "--config", student.config, *read),
        *("--encoder", settings.encoder, "--seed", settings.seed),
        *(part for assignment in chosen for part in ("--set", assignment)),
        *("-o", folder),
    )
    QTR.step(
        runner,
        artifact_folder(student, work) / "config.json",
        *("export", folder, "--name", student.id, "-o", artifact_folder(student, work)),
    )
    return artifact_folder(student, work)


def student_folder(student: Student, work: Path) -> Path:
    """Where `qtr distill` writes a student."""
    return work / "students" / student.id


def artifact_folder(student: Student, work: Path) -> Path:
    """Where `qtr export` writes its artifact."""
    return work / "artifacts" / student.id


def train_rival(shape: str, runner: StepRunner, settings: HomeDepotSettings) -> Path:
    """Train a small transformer on the students' pairs, export it, and score the development pairs.

    The scores are in one file per precision (`rival_scores`). Returns the exported folder.
    """
    work = runner.folder
    folder, exported = work / "rivals" / shape, work / "rivals" / f"{shape}-onnx"
    RIVALS.step(
        runner,
        folder / rivals.NOTES,
        *("distill", "--shape", shape, "--encoder", settings.encoder),
        *("--scores", work / "transfer-scores", "--scores", work / "augmented-scores"),
        *("--gold", work / "train-scores", "--gold-repeats", GOLD_REPEATS),
        *("--epochs", RIVAL_EPOCHS[shape], "--seed", settings.seed, "-o", folder),
    )
    RIVALS.step(runner, exported / rivals.NOTES, "export", folder, "-o", exported)
    for precision in PRECISIONS:
        scored = rival_scores(work, shape, precision)
        RIVALS.step(
            runner,
            scored,
            *("score", exported, work / "dev.parquet", "--precision", precision, "-o", scored),
        )
    return exported


def rival_scores(work: Path, shape: str, precision: str) -> Path:
    """Where a rival's scores of the development pairs are."""
    return work / "rivals" / f"{shape}-{precision}.parquet"


def sample(runner: StepRunner, table: Path, rows: int, out: Path, seed: int) -> Path:
    """Write `rows` rows drawn at random, in the table's order, or all if there are fewer.

    A smaller sample is part of a larger one.
    """

    def draw() -> None:
        read = read_table(table, [])
        chosen = np.random.default_rng(seed).permutation(read.num_rows)[:rows]
        write_table(read.take(np.sort(chosen)), out)
        click.echo(f"+ {len(chosen):,} of the {read.num_rows:,} rows of {table} -> {out}")

    step(runner, out, draw)
    return out


def _transfer(student: Student, runner: StepRunner, settings: HomeDepotSettings) -> Path:
    scores = runner.folder / "transfer-scores"
    if student.transfer is None:
        return scores
    out = runner.folder / f"transfer-{short(student.transfer)}.parquet"
    return sample(runner, scores, student.transfer, out, settings.seed)


def _score(work: Path, teacher: str, pairs: Path, out: str) -> None:
    # Scoring resumes on its own, shard by shard.
    QTR.run("teacher", "score", _teacher(work, teacher), pairs, "-o", work / out)


def _best(work: Path, names: Sequence[str] | dict[str, str]) -> str:
    return min(names, key=lambda name: float(teacher_notes(work, name)["held_out_loss"]))


def _teacher(work: Path, name: str) -> Path:
    return work / f"teacher-{name}"
