"""Recipe: the settings of every stage of `qtr train CATALOG`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from qtr_rerank.errors import SettingsError
from qtr_rerank.students import KINDS
from qtr_rerank.students.configurations import DistillSettings, configuration
from qtr_rerank.teacher.finetune import FinetuneSettings
from qtr_rerank.teacher.score import ScoreSettings
from qtr_rerank.teacher.transfer_pairs import TransferPairSettings
from qtr_rerank.template import DEFAULT_TEMPLATE, ProductText

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
# Size -> generated queries (about five pairs each), pairs that the teacher is trained on.
SIZES: Mapping[str, tuple[int, int]] = {
    "small": (12_000, 10_000),
    "medium": (60_000, 45_000),
    "large": (200_000, 90_000),
}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How models are trained on a catalog.

    `reads` is the template of what models read of a product; `students` maps each kind to its
    training settings. Without judgments, `held_out_queries` generated queries are held out for
    measuring. With `dense`, some pairs come from dense retrieval, whose time grows with queries
    times products.
    """

    pairs: TransferPairSettings
    teacher: FinetuneSettings
    students: Mapping[str, DistillSettings]
    reads: str = DEFAULT_TEMPLATE
    held_out_queries: int = 300
    dense: bool = True
    scoring: ScoreSettings = field(default_factory=ScoreSettings)

    def __post_init__(self) -> None:
        ProductText(self.reads)
        if not self.students:
            raise SettingsError(f"no students to train; the kinds are {sorted(KINDS)}")
        if self.held_out_queries < 1:
            raise SettingsError(
                f"held_out_queries={self.held_out_queries}; expected at least 1 to measure on"
            )

    @property
    def encoder(self) -> str:
        """The encoder that the teacher starts from. Its cosines label pairs, and students take its
        vocabulary and token vectors.
        """
        return self.teacher.encoder

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON types."""
        return asdict(self)


def settings_for_size(
    size: str = "medium",
    *,
    encoder: str = DEFAULT_ENCODER,
    students: Sequence[str] = tuple(KINDS),
    reads: str = DEFAULT_TEMPLATE,
    epochs: int | None = None,
    seed: int = 7,
) -> TrainSettings:
    """The settings for a size: small, medium or large.

    `epochs` applies to every student; None keeps each kind's own. Raises SettingsError for an
    unknown size or kind of student.
    """
    if size not in SIZES:
        raise SettingsError(f"the size is {size!r}; expected one of {', '.join(SIZES)}")
    queries, weak_pairs = SIZES[size]
    return TrainSettings(
        pairs=TransferPairSettings(generated_queries=queries, seed=seed),
        teacher=FinetuneSettings(encoder=encoder, weak_pairs=weak_pairs, seed=seed),
        students={kind: configuration(kind, seed=seed, epochs=epochs) for kind in students},
        reads=reads,
    )
