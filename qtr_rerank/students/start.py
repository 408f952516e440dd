"""Students: where a token table starts, so that little data goes a long way."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import AutoModel

from qtr_rerank.errors import SettingsError


def principal_vectors(encoder: str, dim: int) -> Tensor:
    """The encoder's input embeddings on their first `dim` principal axes, (tokens, dim).

    Scaled so that rows have length 1 on average.
    """
    table = AutoModel.from_pretrained(encoder, dtype=torch.float32).get_input_embeddings().weight
    table = table.detach()
    if dim > table.shape[1]:
        raise SettingsError(
            f"dim={dim} is more than {encoder!r} has ({table.shape[1]}); choose a smaller dim"
        )
    centred = table - table.mean(dim=0)
    _, axes = torch.linalg.eigh(centred.T @ centred)  # ascending
    vectors: Tensor = centred @ axes[:, -dim:].flip(1)
    vectors /= vectors.norm(dim=1).mean()
    return vectors


def token_idf(title_ids: Tensor, tokens: int) -> Tensor:
    """log(1 + (N - n + 0.5) / (n + 0.5)) of each token over titles (texts, tokens); (tokens,)."""
    counts = torch.zeros(tokens)
    ordered = title_ids.sort(dim=1).values
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    counts.scatter_add_(0, ordered[first].long(), torch.ones(int(first.sum())))
    return torch.log1p((len(title_ids) - counts + 0.5).clamp(min=0.5) / (counts + 0.5))
