"""Students: the interface of every student model, and the settings that all of them share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from qtr_rerank.errors import SettingsError
from qtr_rerank.features.vocabulary import VocabularyName
from qtr_rerank.students.layers import TokenEmbedding

Features = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class StudentSettings:
    """Settings of every student: its vocabulary, and how many tokens it reads of a text."""

    max_query_tokens: int = 16
    max_title_tokens: int = 32
    vocabulary: VocabularyName = "wordpiece"

    def __post_init__(self) -> None:
        if min(self.max_query_tokens, self.max_title_tokens) < 1:
            raise SettingsError(
                f"max_query_tokens={self.max_query_tokens}, "
                f"max_title_tokens={self.max_title_tokens}; expected at least 1 each"
            )

    def require_vocabulary(self, *readable: VocabularyName) -> None:
        """Raise SettingsError if the student cannot read the chosen vocabulary."""
        if self.vocabulary not in readable:
            raise SettingsError(
                f"vocabulary={self.vocabulary!r} does not fit this {type(self).__name__}; "
                f"expected {' or '.join(readable)}"
            )


class Student(nn.Module):
    """Three functions over token ids padded with 0.

    `encode_title` and `encode_query` map ids (texts, tokens) to named features, each with one row
    per text and at least two dimensions. `score` maps query features (1 or n rows) and title
    features (n rows) to logits (n,). An index stores the title features, so they are in half
    precision and 16-bit ids where that does not change scores.
    """

    @abstractmethod
    def encode_title(self, ids: Tensor) -> Features: ...

    @abstractmethod
    def encode_query(self, ids: Tensor) -> Features: ...

    @abstractmethod
    def score(self, query: Features, title: Features) -> Tensor: ...

    @abstractmethod
    def embedding(self) -> TokenEmbedding:
        """The token table, which starts from a pre-trained encoder's."""

    def forward(self, query_ids: Tensor, title_ids: Tensor) -> Tensor:
        """Logits (pairs,) from ids (pairs, tokens), for training."""
        return self.score(self.encode_query(query_ids), self.encode_title(title_ids))
