"""Students: the losses of distillation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

# Teacher's probabilities. A title up to _NOT_RELEVANT is no positive; a title of the same query is
# a negative if its probability is at least _NEGATIVE_MARGIN lower.
_NOT_RELEVANT = 0.3
_NEGATIVE_MARGIN = 0.3


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Cross-entropy against sigmoid(teacher_logit / T); the student's logit is not divided.

    BERT2DNN (arXiv 2010.10442), temperature rescaling: T > 1 softens targets near 0 or 1, which a
    small student could match only by saturating.
    """
    return binary_cross_entropy_with_logits(logits, torch.sigmoid(teacher_logits / temperature))


def logit_mse(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean squared difference of logits (Ba & Caruana 2014; Tang et al. 2019, section 3.2)."""
    return mse_loss(logits, teacher_logits)


def margin_mse(logits: Tensor, teacher_logits: Tensor, query_rows: Tensor) -> Tensor:
    """Mean squared difference between the student's and the teacher's margins, over all two pairs
    of the same query in the batch (Hofstätter et al. 2020, arXiv 2010.02666, section 3). Learns
    only the order within a query: logits of two queries are comparable only after calibration.
    """
    same = query_rows[:, None] == query_rows[None, :]
    same = same & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    error = logits - teacher_logits
    # (s_i - s_j) - (t_i - t_j) is the difference of the two errors.
    squared = (error[:, None] - error[None, :]).square()
    return (squared * same).sum() / same.sum().clamp(min=1)


def in_batch_contrast(
    query_vectors: Tensor,
    title_vectors: Tensor,
    query_rows: Tensor,
    title_rows: Tensor,
    probabilities: Tensor,
    scale: float = 20.0,
) -> Tensor:
    """InfoNCE of each query against the titles of the batch, weighted by the pair's relevance.

    Vectors are (pairs, dim) of length 1; equal numbers in `*_rows` (pairs,) mean the same text;
    `probabilities` (pairs,) are the teacher's. Negatives are the titles of other queries, and
    clearly less relevant titles of the same query: retrieved for it, they are hard negatives
    (Karpukhin et al. 2020, arXiv 2004.04906, section 3.2).
    """
    scores = scale * query_vectors @ title_vectors.T
    same_title = title_rows[:, None] == title_rows[None, :]
    same_query = query_rows[:, None] == query_rows[None, :]
    no_worse = probabilities[None, :] > probabilities[:, None] - _NEGATIVE_MARGIN
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill((same_title | (same_query & no_worse)) & ~own, -1e4)
    losses = cross_entropy(
        scores, torch.arange(len(scores), device=scores.device), reduction="none"
    )
    relevance = (probabilities - _NOT_RELEVANT).clamp(min=0.0)
    return (losses * relevance).sum() / relevance.sum().clamp(min=1e-6)
