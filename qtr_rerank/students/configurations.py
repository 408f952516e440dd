"""Students: named training settings of each kind.

`default` made the artifacts in the package; `paper` is the configuration of the kind's paper, as
far as it is published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from qtr_rerank.errors import SettingsError
from qtr_rerank.students import student_kind
from qtr_rerank.students.bert2dnn import Bert2DnnSettings
from qtr_rerank.students.bert_bilstm import BertBiLstmSettings
from qtr_rerank.students.match import MatchSettings
from qtr_rerank.students.student import StudentSettings
from qtr_rerank.students.twin import TwinSettings


@dataclass(frozen=True, slots=True)
class DistillSettings:
    """How a student is trained.

    `gold_share`: weight of the judges' label in a judged pair's target; the rest is the teacher's
    probability (1: no teacher needed). `gold_repeats`: how often an epoch reads each judged pair.
    `contrast`: weight of the in-batch loss (twin only). `hard_negatives`: put the pairs of a query
    into one batch, where they are that loss's hard negatives.
    """

    student: StudentSettings
    epochs: int = 4
    batch: int = 512
    optimizer: Literal["adamw", "adagrad"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    loss: Literal["soft_cross_entropy", "logit_mse", "margin_mse"] = "soft_cross_entropy"
    temperature: float = 1.0
    gold_share: float = 0.5
    gold_repeats: int = 4
    contrast: float = 0.0
    hard_negatives: bool = False
    held_out_share: float = 0.03
    seed: int = 7

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise SettingsError(f"epochs={self.epochs}, batch={self.batch}; expected from 1 and 2")
        if self.temperature <= 0:
            raise SettingsError(f"temperature={self.temperature}; expected above 0")
        if not 0.0 <= self.gold_share <= 1.0:
            raise SettingsError(f"gold_share={self.gold_share}; expected 0 to 1")

    @property
    def by_query(self) -> bool:
        """Whether the pairs of a query must be in the same batch."""
        return self.loss == "margin_mse" or self.hard_negatives


CONFIGURATIONS: dict[str, dict[str, DistillSettings]] = {
    "bert-bilstm": {"default": DistillSettings(BertBiLstmSettings(), epochs=3)},
    "bert2dnn": {
        "default": DistillSettings(Bert2DnnSettings(), temperature=2.0),
        # From the authors' code, except for the lengths of 16 and 32 words.
        "paper": DistillSettings(
            Bert2DnnSettings(
                layout="paper",
                vocabulary="ngrams",
                dim=64,
                max_query_tokens=33,
                max_title_tokens=65,
            ),
            epochs=3,
            batch=128,
            optimizer="adagrad",
            learning_rate=0.01,
            weight_decay=0.0,
            temperature=2.0,
            gold_share=0.0,
            gold_repeats=1,
        ),
    },
    "match": {"default": DistillSettings(MatchSettings())},
    "twin": {
        "default": DistillSettings(
            TwinSettings(), epochs=3, contrast=0.5, hard_negatives=True, learning_rate=1e-3
        ),
        # The paper's relevance model; `--set student.crossing=cos` makes its retrieval model.
        # Epochs and learning rate are not published.
        "paper": DistillSettings(
            TwinSettings(
                vocabulary="triletters",
                max_query_tokens=12,
                max_title_tokens=12,
                dim=512,
                layers=6,
                heads=8,
                feed_forward=512,
                vector=512,
                pooling="weighted",
                bag=False,
                downscale="none",
                crossing="res",
            ),
            epochs=3,
            learning_rate=2e-4,
            gold_share=0.0,
            gold_repeats=1,
        ),
    },
}


def configuration(
    kind: str, name: str = "default", *, seed: int = 7, epochs: int | None = None
) -> DistillSettings:
    """The settings of a kind called `name`. Raises SettingsError, listing the choices."""
    student_kind(kind)
    try:
        chosen = CONFIGURATIONS[kind][name]
    except KeyError:
        raise SettingsError(
            f"{kind} has no configuration {name!r}; choose from {sorted(CONFIGURATIONS[kind])}"
        ) from None
    return replace(chosen, seed=seed, epochs=epochs or chosen.epochs)
