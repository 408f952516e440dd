"""Students: what a student's logits are drawn towards."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Cross-entropy against sigmoid(teacher_logit / T); the student's logit is not divided.

    BERT2DNN (arXiv 2010.10442), temperature rescaling: T > 1 softens targets that are nearly
    0 or 1, which a small student could only copy by saturating.
    """
    return binary_cross_entropy_with_logits(logits, torch.sigmoid(teacher_logits / temperature))


def logit_mse(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean squared difference of logits (Ba & Caruana 2014; Tang et al. 2019, section 3.2)."""
    return mse_loss(logits, teacher_logits)


def margin_mse(logits: Tensor, teacher_logits: Tensor, query_places: Tensor) -> Tensor:
    """Mean squared difference of margins, student's against teacher's, over each two pairs of one
    query in the batch (Hofstätter et al. 2020, arXiv 2010.02666, section 3). Orders within a
    query alone: logits of different queries do not compare until they are calibrated.
    """
    same = query_places[:, None] == query_places[None, :]
    same = same & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    error = logits - teacher_logits
    # (s_i - s_j) - (t_i - t_j) is the difference of the two errors.
    squared = (error[:, None] - error[None, :]).square()
    return (squared * same).sum() / same.sum().clamp(min=1)


def in_batch_contrast(
    query_vectors: Tensor,
    title_vectors: Tensor,
    query_places: Tensor,
    title_places: Tensor,
    relevance: Tensor,
    scale: float = 20.0,
) -> Tensor:
    """Each query against the titles of the whole batch, weighted by its relevance (InfoNCE).

    Vectors are (pairs, dim) of length 1, `*_places` say which rows are the same text: a title
    that stands for the same query or the same title elsewhere in the batch is no negative.
    """
    scores = scale * query_vectors @ title_vectors.T
    same_title = title_places[:, None] == title_places[None, :]
    same_query = query_places[:, None] == query_places[None, :]
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill((same_title | same_query) & ~own, -1e4)
    losses = cross_entropy(
        scores, torch.arange(len(scores), device=scores.device), reduction="none"
    )
    return (losses * relevance).sum() / relevance.sum().clamp(min=1e-6)
