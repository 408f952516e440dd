"""Recipe: the steps, from a catalog to artifacts that beat BM25 on queries kept aside.

DIR/work      what each step leaves; with it an interrupted run goes on
DIR/<kind>    the artifacts that passed: `qtr index CATALOG --models DIR` takes them
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
from qtr_rerank.export.to_onnx import export_student
from qtr_rerank.recipe.gate import HeldOut, bm25_figures
from qtr_rerank.recipe.settings import RecipeSettings
from qtr_rerank.recipe.shop import Shop, held_out_queries
from qtr_rerank.recipe.work import Step, Work
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.students.distill import distill
from qtr_rerank.teacher.encoders import load_tokenizer
from qtr_rerank.teacher.finetune import finetune
from qtr_rerank.teacher.score import score_pairs
from qtr_rerank.teacher.transfer_pairs import TransferPairSettings
from qtr_rerank.teacher.weak_labels import add_cosine, add_weak_label
from qtr_rerank.teacher.write_pairs import write_judged_pairs, write_transfer_set

REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class StudentReport:
    """`ndcg` is None where there is no artifact to measure; `refused` says why it was not handed
    over, empty where it was.
    """

    kind: str
    ndcg: float | None
    bytes: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class RecipeReport:
    """What a run came to. Figures are nDCG@10 on the queries kept aside; `graded_by` says by
    what, for without judges they tell how well a label is reproduced, not how happy shoppers are.
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
    def best_bm25(self) -> float:
        """What a student must reach."""
        return max(self.bm25.values())

    @property
    def handed_over(self) -> tuple[StudentReport, ...]:
        """The students whose artifacts are there."""
        return tuple(student for student in self.students if not student.refused)


def train_catalog(shop: Shop, out: Path, settings: RecipeSettings) -> RecipeReport:
    """Train, measure and hand over; goes on where an earlier call for the same was interrupted.

    A student that diverges, fails parity or is worse than BM25 is refused in the report, and the
    others go on. Raises DataError where `out` is of another catalog or other settings.
    """
    work = Work(out, {**shop.fingerprints, "settings": settings.to_json()})
    recipe = _Recipe(shop, work.folder, settings)
    shared, kinds = recipe.shared_steps(), list(settings.students)
    total = len(shared) + 2 * len(kinds)
    for number, step in enumerate(shared, start=1):
        work.run(step, number, total)
    failed: dict[str, str] = {}
    for place, kind in enumerate(kinds):
        try:
            for number, step in enumerate(recipe.student_steps(kind), len(shared) + 2 * place + 1):
                work.run(step, number, total)
        except (TrainingError, ArtifactError) as error:
            failed[kind] = str(error)
    report = recipe.report(failed, work.seconds)
    for student in report.students:
        _hand_over(student, recipe.artifact(student.kind), out / student.kind, report)
    write_json(out / REPORT, asdict(report))
    return report


class _Recipe:
    """The steps of one run, and what they leave in `folder`."""

    def __init__(self, shop: Shop, folder: Path, settings: RecipeSettings) -> None:
        self.shop, self.folder, self.settings = shop, folder, settings
        self.texts = list(dict.fromkeys(shop.texts.values()))
        self.judged = bool(shop.judgments)

    def shared_steps(self) -> list[Step]:
        """All that comes before the students."""
        steps = [
            Step("queries kept aside", self._at("held-out.parquet"), self._hold_out),
            Step("transfer pairs", self._at("pairs.parquet"), self._make_pairs),
            Step("labels without judges", self._at("labelled.parquet"), self._label),
            Step("teacher", self._at("teacher/teacher.json"), self._teach),
            Step("teacher's scores", self._at("scores"), lambda: self._score("labelled", "scores")),
            Step(
                "teacher on queries kept aside",
                self._at("held-out-scores"),
                lambda: self._score("held-out", "held-out-scores"),
            ),
            Step("BM25 on queries kept aside", self._at("bm25.json"), self._bm25),
        ]
        if self.judged:
            steps.insert(
                5,
                Step(
                    "teacher's scores of judged pairs",
                    self._at("judged-scores"),
                    lambda: self._score("judged", "judged-scores"),
                ),
            )
        return steps

    def student_steps(self, kind: str) -> list[Step]:
        """Distilled and exported; distilling calibrates on queries that it does not learn from."""
        student = self._at(f"students/{kind}")
        return [
            Step(f"student {kind}", student / "student.json", lambda: self._distill(kind)),
            Step(
                f"artifact {kind}",
                self.artifact(kind) / "config.json",
                lambda: export_student(student, self.artifact(kind)),
            ),
        ]

    def artifact(self, kind: str) -> Path:
        """Where a student's artifact waits to be measured."""
        return self._at(f"artifacts/{kind}")

    def report(self, failed: dict[str, str], seconds: dict[str, float]) -> RecipeReport:
        """Measure every artifact on the queries kept aside."""
        shop, judged = self.shop, self.judged
        held_out = HeldOut.read(self._at("held-out.parquet"), shop)
        scores = read_table(self._at("held-out-scores"), ["teacher_logit"])
        bm25: dict[str, float] = json.loads(self._at("bm25.json").read_text())
        students = []
        for kind in self.settings.students:
            if kind in failed:
                students.append(StudentReport(kind, None, 0, failed[kind]))
                continue
            scorer = Scorer.load(self.artifact(kind))
            ndcg = held_out.ndcg(scorer.score_pairs(held_out.queries, held_out.texts))
            name, best = max(bm25.items(), key=lambda figure: figure[1])
            worse = f"nDCG@10 {ndcg:.4f} is worse than {best:.4f} of {name}" if ndcg < best else ""
            students.append(StudentReport(kind, ndcg, scorer.artifact.size, worse))
        return RecipeReport(
            catalog=shop.name,
            products=len(shop.texts),
            reads=self.settings.reads,
            encoder=self.settings.encoder,
            judgments=len(shop.judgments),
            judgments_of_unknown_products=shop.unknown,
            held_out_queries=len(set(held_out.queries)),
            held_out_pairs=len(held_out.queries),
            held_out=(
                "judged queries, by hash, that no model has seen"
                if judged
                else "queries made from titles, as those of the training pairs, but not among them"
            ),
            graded_by=(
                "the judges, their lowest rating being worth nothing"
                if judged
                else "no judge: half the encoder's cosine, half the share of the query's words "
                "that the text holds"
            ),
            bm25=bm25,
            teacher=held_out.ndcg(scores.column("teacher_logit").to_numpy()),
            students=tuple(students),
            seconds=seconds,
        )

    def _at(self, name: str) -> Path:
        return self.folder / name

    def _hold_out(self) -> None:
        load_tokenizer(self.settings.encoder)  # an encoder that is not there is said at once
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
        add_cosine(self.settings.encoder, unlabelled, unlabelled)
        add_weak_label(unlabelled, path)

    def _make_pairs(self) -> None:
        given = self.shop.judged_queries("train") if self.judged else []
        path = self._at("pairs-unfiltered.parquet")
        self._transfer_set(given, path, self.settings.pairs)
        aside = read_table(self._at("held-out.parquet"), ["query"])
        avoided = {query_key(query) for query in texts(aside, "query")}
        table = read_table(path, ["clean_query"])
        kept = [query_key(query) not in avoided for query in texts(table, "clean_query")]
        write_table(table.filter(pa.array(kept)), self._at("pairs.parquet"))
        path.unlink()

    def _transfer_set(self, given: list[str], path: Path, pairs: TransferPairSettings) -> None:
        dense = self.settings.encoder if self.settings.dense else None
        write_transfer_set(self.texts, given, path, pairs, dense, self.settings.reads)

    def _label(self) -> None:
        path = self._at("cosine.parquet")
        add_cosine(self.settings.encoder, self._at("pairs.parquet"), path)
        add_weak_label(path, self._at("labelled.parquet"))
        path.unlink()

    def _teach(self) -> None:
        gold = [self._at("judged.parquet")] if self.judged else []
        weak, folder = self._at("labelled.parquet"), self._at("teacher")
        finetune(weak, gold, folder, self.settings.teacher)

    def _score(self, pairs: str, scores: str) -> None:
        path = self._at(f"{pairs}.parquet")
        score_pairs(self._at("teacher"), path, self._at(scores), self.settings.scoring)

    def _bm25(self) -> None:
        held_out = HeldOut.read(self._at("held-out.parquet"), self.shop)
        write_json(self._at("bm25.json"), bm25_figures(held_out, self.shop))

    def _distill(self, kind: str) -> None:
        gold = [self._at("judged-scores")] if self.judged else []
        settings = self.settings.students[kind]
        distill(
            kind,
            [self._at("scores")],
            gold,
            self.settings.encoder,
            self._at(f"students/{kind}"),
            settings,
        )


def _hand_over(student: StudentReport, made: Path, place: Path, report: RecipeReport) -> None:
    if student.refused:
        shutil.rmtree(place, ignore_errors=True)
        return
    new = Artifact.load(made)
    there = (place / "config.json").is_file()
    if there and Artifact.load(place).fingerprint == new.fingerprint:
        return
    with replacing_folder(place) as folder:
        shutil.copytree(made, folder, dirs_exist_ok=True)
        card = model_card(new.config, _card(student, report))
        (folder / CARD).write_text(card, encoding="utf-8")
        Artifact.seal(folder, new.config)


def _card(student: StudentReport, report: RecipeReport) -> str:
    """How it was made, and what it is worth."""
    figures = {**report.bm25, "the teacher": report.teacher, "this model": student.ndcg}
    table = "\n".join(f"| {name} | {value:.4f} |" for name, value in figures.items())
    return f"""## Recipe

Made by `qtr train` from {report.catalog} ({report.products:,} products, {report.judgments:,}
judgments) with the encoder {report.encoder}.

## Figures

nDCG@10 of the lists of {report.held_out_queries} queries ({report.held_out_pairs:,} pairs):
{report.held_out}. Graded by {report.graded_by}.

| | nDCG@10 |
|---|---|
{table}
"""
