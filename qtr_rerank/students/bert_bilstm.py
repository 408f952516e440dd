"""Students: bert-bilstm, a BiLSTM with self-attention pooling over query and title.

A reconstruction: the paper (BertBiLSTM, arXiv 2108.10197) names its parts - contextual embedding,
LSTM, self-attention - and publishes no sizes. The layout of the comparison follows Tang et al.
(arXiv 1903.12136, section 3.1): one shared BiLSTM, [h1, h2, |h1-h2|, h1*h2] into a small net.
Ours: literal match signals beside it, and the title's half computed at index time.
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
    """Sizes: token vectors, LSTM state per direction, attention and comparison layers."""

    dim: int = 128
    state: int = 96
    attention: int = 64
    hidden: int = 128

    def __post_init__(self) -> None:
        StudentSettings.__post_init__(self)
        self.require_vocabulary("wordpiece")


class BertBiLstm(Student):
    """See the module's docstring. Title features: `vector` (2 * state), float16, `ids` (tokens),
    int16, `norm` of the vector and `weight` of the tokens, (1) float32.
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
        vector = self._read(ids)
        return {"vector": vector, "ids": ids, "norm": vector_norm(vector)}

    def encode_title(self, ids: Tensor) -> Features:
        stored = self._read(ids).half()
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
        # [q, t, |q-t|, q*t, cosine, signals] through one layer, its parts summed one onto another:
        # joining them first would cost more, and the query's part is the same for all titles.
        width = q.shape[1]
        of_query, of_title, of_distance, of_product, few = torch.split(
            self.compare.weight, [width] * 4 + [1 + MatchSignals.COUNT], dim=1
        )
        met = linear(torch.cat([cosine, signals], dim=1), few, self.compare.bias)
        met = torch.addmm(met, t, of_title.T)
        met = torch.addmm(met, (q - t).abs(), of_distance.T)
        met = torch.addmm(met, product, of_product.T)
        hidden = torch.relu(met + linear(q, of_query))
        logits: Tensor = (self.output(hidden) + self.skip(signals)).squeeze(1)
        return logits

    def _read(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, 2 * state)."""
        mask = ids != 0
        length = mask.sum(1, keepdim=True)
        places = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        # Reversed within the length, padding left in place: the backward LSTM then never reads
        # padding before text, and a longer batch does not move a score.
        turned = torch.where(places < length, length - 1 - places, places)
        onward = self.forward_lstm(self.tokens(ids))[0]
        backward = self.backward_lstm(self.tokens(torch.gather(ids, 1, turned.to(ids.device))))[0]
        backward = torch.gather(
            backward, 1, turned.unsqueeze(2).expand(-1, -1, self.settings.state)
        )
        states = torch.cat([onward, backward], dim=2)
        weights = masked_softmax(self.attention(states).squeeze(2), mask) * mask.float()
        return (weights.unsqueeze(2) * states).sum(1)
