"""Students: the folder in which `distill` leaves a trained student and `export` finds it.

`student.safetensors` (weights), `student.json` (kind, settings, calibration, how it was trained),
the vocabulary, and `probes.json`: held-out pairs on which the export compares torch with ONNX.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from qtr_rerank.atomic import write_json
from qtr_rerank.errors import DataError
from qtr_rerank.features.vocabulary import Vocabulary
from qtr_rerank.students import student_kind
from qtr_rerank.students.student import Student

_WEIGHTS, _META, _PROBES = "student.safetensors", "student.json", "probes.json"


def save_student(
    kind: str,
    student: Student,
    vocabulary: Vocabulary,
    meta: Mapping[str, Any],
    probes: Sequence[tuple[str, str]],
    out: Path,
) -> None:
    """Write all files of a student; `meta` goes into `student.json`, which is written last."""
    fields = {"kind": kind, "tokens": len(vocabulary), **meta}
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in student.state_dict().items()}, out / _WEIGHTS
    )
    vocabulary.save(out)
    write_json(out / _PROBES, probes)
    write_json(out / _META, fields)


def load_student(folder: Path) -> tuple[Student, dict[str, Any]]:
    """The student in `folder` and its `student.json`. Raises DataError if there is none."""
    path = folder / _META
    if not path.is_file():
        raise DataError(f"{folder} holds no student; expected a folder made by 'qtr distill'")
    meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    make_student, settings_class = student_kind(meta["kind"])
    student = make_student(settings_class(**meta["student"]), meta["tokens"])
    student.load_state_dict(load_file(folder / _WEIGHTS))
    return student, meta


def load_probes(folder: Path) -> list[tuple[str, str]]:
    """The (query, title) pairs of `probes.json`."""
    probes = json.loads((folder / _PROBES).read_text(encoding="utf-8"))
    return [(query, title) for query, title in probes]
