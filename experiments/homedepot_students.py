"""The rows of the Home Depot experiment: each student, and how it differs from the main one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qtr_rerank.students.configurations import configuration

SIZES = (50_000, 200_000, 1_000_000)
TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
LOSSES = ("soft_cross_entropy", "logit_mse", "margin_mse")
# The kinds that the ablations train.
ABLATED = ("match", "bert-bilstm", "bert2dnn")
GROUPS = ("main", "gold", "no-augmentation", "temperature", "size", "loss", "twin", "rivals")
OPTIONAL = ("twin",)
"""Groups that are trained only on request: they cost the most."""
# A gold-label student has a tenth of the pairs, so it gets more epochs. The best one is kept.
GOLD_EPOCHS = 8


@dataclass(frozen=True, slots=True)
class Student:
    """One row: a kind of student, its configuration, and what it learns from.

    `transfer` limits the transfer pairs (None: all of them); `chosen` are settings that differ from
    the configuration; `label` names the difference in the tables. The student whose id is its kind
    is the one that others of the kind are compared with.
    """

    id: str
    kind: str
    group: str = "main"
    label: str = ""
    config: str = "default"
    hard_labels: bool = False
    augmented: bool = True
    transfer: int | None = None
    chosen: tuple[str, ...] = ()


def students(transfer: int) -> tuple[Student, ...]:
    """All rows, the main ones first; `transfer` is the size of the full transfer set."""
    return (
        Student("match", "match"),
        Student("bert-bilstm", "bert-bilstm"),
        Student("bert2dnn", "bert2dnn"),
        # One epoch of the twin, the only transformer, costs more than all epochs of another.
        Student("twin", "twin", label="one epoch", chosen=("epochs=1",)),
        Student("bert2dnn-paper", "bert2dnn", label="the paper's layout", config="paper"),
        *(
            Student(f"{kind}-gold", kind, "gold", "gold labels alone", hard_labels=True)
            for kind in ABLATED
        ),
        *(
            Student(f"{kind}-plain", kind, "no-augmentation", "no augmentation", augmented=False)
            for kind in ABLATED
        ),
        *_temperatures(),
        *(
            Student(f"{kind}-{short(size)}", kind, "size", f"{size:,}", transfer=size)
            for size in SIZES
            if size < transfer
            for kind in ABLATED
        ),
        *_losses(),
        Student(
            "twin-res", "twin", "twin", "crossing: res", chosen=("epochs=1", "student.crossing=res")
        ),
        Student(
            "twin-triletters",
            "twin",
            "twin",
            "input: tri-letters",
            chosen=("epochs=1", "student.vocabulary=triletters"),
        ),
        *(
            Student(
                f"twin-{pooling}",
                "twin",
                "twin",
                f"pooling: {pooling}",
                chosen=("epochs=1", f"student.pooling={pooling}"),
            )
            for pooling in ("mean", "cls")
        ),
    )


def short(size: int) -> str:
    """A number of pairs as a file name has it: 50k, 1m."""
    return f"{size // 1_000_000}m" if size % 1_000_000 == 0 else f"{size // 1000}k"


def _temperatures() -> Iterator[Student]:
    for value in TEMPERATURES:
        if value != configuration("bert2dnn").temperature:
            yield Student(
                f"bert2dnn-t{value:g}",
                "bert2dnn",
                "temperature",
                f"{value:g}",
                chosen=(f"temperature={value:g}",),
            )


def _losses() -> Iterator[Student]:
    for loss in LOSSES:
        if loss != configuration("match").loss:
            yield Student(f"match-{loss}", "match", "loss", loss, chosen=(f"loss={loss}",))
