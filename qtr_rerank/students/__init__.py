"""Students: small models, distilled from a teacher's scores by one training loop (`distill`).

Each is three functions, exported as three graphs: title ids -> title features (computed at index
time), query ids -> query features, and both features -> logits. `KINDS` lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtr_rerank.errors import SettingsError
from qtr_rerank.students.bert2dnn import Bert2Dnn, Bert2DnnSettings
from qtr_rerank.students.bert2dnn_paper import Bert2DnnPaper
from qtr_rerank.students.bert_bilstm import BertBiLstm, BertBiLstmSettings
from qtr_rerank.students.match import Match, MatchSettings
from qtr_rerank.students.student import Student, StudentSettings
from qtr_rerank.students.twin import Twin, TwinSettings

Maker = Callable[[Any, int], Student]
"""(settings, number of tokens in the vocabulary) -> a student with new weights."""


def _bert2dnn(settings: Bert2DnnSettings, tokens: int) -> Student:
    layout = Bert2DnnPaper if settings.layout == "paper" else Bert2Dnn
    return layout(settings, tokens)


KINDS: dict[str, tuple[Maker, type[StudentSettings]]] = {
    "bert-bilstm": (BertBiLstm, BertBiLstmSettings),
    "bert2dnn": (_bert2dnn, Bert2DnnSettings),
    "match": (Match, MatchSettings),
    "twin": (Twin, TwinSettings),
}


def student_kind(kind: str) -> tuple[Maker, type[StudentSettings]]:
    """The constructor of a kind, called as `maker(settings, tokens)`, and its settings class.

    Raises SettingsError, which lists the kinds, for an unknown one.
    """
    try:
        return KINDS[kind]
    except KeyError:
        raise SettingsError(f"there is no student {kind!r}; choose from {sorted(KINDS)}") from None
