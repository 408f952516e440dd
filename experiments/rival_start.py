"""Encoder -> rival: a smaller BERT that is initialised from layers of a larger one.

The layers are evenly spaced and include the last one (TinyBERT, arXiv 1909.10351: layer m of M is
layer m N / M of N). For a smaller width, everything is projected on the first principal axes P of
the encoder's input embeddings (rows of P are the wide axes, P'P = 1):

- Embeddings e become e P (tokens, positions and segments alike).
- Attention. A head's logits are a bilinear form of two states, q' Wq' Wk k, with the biases as an
  extra input that is always 1. Fewer heads means groups of heads: a group's projected forms are
  averaged, and their best approximation of the smaller rank (SVD) is factored into the new Wq and
  Wk. A group's maps from value to output, Wo Wv, are summed and factored likewise. This loses what
  exceeds the lower rank, and the differences between heads of a group.
- Feed-forward: the neurons with the largest product of projected input and output norms are kept.
- LayerNorm normalises over the remaining axes, which only approximates the wide one. Its gains
  (diagonal of P' diag(gain) P) are scaled by the share of the length that P keeps.

With the encoder's own numbers of axes, heads and neurons, only rounding changes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AutoModel, BertForSequenceClassification

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.export.cross_encoders import BertSize, bert_config


def start_rival(encoder: str, shape: BertSize, dropout: float) -> Any:
    """A BERT of `shape` with one logit, initialised from `encoder`; the head is new.

    Raises SettingsError if the shape is larger than the encoder in any size, DataError if the
    encoder is not a BERT.
    """
    wide = AutoModel.from_pretrained(encoder, dtype=torch.float32)
    config = wide.config
    if config.model_type != "bert":
        raise DataError(f"encoder {encoder!r} is a {config.model_type!r}; expected a BERT")
    has = BertSize(
        config.num_hidden_layers,
        config.hidden_size,
        config.intermediate_size,
        config.num_attention_heads,
    )
    pairs = zip(_sizes(shape), _sizes(has), strict=True)
    if any(size > available for size, available in pairs):
        raise SettingsError(f"{shape} is larger than the encoder ({has}); choose a smaller shape")
    rival = BertForSequenceClassification(
        bert_config(
            shape,
            config.vocab_size,
            max_position_embeddings=config.max_position_embeddings,
            type_vocab_size=config.type_vocab_size,
            layer_norm_eps=config.layer_norm_eps,
            hidden_act=config.hidden_act,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
    )
    axes, kept = _axes(wide.embeddings.word_embeddings.weight.detach(), shape.hidden)
    with torch.no_grad():
        small = rival.bert.embeddings
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
            table = getattr(wide.embeddings, name).weight
            getattr(small, name).weight.copy_(table @ axes)
        _project_norm(wide.embeddings.LayerNorm, small.LayerNorm, axes, kept)
        for place, layer in enumerate(rival.bert.encoder.layer):
            chosen = round((place + 1) * has.layers / shape.layers) - 1
            _project_layer(wide.encoder.layer[chosen], layer, axes, kept, has.heads, shape.heads)
    return rival


def _sizes(shape: BertSize) -> tuple[int, int, int, int]:
    return shape.layers, shape.hidden, shape.intermediate, shape.heads


def _axes(table: Tensor, dim: int) -> tuple[Tensor, float]:
    """Axes (width, dim), and the factor by which a normalised state's elements grow on them."""
    width = table.shape[1]
    if dim == width:
        return torch.eye(width), 1.0
    centred = table - table.mean(dim=0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -dim:].flip(1)
    share = float((table @ axes).square().sum() / table.square().sum())
    return axes, math.sqrt(share * width / dim)


def _project_norm(wide: Any, small: Any, axes: Tensor, kept: float) -> None:
    small.weight.copy_(kept * (axes.square().T @ wide.weight))
    small.bias.copy_(wide.bias @ axes)


def _project_layer(
    wide: Any, small: Any, axes: Tensor, kept: float, wide_heads: int, heads: int
) -> None:
    read, write = wide.attention.self, wide.attention.output.dense
    new_read, new_write = small.attention.self, small.attention.output.dense
    size, new_size = len(read.query.bias) // wide_heads, len(new_read.query.bias) // heads
    query, key, value = (
        torch.cat([linear.weight @ axes, linear.bias[:, None]], dim=1).view(wide_heads, size, -1)
        for linear in (read.query, read.key, read.value)
    )  # each (wide heads, size, axes + 1)
    outward = (axes.T @ write.weight).view(-1, wide_heads, size).transpose(0, 1)
    for head, group in enumerate(np.array_split(np.arange(wide_heads), heads)):
        rows = slice(head * new_size, (head + 1) * new_size)
        forms = (query[group].transpose(1, 2) @ key[group]).mean(0) * math.sqrt(new_size / size)
        left, right = _cut(forms, new_size)
        _fill(new_read.query, rows, left.T)
        _fill(new_read.key, rows, right)
        left, right = _cut((outward[group] @ value[group]).sum(0), new_size)
        new_write.weight[:, rows] = left
        _fill(new_read.value, rows, right)
    new_write.bias.copy_(write.bias @ axes)
    inward, outward = wide.intermediate.dense.weight @ axes, axes.T @ wide.output.dense.weight
    neurons = len(small.intermediate.dense.bias)
    weight = inward.norm(dim=1) * outward.norm(dim=0)
    best = weight.argsort(descending=True, stable=True)[:neurons].sort().values
    small.intermediate.dense.weight.copy_(inward[best])
    small.intermediate.dense.bias.copy_(wide.intermediate.dense.bias[best])
    small.output.dense.weight.copy_(outward[:, best])
    small.output.dense.bias.copy_(wide.output.dense.bias @ axes)
    _project_norm(wide.attention.output.LayerNorm, small.attention.output.LayerNorm, axes, kept)
    _project_norm(wide.output.LayerNorm, small.output.LayerNorm, axes, kept)


def _cut(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors (rows, rank) and (rank, columns) of the best approximation of that rank."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    # If the matrix has fewer singular values than `rank`, the rest stays zero.
    root = torch.zeros(rank, dtype=torch.float64)
    held = min(rank, len(values))
    root[:held] = values[:held].sqrt()
    left = pad(left[:, :held], (0, rank - held))
    right = pad(right[:held], (0, 0, 0, rank - held))
    return left * root, right * root[:, None]


def _fill(linear: Any, rows: slice, augmented: Tensor) -> None:
    linear.weight[rows] = augmented[:, :-1]
    linear.bias[rows] = augmented[:, -1]
