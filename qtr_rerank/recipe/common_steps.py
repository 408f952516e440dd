"""Recipe: the steps that `qtr train CATALOG` and `qtr train --preset general` share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.export.to_onnx import export_student
from qtr_rerank.recipe.steps import Step
from qtr_rerank.students.configurations import DistillSettings
from qtr_rerank.students.distill import distill
from qtr_rerank.teacher.score import ScoreSettings, score_pairs
from qtr_rerank.teacher.weak_labels import add_cosine, add_weak_label


def queries_without(held_out: Iterable[Path], queries: Iterable[str]) -> Iterator[str]:
    """The queries that are not among those of the `held_out` pair tables."""
    avoided = {q for path in held_out for q in texts(read_table(path, ["query"]), "query")}
    return (query for query in queries if query not in avoided)


def label_without_judges(encoder: str, pairs: Path, out: Path) -> None:
    """Write `pairs` with a label: half the encoder's cosine, half lexical coverage."""
    cosine = out.with_name(f"{out.stem}-cosine.parquet")
    add_cosine(encoder, pairs, cosine)
    add_weak_label(cosine, out)
    cosine.unlink()


def scoring_step(name: str, teacher: Path, pairs: Path, settings: ScoreSettings) -> Step:
    """The teacher scores a pair table X.parquet into the folder X-scores."""
    scores = scores_of(pairs)
    return Step(name, scores, lambda: score_pairs(teacher, pairs, scores, settings))


def scores_of(pairs: Path) -> Path:
    """Where the teacher's scores of a pair table are."""
    return pairs.with_name(f"{pairs.stem}-scores")


def student_steps(
    kind: str,
    scores: Sequence[Path],
    gold: Sequence[Path],
    encoder: str,
    folder: Path,
    artifact: Path,
    settings: DistillSettings,
    card: str = "",
) -> list[Step]:
    """Distil a student from transfer pairs (`scores`) and judged pairs (`gold`), then export it.

    Distilling also calibrates, on queries that the student does not learn from.
    """

    def train() -> None:
        distill(kind, list(scores), list(gold), encoder, folder, settings)

    return [
        # `distill` writes the probes last.
        Step(f"student {kind}", folder / "probes.json", train),
        Step(
            f"artifact {kind}",
            artifact / "config.json",
            lambda: export_student(folder, artifact, card=card),
        ),
    ]
