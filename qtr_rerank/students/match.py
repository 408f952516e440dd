"""Students: match, every query token against every title token, softly and literally.

Ours. The cosine matrix of token vectors (ColBERT's late interaction, Khattab & Zaharia 2020,
section 3.2, on vectors of a few dozen dimensions) is read by kernels as in K-NRM (Xiong et al.
2017, section 3.1), beside literal match signals and pooled vectors; a small net weighs all of it.
A token's vector sees its neighbours through one convolution, as in Conv-KNRM (Dai et al. 2018).
The title's token vectors are stored as 8-bit integers: a query costs one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from qtr_rerank.errors import SettingsError
from qtr_rerank.students.layers import MatchSignals, TokenEmbedding, last_token, masked_softmax
from qtr_rerank.students.student import Features, Student, StudentSettings

_CODES = 127.0  # unit vectors as 8-bit integers: no component leaves -1..1


@dataclass(frozen=True, slots=True)
class MatchSettings(StudentSettings):
    """Sizes. `dim` is a token's vector, stored at a byte a dimension; `window` how many tokens
    the convolution sees; `kernels` lie evenly over the cosines 0..0.95; `hidden` and `hidden2`
    are the net's layers.
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
    """See the module's docstring. Title features: `tokens` (tokens, dim) int8, `ids` (tokens)
    int16, `vector` (dim) float16, `weights` (tokens) float16 and `weight`, their sum.
    """

    SOFT = 5

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
        count = MatchSignals.COUNT + self.SOFT + settings.kernels
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
        # Rounded with a gradient that takes no notice of it: trained on what is stored.
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
        literal = self.signals(query["ids"], title["ids"].int(), title["weight"])
        signals = torch.cat([literal, self._soft(query, title)], dim=1)
        # As large as the signals: a product of unit vectors has components of 1 / dim.
        product = query["vector"] * title["vector"].float() * float(self.settings.dim)
        similarity = product.mean(1, keepdim=True)
        read = torch.cat([signals, product, similarity], dim=1)
        hidden = torch.relu(self.reading(read))
        hidden = torch.relu(self.hidden_layer(hidden))
        logits: Tensor = (self.output(hidden) + self.skip(signals)).squeeze(1)
        return logits

    def _soft(self, query: Features, title: Features) -> Tensor:
        """(n, SOFT + kernels): what the matrix of cosines says."""
        present = (query["ids"] != 0).float()
        shares = query["shares"]
        tokens = title["tokens"].float() * (1.0 / _CODES)
        # (n, query tokens, title tokens); padding on either side is out of every kernel's reach.
        outside = (title["ids"] == 0).float().unsqueeze(1) + (1.0 - present).unsqueeze(2)
        cosine = query["tokens"] @ tokens.transpose(1, 2) - 3.0 * outside
        best = cosine.amax(dim=2)
        last = last_token(present)
        # The query token that is met worst; padding shall not be it.
        worst = (best + 9.0 * (1.0 - present)).amin(dim=1)
        covered = (cosine.amax(dim=1) * title["weights"].float()).sum(1)
        places = torch.arange(cosine.shape[2], device=cosine.device).float()
        front = (cosine * (1.0 / (1.0 + 0.2 * places))).amax(dim=2)
        soft = [
            (best * shares).sum(1),
            (best * last).sum(1),
            worst,
            covered / title["weight"].squeeze(1),
            (front * shares).sum(1),
        ]
        for centre, sharpness in zip(self.centres, self.sharpness, strict=True):
            # As K-NRM's Gaussian, cut off to a parabola: an exponential costs ten times as much.
            near = torch.relu(1.0 - ((cosine - centre) * sharpness).square())
            soft.append((torch.log1p(near.sum(2)) * shares).sum(1))
        return torch.stack(soft, dim=1)

    def _states(self, ids: Tensor) -> Tensor:
        """(texts, tokens) -> (texts, tokens, dim): each token's vector with its neighbours'."""
        states: Tensor = self.table(ids)
        around = self.context(states.transpose(1, 2)).transpose(1, 2)
        seen: Tensor = (states + around) * (ids != 0).unsqueeze(2).float()
        return seen

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
    """The query's tokens see the mean of the whole query: it is read once a search."""

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
