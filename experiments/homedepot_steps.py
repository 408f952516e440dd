"""Home Depot, the steps that leave files: pair tables, teachers, scores, students, rivals.

Each is a command of the program, not run again where its outcome is in the work folder.
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
from experiments.homedepot_students import GOLD_EPOCHS, Student, short
from experiments.steps import QTR, Program
from qtr_rerank.atomic import replacing
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.homedepot import CATALOG_FILES
from qtr_rerank.data.training_pairs import read_table, texts, write_table
from qtr_rerank.errors import DataError

TEACHERS = ("plain", "ebert", "stacked")
# A step of the larger one costs five or six of the smaller's.
RIVAL_EPOCHS = {"2x128": 3, "4x312": 1}
SHAPES = tuple(RIVAL_EPOCHS)
# Sights of a judged pair in an epoch; for students and rivals alike, but the paper's layout.
GOLD_REPEATS = 2
PRECISIONS = ("fp32", "int8")
RIVALS = Program("python -m experiments.rivals", rivals.main)
_GENERATED, _USUAL = 25_000, 200_000
# A query made from a title meets five titles; some pairs are found twice.
_PAIRS_A_QUERY = 4


@dataclass(frozen=True, slots=True)
class HomeDepotSettings:
    """What a work folder is made with. `transfer`: pairs of the transfer set; `generated`: queries
    made from titles, beside the judged ones; `stacked`: pairs that teacher 1 labels for teacher 2.
    """

    encoder: str
    transfer: int = _USUAL
    generated: int = _GENERATED
    stacked: int = 40_000
    pretrain_epochs: int = 2
    teacher_epochs: int = 2
    seed: int = 7


def generated_for(transfer: int) -> int:
    """As many queries made from titles as a transfer set of that size needs."""
    return _GENERATED + max(0, transfer - _USUAL) // _PAIRS_A_QUERY


def prepare(data: Path, work: Path) -> None:
    """Judged pairs of both sides of the split, and the queries of the training side."""
    for split in ("train", "dev"):
        QTR.step(
            work / f"{split}.parquet",
            *("pairs", "judged", "homedepot", data / "homedepot", "--split", split),
            *("-o", work / f"{split}.parquet"),
        )
    queries = work / "queries.csv"
    if not queries.exists():
        judged = texts(read_table(work / "train.parquet", ["query"]), "query")
        with (
            replacing(queries) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="") as rows,
        ):
            writer = csv.writer(rows)
            writer.writerow(["query"])
            writer.writerows([query] for query in dict.fromkeys(judged))


def train_teachers(data: Path, work: Path, settings: HomeDepotSettings) -> str:
    """The transfer set and three teachers, their scores of the development pairs, and the name of
    the better of the first two, by its loss on training queries that neither learnt from.

    The students learn from that one, not from the stacked one, which can so be trained beside them.
    """
    products = first_file(data / "homedepot", CATALOG_FILES)
    gold = ("--gold", work / "train.parquet", "--epochs", settings.teacher_epochs)
    seed = ("--seed", settings.seed)
    encoders = {"plain": settings.encoder, "ebert": str(work / "ebert")}
    QTR.step(
        work / "ebert" / "pretrain.json",
        *("teacher", "pretrain", products, "--column", "product_title"),
        *("--encoder", settings.encoder, "--epochs", settings.pretrain_epochs),
        *("--set", "learning_rate=2e-4", "--set", f"seed={settings.seed}", "-o", work / "ebert"),
    )
    for name, encoder in encoders.items():
        QTR.step(
            _teacher(work, name) / "teacher.json",
            *("teacher", "finetune", "--encoder", encoder, *gold, "--gold-repeats", 1, *seed),
            *("-o", _teacher(work, name)),
        )
    QTR.step(
        work / "pairs.parquet",
        *("pairs", "synthesize", products, "--column", "product_title"),
        *("--queries", work / "queries.csv", "--keep-out", work / "dev.parquet"),
        *("--generated", settings.generated, "--dense-encoder", settings.encoder),
        *("--size", settings.transfer, *seed, "-o", work / "pairs.parquet"),
    )
    sample(work / "pairs.parquet", settings.stacked, work / "stack.parquet", settings.seed)
    first = _best(work, encoders)
    QTR.step(
        _teacher(work, "stacked") / "teacher.json",
        *("teacher", "stack", _teacher(work, first), work / "stack.parquet"),
        *("--encoder", encoders[first], *gold, "--set", f"seed={settings.seed}"),
        *("-o", _teacher(work, "stacked")),
    )
    for name in TEACHERS:
        _score(work, name, work / "dev.parquet", f"{name}-dev")
    return first


def teacher_notes(work: Path, name: str) -> dict[str, Any]:
    """What a teacher's training left in its teacher.json. Raises DataError without a loss."""
    path = _teacher(work, name) / "teacher.json"
    notes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "held_out_loss" not in notes:
        raise DataError(
            f"{path} notes no loss on held-out queries, by which teachers are compared; remove "
            f"{path.parent} and run again (it needs some 600 training queries)"
        )
    return notes


def score_pairs(work: Path, teacher: str, settings: HomeDepotSettings) -> None:
    """What students learn from: the teacher's scores of transfer, training and varied pairs."""
    QTR.step(
        work / "augmented.parquet",
        *("pairs", "augment", work / "train.parquet", "--seed", settings.seed),
        *("-o", work / "augmented.parquet"),
    )
    for table, out in (("pairs", "transfer"), ("train", "train"), ("augmented", "augmented")):
        _score(work, teacher, work / f"{table}.parquet", f"{out}-scores")


def train_student(student: Student, work: Path, settings: HomeDepotSettings) -> Path:
    """The artifact of a student: trained and exported."""
    chosen = list(student.chosen)
    if student.hard_labels:
        read: list[object] = ["--gold", work / "train.parquet", "--epochs", GOLD_EPOCHS]
        # The targets are the gold labels alone, and as sharp as they are.
        chosen += ["gold_share=1", "gold_repeats=1", "temperature=1"]
    else:
        read = ["--scores", _transfer(student, work, settings)]
        if student.augmented:
            read += ["--scores", work / "augmented-scores"]
        read += ["--gold", work / "train-scores"]
        if student.config == "default":
            chosen.append(f"gold_repeats={GOLD_REPEATS}")
    folder = student_folder(student, work)
    QTR.step(
        folder / "probes.json",  # the last that is written
        *("distill", student.kind, "--config", student.config, *read),
        *("--encoder", settings.encoder, "--seed", settings.seed),
        *(part for assignment in chosen for part in ("--set", assignment)),
        *("-o", folder),
    )
    QTR.step(
        artifact_folder(student, work) / "config.json",
        *("export", folder, "--name", student.id, "-o", artifact_folder(student, work)),
    )
    return artifact_folder(student, work)


def student_folder(student: Student, work: Path) -> Path:
    """Where `qtr distill` leaves a student."""
    return work / "students" / student.id


def artifact_folder(student: Student, work: Path) -> Path:
    """Where `qtr export` leaves its artifact."""
    return work / "artifacts" / student.id


def train_rival(shape: str, work: Path, settings: HomeDepotSettings) -> Path:
    """A small transformer on the students' pairs, exported; its scores of the development pairs
    lie beside it, one file a precision.
    """
    folder, exported = work / "rivals" / shape, work / "rivals" / f"{shape}-onnx"
    RIVALS.step(
        folder / rivals.NOTES,
        *("distill", "--shape", shape, "--encoder", settings.encoder),
        *("--scores", work / "transfer-scores", "--scores", work / "augmented-scores"),
        *("--gold", work / "train-scores", "--gold-repeats", GOLD_REPEATS),
        *("--epochs", RIVAL_EPOCHS[shape], "--seed", settings.seed, "-o", folder),
    )
    RIVALS.step(exported / rivals.NOTES, "export", folder, "-o", exported)
    for precision in PRECISIONS:
        scored = rival_scores(work, shape, precision)
        RIVALS.step(
            scored,
            *("score", exported, work / "dev.parquet", "--precision", precision, "-o", scored),
        )
    return exported


def rival_scores(work: Path, shape: str, precision: str) -> Path:
    """Where a rival's scores of the development pairs lie."""
    return work / "rivals" / f"{shape}-{precision}.parquet"


def sample(table: Path, rows: int, out: Path, seed: int) -> Path:
    """Write that many rows, drawn at random, in the order of the table; fewer rows are part of
    more. Where there are no more, the table is its own sample.
    """
    if out.exists():
        click.echo(f"kept  {out}")
        return out
    read = read_table(table, [])
    chosen = np.random.default_rng(seed).permutation(read.num_rows)[:rows]
    write_table(read.take(np.sort(chosen)), out)
    click.echo(f"+ {len(chosen):,} of the {read.num_rows:,} rows of {table} -> {out}")
    return out


def _transfer(student: Student, work: Path, settings: HomeDepotSettings) -> Path:
    if student.transfer is None:
        return work / "transfer-scores"
    out = work / f"transfer-{short(student.transfer)}.parquet"
    return sample(work / "transfer-scores", student.transfer, out, settings.seed)


def _score(work: Path, teacher: str, pairs: Path, out: str) -> None:
    # Scoring resumes by itself, shard by shard.
    QTR.run("teacher", "score", _teacher(work, teacher), pairs, "-o", work / out)


def _best(work: Path, names: Sequence[str] | dict[str, str]) -> str:
    return min(names, key=lambda name: float(teacher_notes(work, name)["held_out_loss"]))


def _teacher(work: Path, name: str) -> Path:
    return work / f"teacher-{name}"
