"""Home Depot, title only, split by query: teachers, students and rivals, in one command.

    QTR_DATA_DIR=.../data ENCODER=.../all-MiniLM-L6-v2 python -m experiments.homedepot

Each step is a command of the program, printed as a user would type it; finished steps are kept in
the work folder. Writes results/homedepot.json, the plots, and the figures of
docs/experiment-homedepot.md. The competition's rules forbid passing on its data or weights trained
on it: both stay in the work folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from experiments import homedepot_page, homedepot_plots
from experiments.commands import data_option, encoder_option, open_run, step
from experiments.homedepot_measures import (
    Judged,
    Measured,
    difference,
    gains_table,
    mixed,
    opinions_of,
    retention,
)
from experiments.homedepot_search import Catalog, bm25_scores, recall
from experiments.homedepot_steps import (
    PRECISIONS,
    SHAPES,
    TEACHERS,
    HomeDepotSettings,
    artifact_folder,
    generated_for,
    prepare,
    rival_scores,
    score_pairs,
    student_folder,
    teacher_notes,
    train_rival,
    train_student,
    train_teachers,
)
from experiments.homedepot_students import GROUPS, OPTIONAL, Student, students
from experiments.homedepot_times import artifact_times, rival_times
from qtr_rerank.data.training_pairs import read_table
from qtr_rerank.errors import QtrError
from qtr_rerank.probability import sigmoid
from qtr_rerank.recipe.steps import StepRunner
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.teacher.weak_labels import add_cosine


@click.command()
@data_option("homedepot/")
@encoder_option
@click.option("--transfer", default=200_000, show_default=True, help="Pairs in the transfer set.")
@click.option("--ablations", is_flag=True, help="Also train the twin's variants.")
@click.option(
    "--only",
    "groups",
    multiple=True,
    type=click.Choice(GROUPS),
    help="Train only these rows; rows trained earlier are measured, too.",
)
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/homedepot"))
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--page", type=click.Path(path_type=Path), default=homedepot_page.PAGE)
def main(
    data: Path,
    encoder: str,
    transfer: int,
    ablations: bool,
    groups: tuple[str, ...],
    work: Path,
    results: Path,
    page: Path,
) -> None:
    """Teachers, students, rivals, table, plots and page; continues an interrupted run."""
    settings = HomeDepotSettings(encoder, transfer, generated_for(transfer))
    selected = set(groups or set(GROUPS) - set(OPTIONAL)) | ({"twin"} if ablations else set())
    rows = [
        student
        for student in students(transfer)
        if student.group in selected or artifact_folder(student, work).is_dir()
    ]
    shapes = [
        shape
        for shape in SHAPES
        if "rivals" in selected or (work / "rivals" / f"{shape}-onnx").is_dir()
    ]
    try:
        report = run(data, work, settings, rows, shapes)
    except QtrError as error:
        raise click.ClickException(str(error)) from error
    results.mkdir(parents=True, exist_ok=True)
    (results / "homedepot.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    homedepot_plots.draw(report, results)
    homedepot_page.write(report, page)
    click.echo(f"\n{homedepot_page.figures(report)}")


def run(
    data: Path,
    work: Path,
    settings: HomeDepotSettings,
    rows: Sequence[Student],
    shapes: Sequence[str] = SHAPES,
    seconds: float = 1.0,
) -> dict[str, Any]:
    """Run the unfinished steps; the report that becomes results/homedepot.json.

    `seconds` is how long each latency is measured.
    """
    runner = open_run(work, asdict(settings))
    prepare(data, runner)
    chosen = train_teachers(data, runner, settings)
    score_pairs(runner, chosen, settings)
    judged, catalog = Judged(work / "dev.parquet"), Catalog(data, work)
    teachers, scores = _teachers(judged, runner, settings, chosen)
    teacher = judged.measure(scores["teacher"], sigmoid(scores["teacher"].astype(np.float64)))
    scores["bm25"] = bm25_scores(judged, catalog, runner)
    scores["random"] = np.zeros(len(judged.ids))
    measured: dict[str, Measured] = {}
    artifacts: dict[str, Path] = {}
    for student in rows:
        artifacts[student.id] = train_student(student, runner, settings)
        scorer = Scorer.load(artifacts[student.id])
        logits = scorer.score_pairs(judged.queries, judged.titles)
        measured[student.id] = judged.measure(logits, scorer.probabilities(logits))
    return {
        "encoder": Path(settings.encoder).name,
        "settings": {k: v for k, v in asdict(settings).items() if k != "encoder"},
        "counts": _counts(judged, catalog, work),
        "teacher": chosen,
        "teachers": teachers,
        "baselines": _baselines(judged, scores, work),
        "gains": gains_table(judged, scores),
        "rows": [
            _row(student, measured, teacher, settings, work)
            | (
                artifact_times(student.id, artifacts[student.id], work, seconds)
                if student.group == "main"
                else {}
            )
            for student in rows
        ],
        "rivals": _rivals(
            judged, teacher, _best(rows, measured), runner, settings, shapes, seconds
        ),
        "recall": [
            row
            for student in rows
            if student.kind == "twin"
            for row in recall(student.id, artifacts[student.id], judged, catalog, work)
        ],
        "missing": [
            *(row.id for row in students(settings.transfer) if row.id not in artifacts),
            *(shape for shape in SHAPES if shape not in shapes),
        ],
    }


def _teachers(
    judged: Judged, runner: StepRunner, settings: HomeDepotSettings, chosen: str
) -> tuple[list[dict[str, Any]], dict[str, NDArray[np.floating]]]:
    """Rows of the three teachers and the mixture, and the chosen teacher's logits."""
    work = runner.folder
    rows: list[dict[str, Any]] = []
    scores: dict[str, NDArray[np.floating]] = {}
    measured: dict[str, Measured] = {}
    for name in TEACHERS:
        logits = _logits(work / f"{name}-dev")
        measured[name] = judged.measure(logits, sigmoid(logits.astype(np.float64)))
        loss = round(teacher_notes(work, name)["held_out_loss"], 4)
        rows.append({"id": name, "held_out_loss": loss} | measured[name].figures)
        if name == chosen:
            scores["teacher"] = logits
    cosine = work / "dev-cosine.parquet"
    step(runner, cosine, lambda: add_cosine(settings.encoder, work / "dev.parquet", cosine))
    logits, weights = mixed(judged, opinions_of(work / f"{chosen}-dev", cosine), work)
    measured["mixed"] = judged.measure(logits, sigmoid(logits.astype(np.float64)))
    rows.append({"id": "mixed", "weights": weights} | measured["mixed"].figures)
    for row in rows:
        if row["id"] != "plain":
            other = chosen if row["id"] == "mixed" else "plain"
            row["difference"] = {"from": other} | difference(measured[row["id"]], measured[other])
    return rows, scores


def _baselines(
    judged: Judged, scores: dict[str, NDArray[np.floating]], work: Path
) -> list[dict[str, Any]]:
    train = read_table(work / "train.parquet", ["rating"]).column("rating").to_numpy()
    error = float(np.sqrt(np.mean((judged.ratings - train.mean()) ** 2)))
    return [
        {"id": "bm25"} | judged.measure(scores["bm25"]).figures,
        # Ties take the mean over their orders, so a constant score is a random order.
        {"id": "random"} | judged.measure(scores["random"]).figures,
        {"id": "mean", "rmse_raw": round(error, 4)},
    ]


def _row(
    student: Student,
    measured: dict[str, Measured],
    teacher: Measured,
    settings: HomeDepotSettings,
    work: Path,
) -> dict[str, Any]:
    notes = student_folder(student, work) / "student.json"
    meta = json.loads(notes.read_text(encoding="utf-8"))
    row: dict[str, Any] = {
        "id": student.id,
        "kind": student.kind,
        "group": student.group,
        "label": student.label,
        "transfer": 0 if student.hard_labels else student.transfer or settings.transfer,
    }
    row |= measured[student.id].figures | retention(measured[student.id], teacher)
    if student.id != student.kind and student.kind in measured:
        row["difference"] = {"from": student.kind} | difference(
            measured[student.id], measured[student.kind]
        )
    return row | {"student": meta["student"], "training": meta["training"]}


def _rivals(
    judged: Judged,
    teacher: Measured,
    best: tuple[str, Measured] | None,
    runner: StepRunner,
    settings: HomeDepotSettings,
    shapes: Sequence[str],
    seconds: float,
) -> list[dict[str, Any]]:
    rows = []
    work = runner.folder
    for shape in shapes:
        exported = train_rival(shape, runner, settings)
        for precision in PRECISIONS:
            scored = read_table(rival_scores(work, shape, precision), ["logit", "score"])
            logits, probabilities = (scored.column(c).to_numpy() for c in ("logit", "score"))
            measured = judged.measure(logits, probabilities)
            row: dict[str, Any] = {"id": f"{shape} {precision}", "shape": shape}
            row |= measured.figures | retention(measured, teacher)
            if best is not None:
                row["difference"] = {"from": best[0]} | difference(measured, best[1])
            rows.append(row | rival_times(exported, precision, work, seconds))
    return rows


def _best(rows: Sequence[Student], measured: dict[str, Measured]) -> tuple[str, Measured] | None:
    """The main student with the highest AUC."""
    main_rows = [row.id for row in rows if row.group == "main"]
    if not main_rows:
        return None
    best = max(main_rows, key=lambda id: measured[id].figures["auc"])
    return best, measured[best]


def _counts(judged: Judged, catalog: Catalog, work: Path) -> dict[str, int]:
    train = read_table(work / "train.parquet", ["query"])
    return {
        "products": len(catalog),
        "train_pairs": train.num_rows,
        "train_queries": len(train.column("query").unique()),
        "dev_pairs": len(judged.ids),
        "dev_queries": len(judged.distinct),
        "dev_relevant": int(judged.relevant.sum()),
        "transfer": read_table(work / "pairs.parquet", []).num_rows,
        "stacked": read_table(work / "stack.parquet", []).num_rows,
        "augmented": read_table(work / "augmented.parquet", []).num_rows,
    }


def _logits(scores: Path) -> NDArray[np.floating]:
    logits: NDArray[np.floating] = (
        read_table(scores, ["teacher_logit"]).column("teacher_logit").to_numpy()
    )
    return logits


if __name__ == "__main__":
    main()
