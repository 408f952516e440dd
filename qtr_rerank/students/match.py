"""Student match: every query token against every title token, by cosine and by equality.

Our own design of known parts. The cosine matrix of token vectors (late interaction as in ColBERT,
Khattab & Zaharia 2020, section 3.2, in a few dozen dimensions) goes through kernels as in K-NRM
(Xiong et al. 2017, section 3.1). Exact-match signals and pooled vectors stand beside it; a small
net combines them. One convolution mixes a token's vector with its neighbours', as in Conv-KNRM
(Dai et al. 2018). The title's token vectors are stored as 8-bit integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from qtr_rerank.errors import SettingsError
from qtr_rerank.students.layers import MatchSignals, TokenEmbedding, last_token, masked_softmax
from qtr_rerank.students.student import Features, Student, StudentSettings

_CODES = 127.0  # scale of the 8-bit integers; components of unit vectors are within -1..1


@dataclass(frozen=True, slots=True)
class MatchSettings(StudentSettings):
    """Sizes. `dim`: of a token's vector, stored in a byte per dimension. `window`: tokens that the
    convolution sees. `kernels`: spread evenly over the cosines 0..0.95. `hidden`, `hidden2`: layers
    of the net. `gate`: whether query tokens see the mean of the whole query.
    """

    dim: int = 64
    window: int = 3
    kernels: int = 6
    hidden: int = 64
    hidden2: int = 32
    gate: bool = True

    def __post_init__(self) -> None:
        StudentSettings.__post_init__(self)
        self.require_vocabulary("wordpiece")
        if self.window % 2 == 0 or self.window < 1 or self.kernels < 2:
            raise SettingsError(
                f"window={self.window}, kernels={self.kernels}; expected an odd window, 2 kernels"
            )


class Match(Student):
    """Title features: `tokens` (tokens, dim) int8; `ids` (tokens) int16; `vector` (dim) float16;
    `weights` (tokens) float16; `weight`, their sum, (1) float32.
    """

    SOFT_SIGNALS = 5

    def __init__(self, settings: MatchSettings, tokens: int) -> None:
        super().__init__()
        self.settings = settings
        self.table = TokenEmbedding(tokens, settings.dim)
        self.context = nn.Conv1d(settings.dim, settings.dim, settings.window, padding="same")
        nn.init.zeros_(self.context.weight)
        if settings.gate:
            self.query_context = _WholeQuery(settings.dim)
        self.importance = nn.Linear(settings.dim, 1)
        self.signals = MatchSignals(tokens)
        self.centres = nn.Parameter(torch.linspace(0.0, 0.95, settings.kernels))
        self.sharpness = nn.Parameter(torch.full((settings.kernels,), 4.0))
        count = MatchSignals.COUNT + self.SOFT_SIGNALS + settings.kernels
        self.reading = nn.Linear(count + settings.dim + 1, settings.hidden)
        self.hidden_layer = nn.Linear(settings.hidden, settings.hidden2)
        self.output = nn.Linear(settings.hidden2, 1)
        self.skip = nn.Linear(count, 1, bias=False)

    def embedding(self) -> TokenEmbedding:
        return self.table

    def encode_query(self, ids: Tensor) -> Features:
        states = self._states(ids)
        if self.settings.gate:
            states = self.query_context(states, ids != 0)
        unit, pooled = self._finish(states, ids)
        weights = self._weights(ids)
        shares = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
        return {"tokens": unit, "ids": ids, "vector": pooled, "shares": shares}

    def encode_title(self, ids: Tensor) -> Features:
        unit, pooled = self._finish(self._states(ids), ids)
        # Straight-through rounding: trained on the stored values, the gradient ignores it.
        codes = unit * _CODES
        codes = codes + (codes.round() - codes).detach()
        return {
            "tokens": codes if self.training else codes.to(torch.int8),
            "ids": ids.to(torch.int16),
            "vector": pooled.half(),
            "weights": self._weights(ids).half(),
            "weight": self.signals.total(ids),
        }

    def score(self, query: Features, title: Features) -> Tensor:
        exact = self.signals(query["ids"], title["ids"].int(), title["weight"])
        signals = torch.cat([exact, self._soft(query, title)], dim=1)
        # Scaled up to the size of the signals: its components are around 1 / dim.
        product = query["vector"] * title["vector"].float() * float(self.settings.dim)
        similarity = product.mean(1, keepdim=True)
        inputs = torch.cat([signals, product, similarity], dim=1)
        hidden = torch.relu(self.reading(inputs))
        hidden = torch.relu(self.hidden_layer(hidden))
        logits: Tensor = (self.output(hidden) + self.skip(signals)).squeeze(1)
        return logits

    def _soft(self, query: Features, title: Features) -> Tensor:
        """(n, SOFT_SIGNALS + kernels): signals of the cosine matrix."""
        present = (query["ids"] != 0).float()
        shares = query["shares"]
        tokens = title["tokens"].float() * (1.0 / _CODES)
        # (n, query tokens, title tokens); for padding far below the range of every kernel.
        outside = (title["ids"] == 0).float().unsqueeze(1) + (1.0 - present).unsqueeze(2)
        cosine = query["tokens"] @ tokens.transpose(1, 2) - 3.0 * outside
        best = cosine.amax(dim=2)
        last = last_token(present)
        # The cosine of the worst matched query token; 9.0 excludes padding.
        worst = (best + 9.0 * (1.0 - present)).amin(dim=1)
        covered = (cosine.amax(dim=1) * title["weights"].float()).sum(1)
        positions = torch.arange(cosine.shape[2], device=cosine.device).float()
        front = (cosine * (1.0 / (1.0 + 0.2 * positions))).amax(dim=2)
        soft = [
            (best * shares).sum(1),
            (best * last).sum(1),
            worst,
            covered / title["weight"].squeeze(1),
            (front * shares).sum(1),
        ]
        for centre, sharpness in zip(self.centres, self.sharpness, strict=True):
            # A parabola in place of K-NRM's Gaussian, whose exponential costs ten times as much.
            near = torch.relu(1.0 - ((cosine - centre) * sharpness).square())
            soft.append((torch.log1p(near.sum(2)) * shares).sum(1))
        return torch.stack(soft, dim=1)

    def _states(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, tokens, dim): token vectors mixed with their neighbours'."""
        states: Tensor = self.table(ids)
        around = self.context(states.transpose(1, 2)).transpose(1, 2)
        mixed: Tensor = (states + around) * (ids != 0).unsqueeze(2).float()
        return mixed

    def _finish(self, states: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Unit token vectors (texts, tokens, dim) and their weighted mean (texts, dim)."""
        mask = ids != 0
        unit = normalize(states, dim=2, eps=1e-6) * mask.unsqueeze(2).float()
        weights = masked_softmax(self.importance(states).squeeze(2), mask) * mask.float()
        return unit, normalize((weights.unsqueeze(2) * states).sum(1), dim=1, eps=1e-6)

    def _weights(self, ids: Tensor) -> Tensor:
        weights: Tensor = self.signals.weight(ids).squeeze(-1)
        return softplus(weights) * (ids != 0).float()


class _WholeQuery(nn.Module):
    """Lets query tokens see the mean of the query. Only for queries: one is encoded per search."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * dim, dim)
        self.change = nn.Linear(dim, dim)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        present = mask.unsqueeze(2).float()
        whole = (states * present).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp(min=1)
        both = torch.cat([states, whole.expand_as(states)], dim=2)
        changed: Tensor = states + self.change(torch.relu(self.mix(both)))
        return changed * present
