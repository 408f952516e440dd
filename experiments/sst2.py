"""SST-2 with IMDB reviews as the transfer set, BERT2DNN's public experiment, in one command.

    QTR_DATA_DIR=.../data ENCODER=.../all-MiniLM-L6-v2 python -m experiments.sst2

Each step is a command of the program, printed as a user would type it; finished steps are kept in
the work folder. Writes results/sst2.json, the plots and docs/experiment-sst2.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from experiments import sst2_page, sst2_plots
from experiments.commands import QTR, data_option, encoder_option, open_run, step
from experiments.sst2_data import prepare
from qtr_rerank.data.training_pairs import read_table, texts, write_table
from qtr_rerank.errors import QtrError
from qtr_rerank.evaluate.significance import paired_randomisation
from qtr_rerank.recipe.steps import StepRunner
from qtr_rerank.runtime.scorer import Scorer

DNN, BILSTM = "bert2dnn", "bert-bilstm"
# The longest sentence of SST-2 has 52 words. N-grams are two ids a word, WordPieces about 1.2.
TITLE_TOKENS = {"default": 64, "paper": 112}
SENTENCES, TEACHER_EPOCHS = 100_000, 1
Correct = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Sst2Settings:
    """Settings that a work folder is bound to. `transfer`: sentences from the IMDB reviews."""

    encoder: str
    transfer: int = SENTENCES
    teacher_epochs: int = TEACHER_EPOCHS
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Student:
    """One row: a kind of student, its configuration, and what it learns from.

    `transfer_share` of the IMDB sentences are added to SST-2's own; hard labels are SST-2's alone.
    `temperature` None keeps the configuration's.
    """

    id: str
    name: str
    kind: str
    config: str = "default"
    hard_labels: bool = False
    temperature: float | None = None
    transfer_share: float = 1.0


# Temperatures are compared on a third of the sentences, to save time.
STUDENTS = (
    Student("dnn-paper", "DNN, the paper's layout", DNN, "paper"),
    Student("dnn", "DNN, our layout", DNN),
    Student("bilstm", "BiLSTM", BILSTM),
    Student("dnn-paper-hard", "DNN, the paper's layout", DNN, "paper", hard_labels=True),
    Student("dnn-hard", "DNN, our layout", DNN, hard_labels=True),
    Student("bilstm-hard", "BiLSTM", BILSTM, hard_labels=True),
    Student("dnn-t1", "DNN, our layout", DNN, temperature=1.0, transfer_share=1 / 3),
    Student("dnn-t4", "DNN, our layout", DNN, temperature=4.0, transfer_share=1 / 3),
    Student("dnn-t8", "DNN, our layout", DNN, temperature=8.0, transfer_share=1 / 3),
    Student("dnn-0", "DNN, our layout", DNN, transfer_share=0.0),
    Student("dnn-third", "DNN, our layout", DNN, transfer_share=1 / 3),
)


@click.command()
@data_option("sst2/ and imdb/")
@encoder_option
@click.option("--transfer", default=SENTENCES, show_default=True, help="IMDB sentences.")
@click.option("--teacher-epochs", default=TEACHER_EPOCHS, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/sst2"))
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--page", type=click.Path(path_type=Path), default=sst2_page.PAGE)
def main(
    data: Path,
    encoder: str,
    transfer: int,
    teacher_epochs: int,
    work: Path,
    results: Path,
    page: Path,
) -> None:
    """Teacher, students, table, plots and page; continues an interrupted run."""
    settings = Sst2Settings(encoder, transfer, teacher_epochs)
    try:
        report = run(data, work, settings)
    except QtrError as error:
        raise click.ClickException(str(error)) from error
    results.mkdir(parents=True, exist_ok=True)
    (results / "sst2.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sst2_plots.draw(report, results)
    sst2_page.write(report, page)
    click.echo(f"\n{sst2_page.figures(report)}")


def run(
    data: Path, work: Path, settings: Sst2Settings, students: Sequence[Student] = STUDENTS
) -> dict[str, Any]:
    """Run the unfinished steps; the report that becomes results/sst2.json."""
    runner = open_run(work, asdict(settings))
    counts = _prepared(data, runner, settings)
    teacher = work / "teacher"
    QTR.step(
        runner,
        teacher / "teacher.json",
        *("teacher", "finetune", "--encoder", settings.encoder),
        *("--gold", work / "train.parquet", "--gold-repeats", 1, "--dev", work / "dev.parquet"),
        *("--epochs", settings.teacher_epochs, "--seed", settings.seed, "-o", teacher),
    )
    for table in ("test", "dev", "train", "imdb"):
        # Scoring resumes on its own, shard by shard.
        QTR.run("teacher", "score", teacher, work / f"{table}.parquet", "-o", _scores(work, table))
    correct = {"teacher": _correct(work, _teacher_logits(work))}
    of_teacher = _accuracy(correct["teacher"])
    rows: list[dict[str, Any]] = [
        {"id": "teacher", "model": "teacher (cross-encoder)"} | of_teacher
    ]
    for student in students:
        folder = _trained(student, runner, settings)
        meta = json.loads((folder / "student" / "student.json").read_text(encoding="utf-8"))
        correct[student.id] = _correct(work, _student_logits(folder / "artifact", work))
        accuracy = _accuracy(correct[student.id])
        rows.append(
            {"id": student.id, "model": student.name}
            | accuracy
            | {
                "retention": round(accuracy["accuracy"] / of_teacher["accuracy"], 4),
                "kind": student.kind,
                "config": student.config,
                "labels": "gold" if student.hard_labels else "teacher",
                "imdb_sentences": _imdb_rows(student, settings),
                "training": meta["training"],
            }
        )
    for row in rows:
        gold = correct.get(f"{row['id']}-hard")
        if gold is not None:
            row["p_against_gold"] = round(
                paired_randomisation(gold["test"], correct[row["id"]]["test"]), 4
            )
    return {
        "encoder": Path(settings.encoder).name,
        "counts": counts,
        "teacher_epochs": settings.teacher_epochs,
        "rows": rows,
    }


def interval(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval (1927) of the share `correct` of `total`; 95 % by default."""
    share = correct / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * ((share * (1 - share) + z**2 / (4 * total)) / total) ** 0.5 / (1 + z**2 / total)
    return middle - half, middle + half


def _prepared(data: Path, runner: StepRunner, settings: Sst2Settings) -> dict[str, int]:
    path = runner.folder / "prepared.json"

    def cut() -> None:
        counts = prepare(data, runner.folder, settings.transfer, settings.seed)
        path.write_text(json.dumps(counts) + "\n", encoding="utf-8")

    step(runner, path, cut)
    read: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return read


def _trained(student: Student, runner: StepRunner, settings: Sst2Settings) -> Path:
    """Train and export a student; its folder."""
    work = runner.folder
    folder = work / student.id
    chosen = [f"student.max_title_tokens={TITLE_TOKENS[student.config]}"]
    if student.hard_labels:
        # The targets are the gold labels alone, not softened.
        chosen += ["gold_share=1", "gold_repeats=1", "temperature=1"]
        read: list[object] = ["--gold", work / "train.parquet"]
    else:
        read = ["--scores", _scores(work, "train")]
        if sentences := _imdb_rows(student, settings):
            read += ["--scores", _first_rows(work, sentences)]
    if student.temperature is not None:
        chosen.append(f"temperature={student.temperature:g}")
    QTR.step(
        runner,
        folder / "student" / "probes.json",  # written last
        *("distill", student.kind, "--config", student.config, *read),
        *("--encoder", settings.encoder, "--seed", settings.seed),
        *(part for assignment in chosen for part in ("--set", assignment)),
        *("-o", folder / "student"),
    )
    QTR.step(
        runner,
        folder / "artifact" / "config.json",
        *("export", folder / "student", "--name", student.id, "-o", folder / "artifact"),
    )
    return folder


def _first_rows(work: Path, sentences: int) -> Path:
    """The scores of the first `sentences`, a random sample: the sentences are in random order."""
    table = read_table(_scores(work, "imdb"), ["teacher_logit"])
    if sentences >= table.num_rows:
        return _scores(work, "imdb")
    path = work / f"imdb-{sentences}.parquet"
    write_table(table.slice(0, sentences), path)
    return path


def _imdb_rows(student: Student, settings: Sst2Settings) -> int:
    return 0 if student.hard_labels else round(settings.transfer * student.transfer_share)


def _teacher_logits(work: Path) -> Callable[[str], NDArray[np.float32]]:
    def logits(split: str) -> NDArray[np.float32]:
        table = read_table(_scores(work, split), ["teacher_logit"])
        values: NDArray[np.float32] = table.column("teacher_logit").to_numpy()
        return values

    return logits


def _student_logits(artifact: Path, work: Path) -> Callable[[str], NDArray[np.float32]]:
    scorer = Scorer.load(artifact)

    def logits(split: str) -> NDArray[np.float32]:
        table = read_table(work / f"{split}.parquet", ["query", "title"])
        return scorer.score_pairs(texts(table, "query"), texts(table, "title"))

    return logits


def _correct(work: Path, logits_of: Callable[[str], NDArray[np.float32]]) -> Correct:
    """For each split, which sentences (sentences,) have a logit on the correct side of 0."""
    labels = {
        split: read_table(work / f"{split}.parquet", ["label"]).column("label").to_numpy()
        for split in ("dev", "test")
    }
    return {split: (logits_of(split) > 0.0) == (label > 0.5) for split, label in labels.items()}


def _accuracy(correct: Correct) -> dict[str, float]:
    test = correct["test"]
    low, high = interval(int(test.sum()), len(test))
    return {
        "accuracy": round(float(test.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "dev_accuracy": round(float(correct["dev"].mean()), 4),
    }


def _scores(work: Path, table: str) -> Path:
    return work / f"{table}-scores"


if __name__ == "__main__":
    main()
