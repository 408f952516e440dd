"""Students: the layers that several students share: token table, match signals, pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, pad, softplus

from qtr_rerank.errors import SettingsError


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
        """Ids of any shape -> the same shape with `dim` behind it."""
        if self.codes is not None and self.scales is not None:
            return embedding(ids, self.codes).float() * embedding(ids, self.scales)
        vectors: Tensor = self.table(ids)
        return vectors

    def summed(self, ids: Tensor, unit: int) -> Tensor:
        """(texts, tokens * unit) -> (texts, tokens, dim): the sum of the vectors of each token."""
        if unit == 1:
            return self.forward(ids)
        parts = ids.reshape(ids.shape[0], -1, unit)
        if not self.training:
            return self.forward(parts).sum(2)
        # Without all the vectors of all the parts in memory, and no graph has this operator.
        bags: Tensor = embedding_bag(
            parts.reshape(-1, unit), self.table.weight, mode="sum", padding_idx=0
        )
        return bags.reshape(*parts.shape[:2], -1)

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
    # Titles are stored as 16-bit ids, and two ids make one 32-bit number.
    _MOST_TOKENS = 2**15

    def __init__(self, tokens: int) -> None:
        super().__init__()
        if tokens > self._MOST_TOKENS:
            raise SettingsError(
                f"the vocabulary has {tokens} tokens, more than 16-bit ids can tell apart "
                f"({self._MOST_TOKENS}); choose an encoder with a smaller one"
            )
        self.weight = nn.Embedding(tokens, 1)
        nn.init.ones_(self.weight.weight)

    def start_from(self, idf: Tensor) -> None:
        """Set the token weights (tokens,) so that they begin as `idf`, which must be positive."""
        with torch.no_grad():
            self.weight.weight.copy_(torch.log(torch.expm1(idf.clamp(min=0.05))).unsqueeze(1))

    def total(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, 1): the weight of all tokens; a title's is stored."""
        return self._weights(ids).sum(1, keepdim=True).clamp(min=1e-6)

    def forward(self, query_ids: Tensor, title_ids: Tensor, title_total: Tensor) -> Tensor:
        """(1 or n, query tokens), (n, title tokens) int and (n, 1) -> (n, 6) float."""
        present = (query_ids != 0).float()
        weights = self._weights(query_ids)
        # (query tokens, n, title tokens), so that one token of one query meets all titles in one
        # run over memory. From here on query tokens come first: (query tokens, 1 or n).
        equal = (query_ids.T.unsqueeze(2) == title_ids.unsqueeze(0)).float()
        closeness = 1.0 / (1.0 + 0.2 * torch.arange(title_ids.shape[1], device=title_ids.device))
        # Padding equals padding; nothing of it shall match.
        first = (equal * closeness).amax(dim=2) * present.T
        matched = (first > 0).float()
        coverage = (matched * weights.T).sum(0) / self.total(query_ids).T[0]
        # A title token that is matched weighs what the query token weighs. One that is twice in
        # the query would be counted twice.
        twins = (query_ids.unsqueeze(2) == query_ids.unsqueeze(1)).float().sum(2)
        title_coverage = (equal.sum(2) * (weights / twins).T).sum(0) / title_total.T[0]
        head = (matched * last_token(present).T).sum(0)
        follows = self._neighbours(query_ids).T.unsqueeze(2) == self._neighbours(title_ids)
        # A sum, where a maximum would need a neighbour: one-token texts have none.
        phrases = follows.float().sum(2).clamp(max=1.0) * present[:, 1:].T
        phrase = phrases.sum(0) / (present.sum(1) - 1.0).clamp(min=1.0)
        complete = (coverage > 0.999).float()
        return torch.stack(
            [coverage, title_coverage, head, phrase, complete, first.amax(dim=0)], dim=1
        )

    def _weights(self, ids: Tensor) -> Tensor:
        return softplus(self.weight(ids).squeeze(-1)) * (ids != 0).float()

    def _neighbours(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, tokens - 1): each token with the next, as one number."""
        return ids[:, :-1] * self._MOST_TOKENS + ids[:, 1:]


def masked_softmax(values: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last dimension where `mask`; all-zero rows of the mask give no NaN."""
    return torch.softmax(values.masked_fill(~mask, -1e4), dim=-1)


def last_token(present: Tensor) -> Tensor:
    """(texts, tokens) of 1, then 0 for padding -> 1 at the last token that is there, else 0."""
    # Padded, not joined to zeros: an exported graph would keep those at the rows it was traced
    # with, and the scoring graph must take any number of them.
    return present - pad(present[:, 1:], (0, 1))


def vector_norm(vectors: Tensor) -> Tensor:
    """(texts, dim) -> (texts, 1): the lengths, at least 1e-6, to be divided by."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return norms.clamp(min=1e-6)
