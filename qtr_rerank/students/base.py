"""Students: what each of them is, and the layers that they share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, softplus

from qtr_rerank.errors import SettingsError

Features = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class StudentSettings:
    """What every student has: how much of a text it reads, in tokens."""

    max_query_tokens: int = 16
    max_title_tokens: int = 32

    def __post_init__(self) -> None:
        if min(self.max_query_tokens, self.max_title_tokens) < 1:
            raise SettingsError(
                f"max_query_tokens={self.max_query_tokens}, "
                f"max_title_tokens={self.max_title_tokens}; expected at least 1 each"
            )


class Student(nn.Module):
    """Three functions over id arrays padded with 0.

    `encode_title` and `encode_query` map (texts, tokens) to named features with one row a text;
    `score` maps query features (1 or n rows) and title features (n rows) to logits (n,).
    Features are what an index stores: half precision and 16-bit ids where that costs nothing.
    """

    @abstractmethod
    def encode_title(self, ids: Tensor) -> Features: ...

    @abstractmethod
    def encode_query(self, ids: Tensor) -> Features: ...

    @abstractmethod
    def score(self, query: Features, title: Features) -> Tensor: ...

    @abstractmethod
    def embedding(self) -> TokenEmbedding:
        """The token table, to be started from a pre-trained encoder's."""

    def forward(self, query_ids: Tensor, title_ids: Tensor) -> Tensor:
        """Logits (pairs,) from ids, as the trainer calls it."""
        return self.score(self.encode_query(query_ids), self.encode_title(title_ids))


class TokenEmbedding(nn.Module):
    """A token table that can be stored as 8-bit integers with one scale a row.

    Row 0 is padding and stays zero. `quantise()` makes the stored form the one that is read, so
    that the graph that ships is the one that the parity gate compares.
    """

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, dim, padding_idx=0)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        with torch.no_grad():
            self.table.weight[0].zero_()
        self.codes: Tensor | None = None
        self.scales: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor:
        if self.codes is not None and self.scales is not None:
            return embedding(ids, self.codes).float() * embedding(ids, self.scales)
        vectors: Tensor = self.table(ids)
        return vectors

    @torch.no_grad()
    def quantise(self) -> None:
        """Read 8-bit codes from now on (about a quarter of the size); for export only."""
        weight = self.table.weight
        scales = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127.0
        self.codes = torch.round(weight / scales).to(torch.int8)
        self.scales = scales
        del self.table


class MatchSignals(nn.Module):
    """What of the query stands literally in the title, weighted by a learned weight per token.

    Six signals a pair: weighted share of the query matched, weighted share of the title matched,
    whether the last query token (in English product names the head noun) is matched, the share
    of neighbouring query tokens that are neighbours in the title too, whether all is matched, and
    how far to the front of the title the first match stands.

    Ours, not of the papers: bags and pooled states lose part numbers and rare words, and rare
    words decide in product search.
    """

    COUNT = 6

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.weight = nn.Embedding(tokens, 1)
        nn.init.ones_(self.weight.weight)

    def start_from(self, idf: Tensor) -> None:
        """Set the token weights (tokens,) so that they begin as `idf`, which must be positive."""
        with torch.no_grad():
            self.weight.weight.copy_(torch.log(torch.expm1(idf.clamp(min=0.05))).unsqueeze(1))

    def forward(self, query_ids: Tensor, title_ids: Tensor) -> Tensor:
        """(1 or n, query tokens) and (n, title tokens) int -> (n, 6) float."""
        query_mask = (query_ids != 0).float()
        title_mask = (title_ids != 0).float()
        query_weight = softplus(self.weight(query_ids).squeeze(-1)) * query_mask
        title_weight = softplus(self.weight(title_ids).squeeze(-1)) * title_mask
        # (n, query tokens, title tokens); padding never matches.
        equal = (query_ids.unsqueeze(2) == title_ids.unsqueeze(1)).float()
        equal = equal * query_mask.unsqueeze(2)
        matched = equal.amax(dim=2)
        title_matched = equal.amax(dim=1)
        query_total = query_weight.sum(1).clamp(min=1e-6)
        title_total = title_weight.sum(1).clamp(min=1e-6)
        coverage = (matched * query_weight).sum(1) / query_total
        title_coverage = (title_matched * title_weight).sum(1) / title_total
        after = torch.cat([query_mask[:, 1:], torch.zeros_like(query_mask[:, :1])], dim=1)
        last = query_mask * (1.0 - after)
        head = (matched * last).sum(1)
        # Padding one column on each side keeps one-token texts legal.
        padded = torch.nn.functional.pad(equal, (0, 1, 0, 1))
        follows = (padded[:, :-1, :-1] * padded[:, 1:, 1:]).amax(dim=2)
        phrase = follows.sum(1) / (query_mask.sum(1) - 1.0).clamp(min=1.0)
        complete = (coverage > 0.999).float()
        places = torch.arange(title_ids.shape[1], device=title_ids.device).float()
        front = (title_matched / (1.0 + 0.2 * places)).amax(dim=1)
        return torch.stack([coverage, title_coverage, head, phrase, complete, front], dim=1)


def masked_softmax(values: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last dimension where `mask`; all-zero rows of the mask give no NaN."""
    return torch.softmax(values.masked_fill(~mask, -1e4), dim=-1)
