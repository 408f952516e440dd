"""Recipe: `qtr train --preset general`, the steps that made the models in the package.

Trained on clean sources only: Icecat with its judgments (DATA/icecat), lists of titles and queries
(DATA/unlabelled), a generated shop and the encoder's vocabulary. About four hours on 2 CPU cores.

DIR/work      what each step writes; an interrupted run continues from it
DIR/<kind>    the artifacts
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from qtr_rerank.artifact import Artifact
from qtr_rerank.data.catalog_formats import product_texts
from qtr_rerank.data.dataset_files import first_file
from qtr_rerank.data.datasets import open_dataset
from qtr_rerank.data.icecat import CATALOG_FILES, JUDGMENT_FILES
from qtr_rerank.data.splits import Split
from qtr_rerank.data.text_lists import read_texts
from qtr_rerank.errors import DataError
from qtr_rerank.recipe.common_steps import (
    label_without_judges,
    queries_without,
    scores_of,
    scoring_step,
    student_steps,
)
from qtr_rerank.recipe.general_settings import GeneralSettings
from qtr_rerank.recipe.steps import Step, StepRunner
from qtr_rerank.teacher.finetune import finetune
from qtr_rerank.teacher.mixture import apply_mixture
from qtr_rerank.teacher.write_pairs import (
    write_judged_pairs,
    write_sample_pairs,
    write_transfer_set,
    write_vocabulary_pairs,
)
from qtr_rerank.template import ProductText

# The lists name the source of each text; these are the ones free to train on.
TITLE_SOURCES = ("icecat", "wdc", "er_magellan")
QUERY_SOURCES = ("wands", "icecat")


@dataclass(frozen=True, slots=True)
class GeneralSources:
    """The files of the data folder that the preset reads."""

    icecat: Path
    titles: Path
    queries: Path

    @classmethod
    def find(cls, data: Path) -> GeneralSources:
        """Look them up in `data`. Raises DataError naming the first that is missing."""
        unlabelled = data / "unlabelled"
        sources = cls(data / "icecat", unlabelled / "titles.tsv.gz", unlabelled / "queries.tsv.gz")
        for path in (sources.icecat, sources.titles, sources.queries):
            if not path.exists():
                raise DataError(
                    f"{path} does not exist; expected a folder that holds icecat/ and "
                    "unlabelled/{titles,queries}.tsv.gz: give it by --data or QTR_DATA_DIR"
                )
        return sources

    def fingerprint(self) -> str:
        """Changes with any byte of the sources (hex)."""
        digest = hashlib.sha256()
        for path in (
            first_file(self.icecat, CATALOG_FILES),
            first_file(self.icecat, JUDGMENT_FILES),
            self.titles,
            self.queries,
        ):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def train_general(
    sources: GeneralSources, out: Path, settings: GeneralSettings
) -> dict[str, Artifact]:
    """Train the students and export them to `out`, by kind; continues an interrupted run.

    Raises DataError if `out` holds a run on other sources or other settings, TrainingError if a
    student diverges, and ArtifactError if torch and ONNX disagree.
    """
    identity = {"preset": "general", "data": sources.fingerprint(), "settings": settings.to_json()}
    runner = StepRunner(out, identity, subfolder="work")
    steps = _GeneralRecipe(sources, runner.folder, out, settings).steps()
    for number, step in enumerate(steps, start=1):
        runner.run(step, f"[{number}/{len(steps)}] ")
    return {kind: Artifact.load(out / kind) for kind in settings.students}


class _GeneralRecipe:
    """The steps of one run; their files are in `folder`, the artifacts in `out`."""

    def __init__(
        self, sources: GeneralSources, folder: Path, out: Path, settings: GeneralSettings
    ) -> None:
        self.sources, self.folder, self.out, self.settings = sources, folder, out, settings

    def steps(self) -> list[Step]:
        """All steps, in order."""
        encoder, scoring = self.settings.encoder, self.settings.scoring
        judged = [self._at("icecat-train"), self._at("sample")]
        transfer = [self._at(name) for name in ("labelled", "more-labelled", "words-labelled")]
        steps = [
            Step("Icecat, training side", judged[0], lambda: self._judged("train")),
            Step("Icecat, held-out side", self._at("icecat-dev"), lambda: self._judged("dev")),
            Step("transfer pairs", self._at("pairs"), self._pairs),
            self._labelling("pairs", transfer[0]),
            Step("generated shop", judged[1], self._sample),
            # Teacher 1 learns what words mean, from many label-free pairs; teacher 2 what judges
            # want, from few.
            Step("teacher 1", self._teacher(1) / "teacher.json", self._teach_1),
            Step("teacher 2", self._teacher(2) / "teacher.json", self._teach_2),
            # The size of the transfer set decides how good a student becomes.
            Step("more transfer pairs", self._at("more"), self._more_pairs),
            self._labelling("more", transfer[1]),
            # Words that the titles lack: otherwise a shop of another kind is unknown to a student.
            Step("vocabulary pairs", self._at("words"), self._vocabulary_pairs),
            self._labelling("words", transfer[2]),
            *(
                scoring_step(f"teacher's scores of {pairs.stem}", self._teacher(2), pairs, scoring)
                for pairs in (*judged, *transfer)
            ),
            *(self._mixing(pairs) for pairs in transfer),
        ]
        card = files("qtr_rerank.recipe").joinpath("general_card.md").read_text(encoding="utf-8")
        for kind, settings in self.settings.students.items():
            steps += student_steps(
                kind,
                [_mixed(pairs) for pairs in transfer],
                [scores_of(pairs) for pairs in judged],
                encoder,
                self.folder / "students" / kind,
                self.out / kind,
                settings,
                card,
            )
        return steps

    def _at(self, table: str) -> Path:
        return self.folder / f"{table}.parquet"

    def _teacher(self, number: int) -> Path:
        return self.folder / f"teacher-{number}"

    def _titles(self) -> list[str]:
        return list(read_texts(self.sources.titles, "title", TITLE_SOURCES))

    def _queries(self) -> list[str]:
        queries = read_texts(self.sources.queries, "query", QUERY_SOURCES)
        return list(queries_without([self._at("icecat-dev")], queries))

    def _judged(self, split: Split) -> None:
        icecat = open_dataset("icecat", self.sources.icecat)
        titles = product_texts(icecat.catalog(), ProductText())
        write_judged_pairs(icecat.judgments(), titles, self._at(f"icecat-{split}"), split)

    def _sample(self) -> None:
        sample = self.settings.sample
        write_sample_pairs(
            self._at("sample"), sample.queries, sample.per_query, sample.seed, ProductText()
        )

    def _pairs(self) -> None:
        write_transfer_set(self._titles(), self._queries(), self._at("pairs"), self.settings.pairs)

    def _more_pairs(self) -> None:
        write_transfer_set(
            self._titles(),
            self._queries(),
            self._at("more"),
            self.settings.more_pairs,
            self.settings.encoder,
        )

    def _vocabulary_pairs(self) -> None:
        write_vocabulary_pairs(
            self.settings.encoder,
            self._titles(),
            self._queries(),
            self._at("words"),
            self.settings.vocabulary_pairs,
        )

    def _labelling(self, name: str, out: Path) -> Step:
        pairs, encoder = self._at(name), self.settings.encoder
        return Step(f"labels of {name}", out, lambda: label_without_judges(encoder, pairs, out))

    def _mixing(self, pairs: Path) -> Step:
        def mix() -> None:
            apply_mixture(self.settings.mixture, scores_of(pairs), _mixed(pairs))

        return Step(f"mixture of {pairs.stem}", _mixed(pairs), mix)

    def _teach_1(self) -> None:
        gold = [self._at("icecat-train")]
        finetune(self._at("labelled"), gold, self._teacher(1), self.settings.teacher_1)

    def _teach_2(self) -> None:
        gold = [self._at("icecat-train"), self._at("sample")]
        settings = replace(self.settings.teacher_2, encoder=str(self._teacher(1)))
        finetune(self._at("labelled"), gold, self._teacher(2), settings)


def _mixed(pairs: Path) -> Path:
    return pairs.with_name(f"{pairs.stem}-mixed.parquet")
