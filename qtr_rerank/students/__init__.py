"""Students: small models distilled from teacher scores by one training loop.

Each is three functions that are exported as three graphs: title ids -> title features (stored at
index time), query ids -> query features, and both -> logits. `KINDS` names them.
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

# Of the settings class beside it, and the size of the vocabulary.
Maker = Callable[[Any, int], Student]


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
    """What makes a student of a kind - `maker(settings, tokens)` -, and its settings class.

    Raises SettingsError listing the kinds.
    """
    try:
        return KINDS[kind]
    except KeyError:
        raise SettingsError(f"no student is called {kind!r}; there are {sorted(KINDS)}") from None
