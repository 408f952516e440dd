"""Student bert-bilstm: a BiLSTM with self-attention pooling over query and title.

A reconstruction: the paper (BertBiLSTM, arXiv 2108.10197) names its parts (contextual embedding,
LSTM, self-attention) but publishes no sizes. The comparison follows Tang et al. (arXiv 1903.12136,
section 3.1): one shared BiLSTM, and [h1, h2, |h1-h2|, h1*h2] into a small net. Ours are the
exact-match signals beside it; the title is encoded at index time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from qtr_rerank.students.layers import MatchSignals, TokenEmbedding, masked_softmax, vector_norm
from qtr_rerank.students.student import Features, Student, StudentSettings


@dataclass(frozen=True, slots=True)
class BertBiLstmSettings(StudentSettings):
    """Sizes: token vectors, LSTM state per direction, attention layer, comparison layer."""

    dim: int = 128
    state: int = 96
    attention: int = 64
    hidden: int = 128

    def __post_init__(self) -> None:
        StudentSettings.__post_init__(self)
        self.require_vocabulary("wordpiece")


class BertBiLstm(Student):
    """Title features: `vector` (2 * state), float16; `ids` (tokens), int16; `norm` of the vector
    and `weight` of the tokens, (1) float32.
    """

    def __init__(self, settings: BertBiLstmSettings, tokens: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokens = TokenEmbedding(tokens, settings.dim)
        self.forward_lstm = nn.LSTM(settings.dim, settings.state, batch_first=True)
        self.backward_lstm = nn.LSTM(settings.dim, settings.state, batch_first=True)
        # One-layer tanh attention (Lin et al. 2017, section 2, with one hop).
        self.attention = nn.Sequential(
            nn.Linear(2 * settings.state, settings.attention),
            nn.Tanh(),
            nn.Linear(settings.attention, 1, bias=False),
        )
        self.signals = MatchSignals(tokens)
        self.compare = nn.Linear(8 * settings.state + 1 + MatchSignals.COUNT, settings.hidden)
        self.output = nn.Linear(settings.hidden, 1)
        self.skip = nn.Linear(MatchSignals.COUNT, 1, bias=False)

    def embedding(self) -> TokenEmbedding:
        return self.tokens

    def encode_query(self, ids: Tensor) -> Features:
        vector = self._encode(ids)
        return {"vector": vector, "ids": ids, "norm": vector_norm(vector)}

    def encode_title(self, ids: Tensor) -> Features:
        stored = self._encode(ids).half()
        return {
            "vector": stored,
            "ids": ids.to(torch.int16),
            "norm": vector_norm(stored.float()),
            "weight": self.signals.total(ids),
        }

    def score(self, query: Features, title: Features) -> Tensor:
        q, t = query["vector"], title["vector"].float()
        signals = self.signals(query["ids"], title["ids"].int(), title["weight"])
        product = q * t
        cosine = product.sum(1, keepdim=True) / (query["norm"] * title["norm"])
        # One layer over [q, t, |q-t|, q*t, cosine, signals], summed part by part: cheaper than
        # concatenating, and the query's part is computed once for all titles.
        width = q.shape[1]
        of_query, of_title, of_distance, of_product, of_rest = torch.split(
            self.compare.weight, [width] * 4 + [1 + MatchSignals.COUNT], dim=1
        )
        total = linear(torch.cat([cosine, signals], dim=1), of_rest, self.compare.bias)
        total = torch.addmm(total, t, of_title.T)
        total = torch.addmm(total, (q - t).abs(), of_distance.T)
        total = torch.addmm(total, product, of_product.T)
        hidden = torch.relu(total + linear(q, of_query))
        logits: Tensor = (self.output(hidden) + self.skip(signals)).squeeze(1)
        return logits

    def _encode(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, 2 * state)."""
        mask = ids != 0
        length = mask.sum(1, keepdim=True)
        positions = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        # The tokens reversed, padding left at the end: the backward LSTM never reads padding
        # before text, so a score does not depend on the other texts of a batch.
        reverse = torch.where(positions < length, length - 1 - positions, positions)
        forward = self.forward_lstm(self.tokens(ids))[0]
        backward = self.backward_lstm(self.tokens(torch.gather(ids, 1, reverse.to(ids.device))))[0]
        backward = torch.gather(
            backward, 1, reverse.unsqueeze(2).expand(-1, -1, self.settings.state)
        )
        states = torch.cat([forward, backward], dim=2)
        weights = masked_softmax(self.attention(states).squeeze(2), mask) * mask.float()
        return (weights.unsqueeze(2) * states).sum(1)
