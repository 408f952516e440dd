"""Students: a new student's weights, started from an encoder so that little data is enough."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import AutoModel

from qtr_rerank.errors import SettingsError
from qtr_rerank.features.vocabulary import Vocabulary
from qtr_rerank.students import student_kind
from qtr_rerank.students.layers import MatchSignals
from qtr_rerank.students.pair_ids import PairIds
from qtr_rerank.students.student import Student, StudentSettings


def new_student(
    kind: str, settings: StudentSettings, vocabulary: Vocabulary, encoder: str, pairs: PairIds
) -> Student:
    """A new student. If it reads WordPiece, its token vectors start from the encoder's (by PCA)
    and its token weights from the titles' idf. The encoder has no vectors for other tokens.
    """
    student = student_kind(kind)[0](settings, len(vocabulary))
    if settings.vocabulary != "wordpiece":
        return student
    table = student.embedding().table.weight
    idf = token_idf(pairs.title_ids, len(vocabulary))
    with torch.no_grad():
        vectors = principal_vectors(encoder, table.shape[1])
        # The dot product of two bags is then an idf-weighted match, similar to BM25.
        table.copy_(vectors * idf.sqrt().unsqueeze(1) / idf.mean().sqrt())
        table[0].zero_()
    for module in student.modules():
        if isinstance(module, MatchSignals):
            module.start_from(idf / idf.mean())
    return student


def principal_vectors(encoder: str, dim: int) -> Tensor:
    """The encoder's input embeddings on their first `dim` principal axes, (tokens, dim).

    Scaled to an average row length of 1. Raises SettingsError if the encoder has fewer dimensions.
    """
    table = AutoModel.from_pretrained(encoder, dtype=torch.float32).get_input_embeddings().weight
    table = table.detach()
    if dim > table.shape[1]:
        raise SettingsError(
            f"dim={dim} is more than the {table.shape[1]} of {encoder!r}; choose a smaller dim"
        )
    centred = table - table.mean(dim=0)
    _, axes = torch.linalg.eigh(centred.T @ centred)  # ascending
    vectors: Tensor = centred @ axes[:, -dim:].flip(1)
    vectors /= vectors.norm(dim=1).mean()
    return vectors


def token_idf(title_ids: Tensor, tokens: int) -> Tensor:
    """idf of each token, (tokens,), from the ids of titles, (titles, tokens per title).

    log(1 + (N - n + 0.5) / (n + 0.5)), where n of N titles have the token: the idf of BM25
    (Robertson & Zaragoza 2009, eq. 3.14).
    """
    counts = torch.zeros(tokens)
    ordered = title_ids.sort(dim=1).values
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    counts.scatter_add_(0, ordered[first].long(), torch.ones(int(first.sum())))
    return torch.log1p((len(title_ids) - counts + 0.5).clamp(min=0.5) / (counts + 0.5))
