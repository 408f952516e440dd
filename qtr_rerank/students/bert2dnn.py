"""Students: bert2dnn, bags of tokens and token pairs through a feed-forward net.

After BERT2DNN (arXiv 2010.10442): summed n-gram embeddings divided by sqrt(n), then a small ReLU
net, distilled with temperature. Ours, as that paper leaves the layout of two fields open: query
and title are separate bags, met as product and difference, beside literal match signals. The part
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

    Ours reads `bigram_buckets` (neighbouring token ids are hashed into that many rows), `hidden`
    and `hidden2`; the paper's reads `layers`, the widths of its net.
    """

    layout: Literal["default", "paper"] = "default"
    dim: int = 128
    bigram_buckets: int = 16_384
    hidden: int = 128
    hidden2: int = 64
    layers: tuple[int, ...] = (1024, 512, 128, 64)

    def __post_init__(self) -> None:
        StudentSettings.__post_init__(self)
        # From JSON it comes as a list.
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
    """See the module's docstring. Title features: `vector` (dim) and `linear` (hidden), float16,
    `ids` (tokens), int16, `norm` of the vector and `weight` of the tokens, (1) float32.
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
        # Summed product by product, each onto the last: joining the four first would cost more.
        of_product, of_distance, of_cosine = torch.split(
            self.meeting_layer.weight, [dim, dim, 1], dim=1
        )
        met = torch.addmm(title["linear"].float(), product, of_product.T)
        met = torch.addmm(met, (q - t).abs(), of_distance.T)
        few = torch.cat([of_cosine, self.signal_layer.weight], dim=1)
        met = torch.addmm(met, torch.cat([cosine, signals], dim=1), few.T)
        hidden = torch.relu(met + query["linear"])
        hidden = torch.relu(self.hidden_layer(hidden))
        logits: Tensor = (self.output(hidden) + self.skip(signals)).squeeze(1)
        return logits

    def _bag(self, ids: Tensor) -> Tensor:
        """sqrtn-combined unigrams and bigrams: (texts, tokens) -> (texts, dim)."""
        mask = (ids != 0).unsqueeze(2).float()
        wide = ids.long()
        first, second = wide[:, :-1], wide[:, 1:]
        # Row 0 of the table is padding: a pair with a padded half falls there.
        buckets = 1 + (first * 1_000_003 + second) % (self.settings.bigram_buckets - 1)
        buckets = torch.where(second != 0, buckets, torch.zeros_like(buckets))
        unigrams = (self.unigrams(ids) * mask).sum(1)
        bigrams = self.bigrams(buckets).sum(1)
        count = mask.sum(1) + (second != 0).float().sum(1, keepdim=True)
        bag: Tensor = (unigrams + bigrams) / count.clamp(min=1.0).sqrt()
        return bag
