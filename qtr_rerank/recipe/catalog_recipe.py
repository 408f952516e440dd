"""Recipe: `qtr train CATALOG`, from a catalog to artifacts that beat BM25 on held-out queries.

DIR/work      what each step writes; an interrupted run continues from it
DIR/<kind>    the artifacts that passed the gate: `qtr index CATALOG --models DIR` uses them
DIR/report.json
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa

from qtr_rerank.artifact import CARD, Artifact
from qtr_rerank.atomic import replacing_folder, write_json
from qtr_rerank.data.splits import query_key
from qtr_rerank.data.training_pairs import read_table, texts, write_table
from qtr_rerank.errors import ArtifactError, TrainingError
from qtr_rerank.export.model_card import model_card
from qtr_rerank.recipe.common_steps import (
    label_without_judges,
    scores_of,
    scoring_step,
    student_steps,
)
from qtr_rerank.recipe.quality_gate import HeldOut, bm25_figures, reason_to_refuse
from qtr_rerank.recipe.shop import Shop, held_out_queries
from qtr_rerank.recipe.steps import Step, StepRunner
from qtr_rerank.recipe.train_settings import TrainSettings
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.teacher.encoders import load_tokenizer
from qtr_rerank.teacher.finetune import finetune
from qtr_rerank.teacher.transfer_pairs import TransferPairSettings
from qtr_rerank.teacher.write_pairs import write_judged_pairs, write_transfer_set

REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class StudentReport:
    """One student's result.

    `ndcg` is None if training or export failed; `refused` says why it was not handed over, and is
    empty if it was.
    """

    kind: str
    ndcg: float | None
    bytes: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of a run. Figures are nDCG@10 on the held-out queries.

    `graded_by` says where the grades come from: without judges, the figures say how well a label
    is reproduced, not how satisfied shoppers are.
    """

    catalog: str
    products: int
    reads: str
    encoder: str
    judgments: int
    judgments_of_unknown_products: int
    held_out_queries: int
    held_out_pairs: int
    held_out: str
    graded_by: str
    bm25: dict[str, float]
    teacher: float
    students: tuple[StudentReport, ...]
    seconds: dict[str, float]

    @property
    def handed_over(self) -> tuple[StudentReport, ...]:
        """The students that passed the gate."""
        return tuple(student for student in self.students if not student.refused)


def train_catalog(shop: Shop, out: Path, settings: TrainSettings) -> TrainReport:
    """Train, measure and hand over the students; continues an interrupted run.

    A student that diverges, fails parity or is worse than BM25 is refused in the report; the
    others continue. Raises DataError if `out` holds a run on another catalog or other settings.
    """
    identity = {**shop.fingerprints, "settings": settings.to_json()}
    runner = StepRunner(out, identity, subfolder="work")
    recipe = _Recipe(shop, runner.folder, settings)
    shared, kinds = recipe.shared_steps(), list(settings.students)
    total = len(shared) + 2 * len(kinds)
    for number, step in enumerate(shared, start=1):
        runner.run(step, f"[{number}/{total}] ")
    failed: dict[str, str] = {}
    for place, kind in enumerate(kinds):
        first = len(shared) + 2 * place + 1
        try:
            for number, step in enumerate(recipe.steps_of(kind), first):
                runner.run(step, f"[{number}/{total}] ")
        except (TrainingError, ArtifactError) as error:
            failed[kind] = str(error)
    report = recipe.report(failed, runner.seconds)
    for student in report.students:
        _hand_over(student, recipe.artifact(student.kind), out / student.kind, report)
    write_json(out / REPORT, asdict(report))
    return report


class _Recipe:
    """The steps of one run; their files are in `folder`."""

    def __init__(self, shop: Shop, folder: Path, settings: TrainSettings) -> None:
        self.shop, self.folder, self.settings = shop, folder, settings
        self.texts = list(dict.fromkeys(shop.texts.values()))
        self.judged = bool(shop.judgments)

    def shared_steps(self) -> list[Step]:
        """Everything before the students."""
        judged_scores = [self._scoring("teacher's scores of judged pairs", "judged")]
        return [
            Step("held-out queries", self._at("held-out.parquet"), self._hold_out),
            Step("transfer pairs", self._at("pairs.parquet"), self._make_pairs),
            Step("labels without judges", self._at("labelled.parquet"), self._label),
            Step("teacher", self._at("teacher/teacher.json"), self._teach),
            self._scoring("teacher's scores", "labelled"),
            *(judged_scores if self.judged else []),
            self._scoring("teacher on held-out queries", "held-out"),
            Step("BM25 on held-out queries", self._at("bm25.json"), self._bm25),
        ]

    def steps_of(self, kind: str) -> list[Step]:
        """Distil and export one student."""
        return student_steps(
            kind,
            [scores_of(self._at("labelled.parquet"))],
            [scores_of(self._at("judged.parquet"))] if self.judged else [],
            self.settings.encoder,
            self._at(f"students/{kind}"),
            self.artifact(kind),
            self.settings.students[kind],
        )

    def artifact(self, kind: str) -> Path:
        """A student's artifact before it is measured."""
        return self._at(f"artifacts/{kind}")

    def report(self, failed: dict[str, str], seconds: dict[str, float]) -> TrainReport:
        """Measure every artifact on the held-out queries."""
        shop, judged = self.shop, self.judged
        held_out = HeldOut.read(self._at("held-out.parquet"), shop)
        scores = read_table(scores_of(self._at("held-out.parquet")), ["teacher_logit"])
        bm25: dict[str, float] = json.loads(self._at("bm25.json").read_text(encoding="utf-8"))
        students = []
        for kind in self.settings.students:
            if kind in failed:
                students.append(StudentReport(kind, None, 0, failed[kind]))
                continue
            scorer = Scorer.load(self.artifact(kind))
            ndcg = held_out.ndcg(scorer.score_pairs(held_out.queries, held_out.texts))
            reason = reason_to_refuse(ndcg, bm25)
            students.append(StudentReport(kind, ndcg, scorer.artifact.size, reason))
        return TrainReport(
            catalog=shop.name,
            products=len(shop.texts),
            reads=self.settings.reads,
            encoder=self.settings.encoder,
            judgments=len(shop.judgments),
            judgments_of_unknown_products=shop.unknown,
            held_out_queries=len(set(held_out.queries)),
            held_out_pairs=len(held_out.queries),
            held_out=(
                "judged queries, chosen by hash, that no model has seen"
                if judged
                else "generated from titles like the training queries, but not among them"
            ),
            graded_by=(
                "the judges; their lowest rating has gain 0"
                if judged
                else "no judge: half the encoder's cosine, half the share of the query's words "
                "that the text contains"
            ),
            bm25=bm25,
            teacher=held_out.ndcg(scores.column("teacher_logit").to_numpy()),
            students=tuple(students),
            seconds=seconds,
        )

    def _at(self, name: str) -> Path:
        return self.folder / name

    def _hold_out(self) -> None:
        load_tokenizer(self.settings.encoder)  # fails early if the encoder does not exist
        reads, path = self.settings.reads, self._at("held-out.parquet")
        if self.judged:
            write_judged_pairs(self.shop.judgments, self.shop.texts, path, "dev", reads)
            write_judged_pairs(
                self.shop.judgments, self.shop.texts, self._at("judged.parquet"), "train", reads
            )
            return
        pairs = self.settings.pairs
        queries = held_out_queries(self.texts, self.settings.held_out_queries, pairs.seed)
        unlabelled = self._at("held-out-unlabelled.parquet")
        self._transfer_set(queries, unlabelled, replace(pairs, generated_queries=0, size=None))
        label_without_judges(self.settings.encoder, unlabelled, path)

    def _make_pairs(self) -> None:
        given = self.shop.judged_queries("train") if self.judged else []
        path = self._at("pairs-unfiltered.parquet")
        self._transfer_set(given, path, self.settings.pairs)
        held_out = read_table(self._at("held-out.parquet"), ["query"])
        avoided = {query_key(query) for query in texts(held_out, "query")}
        table = read_table(path, ["clean_query"])
        kept = [query_key(query) not in avoided for query in texts(table, "clean_query")]
        write_table(table.filter(pa.array(kept)), self._at("pairs.parquet"))
        path.unlink()

    def _transfer_set(self, given: list[str], path: Path, pairs: TransferPairSettings) -> None:
        dense = self.settings.encoder if self.settings.dense else None
        write_transfer_set(self.texts, given, path, pairs, dense, self.settings.reads)

    def _label(self) -> None:
        label_without_judges(
            self.settings.encoder, self._at("pairs.parquet"), self._at("labelled.parquet")
        )

    def _teach(self) -> None:
        gold = [self._at("judged.parquet")] if self.judged else []
        weak, folder = self._at("labelled.parquet"), self._at("teacher")
        finetune(weak, gold, folder, self.settings.teacher)

    def _scoring(self, name: str, pairs: str) -> Step:
        path = self._at(f"{pairs}.parquet")
        return scoring_step(name, self._at("teacher"), path, self.settings.scoring)

    def _bm25(self) -> None:
        held_out = HeldOut.read(self._at("held-out.parquet"), self.shop)
        write_json(self._at("bm25.json"), bm25_figures(held_out, self.shop))


def _hand_over(student: StudentReport, made: Path, place: Path, report: TrainReport) -> None:
    """Copy an artifact to `place`, with its figures in its card; remove a refused one there."""
    if student.refused:
        shutil.rmtree(place, ignore_errors=True)
        return
    new = Artifact.load(made)
    exists = (place / "config.json").is_file()
    if exists and Artifact.load(place).fingerprint == new.fingerprint:
        return
    with replacing_folder(place) as folder:
        shutil.copytree(made, folder, dirs_exist_ok=True)
        card = model_card(new.config, _card(student, report))
        (folder / CARD).write_text(card, encoding="utf-8")
        Artifact.seal(folder, new.config)


def _card(student: StudentReport, report: TrainReport) -> str:
    """The card's sections on how the model was made and what it scores."""
    figures = {**report.bm25, "the teacher": report.teacher, "this model": student.ndcg}
    table = "\n".join(f"| {name} | {value:.4f} |" for name, value in figures.items())
    return f"""## Recipe

Made by `qtr train` from {report.catalog} ({report.products:,} products, {report.judgments:,}
judgments) with the encoder {report.encoder}.

## Figures

nDCG@10 over {report.held_out_queries} held-out queries ({report.held_out_pairs:,} pairs):
{report.held_out}. Graded by {report.graded_by}.

| | nDCG@10 |
|---|---|
{table}
"""
