"""Student twin: two towers with shared weights; its title vectors fill the dense index.

After TwinBERT (arXiv 2002.06275) and code derived from its authors' (microsoft/TextGNN): a shared
transformer without segment embeddings over words of summed tri-letters, weighted pooling (section
3.1.3), and the crossings `cos` for retrieval and `res` for relevance (section 3.2). The default is
far smaller than the paper's 6 layers of 512, reads WordPiece, and encodes a query in well under a
millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from qtr_rerank.errors import SettingsError
from qtr_rerank.features.triletters import LETTERS_A_WORD
from qtr_rerank.students.layers import TokenEmbedding, masked_softmax
from qtr_rerank.students.student import Features, Student, StudentSettings


@dataclass(frozen=True, slots=True)
class TwinSettings(StudentSettings):
    """Sizes and choices. `vector` is the dimension of the output.

    `downscale`: the pooled states become the vector by a linear layer (ours), by one with tanh (the
    authors' code), or unchanged. `bag` adds the token vectors to the contextual states before
    pooling (ours). `crossing_hidden` is the inner width of `res`.
    """

    dim: int = 192
    layers: int = 2
    heads: int = 4
    feed_forward: int = 384
    vector: int = 192
    dropout: float = 0.1
    pooling: Literal["weighted", "mean", "cls"] = "weighted"
    bag: bool = True
    downscale: Literal["linear", "tanh", "none"] = "linear"
    crossing: Literal["cos", "res"] = "cos"
    crossing_hidden: int = 2048

    def __post_init__(self) -> None:
        StudentSettings.__post_init__(self)
        self.require_vocabulary("wordpiece", "triletters")
        for name, known in (
            ("pooling", ("weighted", "mean", "cls")),
            ("downscale", ("linear", "tanh", "none")),
            ("crossing", ("cos", "res")),
        ):
            if getattr(self, name) not in known:
                raise SettingsError(f"{name}={getattr(self, name)!r}; expected one of {known}")
        if self.dim % self.heads:
            raise SettingsError(f"dim={self.dim} is not divisible by heads={self.heads}")
        if self.downscale == "none" and self.vector != self.dim:
            raise SettingsError(
                f"downscale='none' leaves vectors of dim={self.dim}; set vector to that, "
                f"not {self.vector}"
            )


class Twin(Student):
    """Features of query and title: `vector`, float32, of length 1. This holds for both crossings,
    so an inner-product index can search the titles.
    """

    def __init__(self, settings: TwinSettings, tokens: int) -> None:
        super().__init__()
        self.settings = settings
        self.unit = LETTERS_A_WORD if settings.vocabulary == "triletters" else 1
        self.tokens = TokenEmbedding(tokens, settings.dim)
        first = settings.pooling == "cls"
        positions = max(settings.max_query_tokens, settings.max_title_tokens) + first
        self.positions = nn.Parameter(torch.zeros(positions, settings.dim))
        nn.init.normal_(self.positions, std=0.02)
        if first:
            self.first = nn.Parameter(torch.zeros(1, 1, settings.dim))
            nn.init.normal_(self.first, std=0.02)
        self.normalise = nn.LayerNorm(settings.dim)
        self.layers = nn.ModuleList(
            _Block(settings.dim, settings.heads, settings.feed_forward, settings.dropout)
            for _ in range(settings.layers)
        )
        if settings.pooling == "weighted":
            self.pooling = nn.Linear(settings.dim, 1)
        if settings.downscale != "none":
            self.project = nn.Linear(settings.dim, settings.vector)
        if settings.crossing == "cos":
            self.crossing_scale = nn.Parameter(torch.tensor(8.0))
            self.crossing_bias = nn.Parameter(torch.tensor(-4.0))
        else:
            self.crossing = _Residual(settings.vector, settings.crossing_hidden)

    def embedding(self) -> TokenEmbedding:
        return self.tokens

    def encode_query(self, ids: Tensor) -> Features:
        return {"vector": self._encode(ids)}

    def encode_title(self, ids: Tensor) -> Features:
        return {"vector": self._encode(ids)}

    def score(self, query: Features, title: Features) -> Tensor:
        if self.settings.crossing == "res":
            logits: Tensor = self.crossing(query["vector"], title["vector"])
            return logits
        cosine = (query["vector"] * title["vector"]).sum(1)
        return self.crossing_scale * cosine + self.crossing_bias

    def _encode(self, ids: Tensor) -> Tensor:
        """(texts, tokens * unit) -> (texts, vector)."""
        # One column per token is enough: its first part is never padding.
        mask = ids[:, :: self.unit] != 0
        states = self.tokens.summed(ids, self.unit)
        if self.settings.pooling == "cls":
            states = torch.cat([self.first.expand(len(ids), -1, -1), states], dim=1)
            mask = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        token_vectors = states
        states = self.normalise(states + self.positions[: states.shape[1]])
        for layer in self.layers:
            states = layer(states, mask)
        # Adding the token vectors keeps the weight of rare words.
        pooled = self._pool(states, states + token_vectors if self.settings.bag else states, mask)
        if self.settings.downscale != "none":
            pooled = self.project(pooled)
        if self.settings.downscale == "tanh":
            pooled = torch.tanh(pooled)
        return torch.nn.functional.normalize(pooled, dim=1, eps=1e-6)

    def _pool(self, states: Tensor, pooled: Tensor, mask: Tensor) -> Tensor:
        """(texts, tokens, dim) -> (texts, dim): `pooled`, averaged with weights from `states`."""
        if self.settings.pooling == "cls":
            return pooled[:, 0]
        shares = mask.float()
        if self.settings.pooling == "weighted":
            shares = masked_softmax(self.pooling(states).squeeze(2), mask) * shares
        else:
            shares = shares / shares.sum(1, keepdim=True).clamp(min=1.0)
        return (shares.unsqueeze(2) * pooled).sum(1)


class _Residual(nn.Module):
    """The `res` crossing (TwinBERT, section 3.2): the element-wise maximum of both vectors, a
    residual layer with `inner` units, and one logit instead of the softmax over two classes.
    """

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        # Components of unit vectors are small; scaled, they are around 1.
        self.scale = dim**0.5
        self.inner = nn.Linear(dim, inner)
        self.outer = nn.Linear(inner, dim)
        self.output = nn.Linear(dim, 1)

    def forward(self, query: Tensor, title: Tensor) -> Tensor:
        maximum = torch.maximum(query, title) * self.scale
        hidden = torch.relu(maximum + self.outer(torch.relu(self.inner(maximum))))
        logits: Tensor = self.output(hidden).squeeze(1)
        return logits


class _Block(nn.Module):
    """A transformer layer as in BERT: attention and feed-forward, each with residual and norm."""

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
