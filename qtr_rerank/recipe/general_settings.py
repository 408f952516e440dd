"""Recipe: the settings of `qtr train --preset general`, which made the models in the package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from qtr_rerank.errors import SettingsError
from qtr_rerank.students import KINDS
from qtr_rerank.students.configurations import DistillSettings, configuration
from qtr_rerank.teacher.finetune import FinetuneSettings
from qtr_rerank.teacher.mixture import Mixture
from qtr_rerank.teacher.score import ScoreSettings
from qtr_rerank.teacher.transfer_pairs import TransferPairSettings
from qtr_rerank.teacher.vocabulary_pairs import VocabularyPairSettings

# On shops that the teacher has not seen, a little of the bi-encoder and of coverage improves it:
# two logits for a cosine of 1, one for full coverage, then scaled to the teacher's range.
MIXTURE = Mixture({"teacher_logit": 0.7, "cosine": 1.4, "coverage": 0.7}, bias=-0.93)


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """The generated shop whose judged pairs teach synonyms, units, negation and accessories."""

    queries: int = 1500
    per_query: int = 16
    seed: int = 11

    def __post_init__(self) -> None:
        if min(self.queries, self.per_query) < 1:
            raise SettingsError(
                f"queries={self.queries}, per_query={self.per_query}; expected at least 1 each"
            )


@dataclass(frozen=True, slots=True)
class GeneralSettings:
    """How the general models are trained.

    The transfer sets are `pairs`, `more_pairs` (other queries, and some titles from dense
    retrieval) and `vocabulary_pairs`. `teacher_1` learns from label-free pairs and Icecat's
    judgments; `teacher_2` starts from it, with the generated shop's judgments added.
    """

    teacher_1: FinetuneSettings
    teacher_2: FinetuneSettings
    students: Mapping[str, DistillSettings]
    pairs: TransferPairSettings = field(default_factory=TransferPairSettings)
    more_pairs: TransferPairSettings = field(
        default_factory=lambda: TransferPairSettings(generated_queries=40_000, seed=8)
    )
    vocabulary_pairs: VocabularyPairSettings = field(default_factory=VocabularyPairSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    scoring: ScoreSettings = field(default_factory=ScoreSettings)
    mixture: Mixture = MIXTURE

    @property
    def encoder(self) -> str:
        """The encoder that teacher 1 starts from. Its cosines label pairs, and students take its
        vocabulary and token vectors.
        """
        return self.teacher_1.encoder

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON types."""
        return asdict(self)


def general_settings(
    encoder: str, *, students: Sequence[str] = tuple(KINDS), epochs: int | None = None
) -> GeneralSettings:
    """The settings of the models in the package.

    `epochs` applies to every student; None keeps each kind's own. Raises SettingsError for an
    unknown kind of student.
    """
    return GeneralSettings(
        teacher_1=FinetuneSettings(encoder=encoder),
        teacher_2=FinetuneSettings(
            encoder=encoder, weak_pairs=12_000, gold_repeats=1, learning_rate=3e-5
        ),
        students={kind: configuration(kind, epochs=epochs) for kind in students},
    )
