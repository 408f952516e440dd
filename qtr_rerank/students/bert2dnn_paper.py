"""Student bert2dnn as published, for comparison with ours.

After BERT2DNN (arXiv 2010.10442) and its code (e-commerce-search/bert2dnn): the vectors of words
and word pairs summed and divided by sqrt(n), a ReLU net of 1024-512-128-64, one logit. Neither
says how two fields are combined; here the bags of query and title are concatenated before the
first layer, so the title's half of that layer is computed at index time. Tasks with one field have
empty queries, whose bag is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qtr_rerank.students.bert2dnn import Bert2DnnSettings
from qtr_rerank.students.layers import TokenEmbedding
from qtr_rerank.students.student import Features, Student


class Bert2DnnPaper(Student):
    """The published layout. Title features: `linear` (first of `layers`), float16."""

    def __init__(self, settings: Bert2DnnSettings, tokens: int) -> None:
        super().__init__()
        self.settings = settings
        self.grams = TokenEmbedding(tokens, settings.dim)
        first, *others = settings.layers
        self.query_layer = nn.Linear(settings.dim, first)
        self.title_layer = nn.Linear(settings.dim, first, bias=False)
        self.hidden = nn.ModuleList(
            nn.Linear(before, width) for before, width in zip(settings.layers, others, strict=False)
        )
        self.output = nn.Linear(settings.layers[-1], 1)

    def embedding(self) -> TokenEmbedding:
        return self.grams

    def encode_query(self, ids: Tensor) -> Features:
        return {"linear": self.query_layer(self._bag(ids))}

    def encode_title(self, ids: Tensor) -> Features:
        return {"linear": self.title_layer(self._bag(ids)).half()}

    def score(self, query: Features, title: Features) -> Tensor:
        hidden = torch.relu(query["linear"] + title["linear"].float())
        for layer in self.hidden:
            hidden = torch.relu(layer(hidden))
        logits: Tensor = self.output(hidden).squeeze(1)
        return logits

    def _bag(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, dim), TensorFlow's `sqrtn`: the sum over the root of n."""
        count = (ids != 0).sum(1, keepdim=True)
        bag: Tensor = self.grams(ids).sum(1) / count.clamp(min=1).sqrt()
        return bag
