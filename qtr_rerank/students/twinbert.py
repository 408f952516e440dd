"""Students: twin, two towers with one set of weights; its title vectors fill the dense index.

After TwinBERT (arXiv 2002.06275): shared transformer without segment embedding, weighted pooling
(section 3.1.3), `cos` crossing (section 3.2: a logistic unit over the cosine). The default is far
smaller than the paper's 6 layers of 512, to encode a query well under a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qtr_rerank.students.base import (
    Features,
    Student,
    StudentSettings,
    TokenEmbedding,
    masked_softmax,
)


@dataclass(frozen=True, slots=True)
class TwinSettings(StudentSettings):
    """Sizes. `vector` is the dimension of the output."""

    dim: int = 192
    layers: int = 2
    heads: int = 4
    feed_forward: int = 384
    vector: int = 192
    dropout: float = 0.1


class Twin(Student):
    """See the module's docstring. Features of both sides: `vector`, float32, of length 1."""

    def __init__(self, settings: TwinSettings, tokens: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokens = TokenEmbedding(tokens, settings.dim)
        positions = max(settings.max_query_tokens, settings.max_title_tokens)
        self.positions = nn.Parameter(torch.zeros(positions, settings.dim))
        nn.init.normal_(self.positions, std=0.02)
        self.normalise = nn.LayerNorm(settings.dim)
        self.layers = nn.ModuleList(
            _Block(settings.dim, settings.heads, settings.feed_forward, settings.dropout)
            for _ in range(settings.layers)
        )
        self.pooling = nn.Linear(settings.dim, 1)
        self.project = nn.Linear(settings.dim, settings.vector)
        self.crossing_scale = nn.Parameter(torch.tensor(8.0))
        self.crossing_bias = nn.Parameter(torch.tensor(-4.0))

    def embedding(self) -> TokenEmbedding:
        return self.tokens

    def encode_query(self, ids: Tensor) -> Features:
        return {"vector": self._encode(ids)}

    def encode_title(self, ids: Tensor) -> Features:
        return {"vector": self._encode(ids)}

    def score(self, query: Features, title: Features) -> Tensor:
        cosine = (query["vector"] * title["vector"]).sum(1)
        return self.crossing_scale * cosine + self.crossing_bias

    def _encode(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, vector)."""
        mask = ids != 0
        states = self.tokens(ids)
        start = states
        states = self.normalise(states + self.positions[: ids.shape[1]])
        for layer in self.layers:
            states = layer(states, mask)
        weights = masked_softmax(self.pooling(states).squeeze(2), mask) * mask.float()
        # The bag of plain token vectors beside the contextual states: rare words keep their say.
        pooled = (weights.unsqueeze(2) * (states + start)).sum(1)
        return torch.nn.functional.normalize(self.project(pooled), dim=1, eps=1e-6)


class _Block(nn.Module):
    """A transformer layer as in BERT: attention, then feed-forward, each added and normalised."""

    def __init__(self, dim: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.normalise_mix = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, feed_forward)
        self.down = nn.Linear(feed_forward, dim)
        self.normalise_out = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        size = states.shape[2] // self.heads
        query, key, value = (
            part.unflatten(2, (self.heads, size)).transpose(1, 2)
            for part in self.mix(states).chunk(3, dim=2)
        )
        scores = query @ key.transpose(2, 3) * size**-0.5
        attention = masked_softmax(scores, mask[:, None, None, :])
        mixed = (attention @ value).transpose(1, 2).flatten(2)
        states = self.normalise_mix(states + self.dropout(self.out(mixed)))
        hidden = torch.nn.functional.gelu(self.up(states))
        normalised: Tensor = self.normalise_out(states + self.dropout(self.down(hidden)))
        return normalised
