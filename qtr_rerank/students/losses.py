"""Students: what a student's logits are drawn towards."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

# Of the teacher's probability: what is no positive, and how far below one a hard negative lies.
_NOT_RELEVANT = 0.3
_CLEARLY_LESS = 0.3


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
    chances: Tensor,
    scale: float = 20.0,
) -> Tensor:
    """Each query against the titles of the whole batch (InfoNCE), the more the more relevant.

    Vectors are (pairs, dim) of length 1, `*_places` say which rows are the same text, `chances`
    (pairs,) are the teacher's probabilities. Negatives are the titles of other queries, and of
    the same query those that the teacher holds for clearly less relevant: they were fetched for
    it, and are the hard ones (Karpukhin et al. 2020, arXiv 2004.04906, section 3.2).
    """
    scores = scale * query_vectors @ title_vectors.T
    same_title = title_places[:, None] == title_places[None, :]
    same_query = query_places[:, None] == query_places[None, :]
    no_worse = chances[None, :] > chances[:, None] - _CLEARLY_LESS
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill((same_title | (same_query & no_worse)) & ~own, -1e4)
    losses = cross_entropy(
        scores, torch.arange(len(scores), device=scores.device), reduction="none"
    )
    relevance = (chances - _NOT_RELEVANT).clamp(min=0.0)
    return (losses * relevance).sum() / relevance.sum().clamp(min=1e-6)
