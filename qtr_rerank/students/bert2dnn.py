"""Student bert2dnn: bags of tokens and token pairs through a feed-forward net.

After BERT2DNN (arXiv 2010.10442): summed n-gram embeddings divided by sqrt(n), then a small ReLU
net, distilled with temperature. The paper does not say how two fields are combined; ours are
separate bags, compared by product and difference, with exact-match signals beside them. The part
of the first layer that is linear in the title is computed at index time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from qtr_rerank.errors import SettingsError
from qtr_rerank.students.layers import MatchSignals, TokenEmbedding, vector_norm
from qtr_rerank.students.student import Features, Student, StudentSettings


@dataclass(frozen=True, slots=True)
class Bert2DnnSettings(StudentSettings):
    """Sizes. `layout` chooses between ours and the paper's (`bert2dnn_paper.py`).

    Ours uses `bigram_buckets` (rows that pairs of adjacent tokens are hashed to), `hidden` and
    `hidden2`; the paper's uses `layers`, the widths of its net.
    """

    layout: Literal["default", "paper"] = "default"
    dim: int = 128
    bigram_buckets: int = 16_384
    hidden: int = 128
    hidden2: int = 64
    layers: tuple[int, ...] = (1024, 512, 128, 64)

    def __post_init__(self) -> None:
        StudentSettings.__post_init__(self)
        # JSON has only lists.
        object.__setattr__(self, "layers", tuple(self.layers))
        if self.layout == "default":
            self.require_vocabulary("wordpiece")
        elif self.layout == "paper":
            self.require_vocabulary("ngrams", "wordpiece")
        else:
            raise SettingsError(f"layout={self.layout!r}; expected 'default' or 'paper'")
        if not self.layers or min(self.layers) < 1:
            raise SettingsError(f"layers={self.layers}; expected widths of at least 1")


class Bert2Dnn(Student):
    """The default layout. Title features: `vector` (dim) and `linear` (hidden), float16; `ids`
    (tokens), int16; `norm` of the vector and `weight` of the tokens, (1) float32.
    """

    def __init__(self, settings: Bert2DnnSettings, tokens: int) -> None:
        super().__init__()
        self.settings = settings
        self.unigrams = TokenEmbedding(tokens, settings.dim)
        self.bigrams = TokenEmbedding(settings.bigram_buckets, settings.dim)
        with torch.no_grad():
            self.bigrams.table.weight.mul_(0.1)
        self.signals = MatchSignals(tokens)
        self.query_layer = nn.Linear(settings.dim, settings.hidden)
        self.title_layer = nn.Linear(settings.dim, settings.hidden, bias=False)
        self.meeting_layer = nn.Linear(2 * settings.dim + 1, settings.hidden, bias=False)
        self.signal_layer = nn.Linear(MatchSignals.COUNT, settings.hidden, bias=False)
        self.hidden_layer = nn.Linear(settings.hidden, settings.hidden2)
        self.output = nn.Linear(settings.hidden2, 1)
        self.skip = nn.Linear(MatchSignals.COUNT, 1, bias=False)

    def embedding(self) -> TokenEmbedding:
        return self.unigrams

    def encode_query(self, ids: Tensor) -> Features:
        vector = self._bag(ids)
        return {
            "vector": vector,
            "linear": self.query_layer(vector),
            "ids": ids,
            "norm": vector_norm(vector),
        }

    def encode_title(self, ids: Tensor) -> Features:
        vector = self._bag(ids)
        stored = vector.half()
        return {
            "vector": stored,
            "linear": self.title_layer(vector).half(),
            "ids": ids.to(torch.int16),
            "norm": vector_norm(stored.float()),
            "weight": self.signals.total(ids),
        }

    def score(self, query: Features, title: Features) -> Tensor:
        q, t = query["vector"], title["vector"].float()
        signals = self.signals(query["ids"], title["ids"].int(), title["weight"])
        dim = self.settings.dim
        product = q * t
        cosine = product.sum(1, keepdim=True) / (query["norm"] * title["norm"])
        # Equal to one matrix product of the four parts side by side, but cheaper.
        of_product, of_distance, of_cosine = torch.split(
            self.meeting_layer.weight, [dim, dim, 1], dim=1
        )
        total = torch.addmm(title["linear"].float(), product, of_product.T)
        total = torch.addmm(total, (q - t).abs(), of_distance.T)
        of_rest = torch.cat([of_cosine, self.signal_layer.weight], dim=1)
        total = torch.addmm(total, torch.cat([cosine, signals], dim=1), of_rest.T)
        hidden = torch.relu(total + query["linear"])
        hidden = torch.relu(self.hidden_layer(hidden))
        logits: Tensor = (self.output(hidden) + self.skip(signals)).squeeze(1)
        return logits

    def _bag(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, dim): unigrams and bigrams, summed over sqrt(their number)."""
        mask = (ids != 0).unsqueeze(2).float()
        wide = ids.long()
        first, second = wide[:, :-1], wide[:, 1:]
        # Pairs with padding go to row 0 of the table, which is padding.
        buckets = 1 + (first * 1_000_003 + second) % (self.settings.bigram_buckets - 1)
        buckets = torch.where(second != 0, buckets, torch.zeros_like(buckets))
        unigrams = (self.unigrams(ids) * mask).sum(1)
        bigrams = self.bigrams(buckets).sum(1)
        count = mask.sum(1) + (second != 0).float().sum(1, keepdim=True)
        bag: Tensor = (unigrams + bigrams) / count.clamp(min=1.0).sqrt()
        return bag
