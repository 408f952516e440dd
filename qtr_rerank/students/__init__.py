"""Students: small models distilled from teacher scores by one training loop.

Each is three functions that are exported as three graphs: title ids -> title features (stored at
index time), query ids -> query features, and both -> logits. `KINDS` names them.
"""

from __future__ import annotations

from qtr_rerank.errors import SettingsError
from qtr_rerank.students.base import Student, StudentSettings
from qtr_rerank.students.bert2dnn import Bert2Dnn, Bert2DnnSettings
from qtr_rerank.students.bert_bilstm import BertBiLstm, BertBiLstmSettings
from qtr_rerank.students.twinbert import Twin, TwinSettings

KINDS: dict[str, tuple[type[Student], type[StudentSettings]]] = {
    "bert-bilstm": (BertBiLstm, BertBiLstmSettings),
    "bert2dnn": (Bert2Dnn, Bert2DnnSettings),
    "twin": (Twin, TwinSettings),
}


def student_kind(kind: str) -> tuple[type[Student], type[StudentSettings]]:
    """The class and the settings class of a kind. Raises SettingsError listing the kinds."""
    try:
        return KINDS[kind]
    except KeyError:
        raise SettingsError(f"no student is called {kind!r}; there are {sorted(KINDS)}") from None
