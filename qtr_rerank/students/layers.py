"""Students: the layers that several students share: token table, match signals, pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag, pad, softplus

from qtr_rerank.errors import SettingsError


class TokenEmbedding(nn.Module):
    """A token table that can be stored as 8-bit integers with one scale per row.

    Row 0 is padding and stays zero. After `quantise()` the layer reads the 8-bit form, so that the
    parity check compares the exported graph with the same weights.
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
        """Ids of any shape -> vectors (*shape, dim)."""
        if self.codes is not None and self.scales is not None:
            return embedding(ids, self.codes).float() * embedding(ids, self.scales)
        vectors: Tensor = self.table(ids)
        return vectors

    def summed(self, ids: Tensor, unit: int) -> Tensor:
        """(texts, tokens * unit) -> (texts, tokens, dim): a token is the sum of `unit` parts."""
        if unit == 1:
            return self.forward(ids)
        parts = ids.reshape(ids.shape[0], -1, unit)
        if not self.training:
            return self.forward(parts).sum(2)
        # Saves the memory of all the parts' vectors. Only in training: ONNX lacks this operator.
        bags: Tensor = embedding_bag(
            parts.reshape(-1, unit), self.table.weight, mode="sum", padding_idx=0
        )
        return bags.reshape(*parts.shape[:2], -1)

    @torch.no_grad()
    def quantise(self) -> None:
        """Replace the table by 8-bit codes, about a quarter of the size; for export only."""
        weight = self.table.weight
        scales = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127.0
        self.codes = torch.round(weight / scales).to(torch.int8)
        self.scales = scales
        del self.table


class MatchSignals(nn.Module):
    """Exact token matches between query and title, with a learned weight per token.

    Six signals per pair: the weighted share of the query matched, the weighted share of the title
    matched, whether the last query token is matched (the head noun of English product names), the
    share of adjacent query tokens that are adjacent in the title too, whether the whole query is
    matched, and how near to the front of the title the first match is.

    Ours, not from the papers. Bags and pooled states lose part numbers and rare words, which are
    decisive in product search.
    """

    COUNT = 6
    # Titles are stored as 16-bit ids, and `_bigrams` packs two ids into one 32-bit number.
    _MAX_TOKENS = 2**15

    def __init__(self, tokens: int) -> None:
        super().__init__()
        if tokens > self._MAX_TOKENS:
            raise SettingsError(
                f"the vocabulary has {tokens} tokens; expected at most {self._MAX_TOKENS}, the "
                "range of 16-bit ids: choose an encoder with a smaller vocabulary"
            )
        self.weight = nn.Embedding(tokens, 1)
        nn.init.ones_(self.weight.weight)

    def start_from(self, idf: Tensor) -> None:
        """Set the token weights to `idf` (tokens,); values below 0.05 become 0.05."""
        with torch.no_grad():
            self.weight.weight.copy_(torch.log(torch.expm1(idf.clamp(min=0.05))).unsqueeze(1))

    def total(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, 1): the sum of the token weights, a stored title feature."""
        return self._weights(ids).sum(1, keepdim=True).clamp(min=1e-6)

    def forward(self, query_ids: Tensor, title_ids: Tensor, title_total: Tensor) -> Tensor:
        """(1 or n, query tokens) int, (n, title tokens) int, (n, 1) -> signals (n, 6) float."""
        present = (query_ids != 0).float()
        weights = self._weights(query_ids)
        # (query tokens, n, title tokens): comparing one query token with all titles then reads
        # contiguous memory. Below, too, query tokens are the first dimension.
        equal = (query_ids.T.unsqueeze(2) == title_ids.unsqueeze(0)).float()
        closeness = 1.0 / (1.0 + 0.2 * torch.arange(title_ids.shape[1], device=title_ids.device))
        # `present` removes the matches of padding with padding.
        first = (equal * closeness).amax(dim=2) * present.T
        matched = (first > 0).float()
        coverage = (matched * weights.T).sum(0) / self.total(query_ids).T[0]
        # A matched title token weighs what the query token weighs. Divided by the token's count in
        # the query, as it matches each of its occurrences.
        counts = (query_ids.unsqueeze(2) == query_ids.unsqueeze(1)).float().sum(2)
        title_coverage = (equal.sum(2) * (weights / counts).T).sum(0) / title_total.T[0]
        head = (matched * last_token(present).T).sum(0)
        follows = self._bigrams(query_ids).T.unsqueeze(2) == self._bigrams(title_ids)
        # Not `amax`: it fails for texts of one token, which have no bigrams.
        phrases = follows.float().sum(2).clamp(max=1.0) * present[:, 1:].T
        phrase = phrases.sum(0) / (present.sum(1) - 1.0).clamp(min=1.0)
        complete = (coverage > 0.999).float()
        return torch.stack(
            [coverage, title_coverage, head, phrase, complete, first.amax(dim=0)], dim=1
        )

    def _weights(self, ids: Tensor) -> Tensor:
        return softplus(self.weight(ids).squeeze(-1)) * (ids != 0).float()

    def _bigrams(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, tokens - 1): two adjacent ids as one number."""
        return ids[:, :-1] * self._MAX_TOKENS + ids[:, 1:]


def masked_softmax(values: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last dimension where `mask` is true; rows without a true give no NaN."""
    return torch.softmax(values.masked_fill(~mask, -1e4), dim=-1)


def last_token(present: Tensor) -> Tensor:
    """(texts, tokens), 1 for tokens and 0 for padding -> 1 at the last token, else 0."""
    # `pad`, not `cat` with zeros: the exported graph would fix their number of rows, but the
    # scoring graph must accept any number.
    return present - pad(present[:, 1:], (0, 1))


def vector_norm(vectors: Tensor) -> Tensor:
    """(texts, dim) -> (texts, 1): Euclidean norms, at least 1e-6 so that one can divide by them."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return norms.clamp(min=1e-6)
