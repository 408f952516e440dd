"""Export: check that torch and ONNX agree on every graph, with and without padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from qtr_rerank.artifact import Artifact
from qtr_rerank.errors import ArtifactError
from qtr_rerank.features.vocabulary import load_vocabulary
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.students.student import Student

LOGIT_TOLERANCE = 1e-4
# Stored features are float16: nearly equal float32 values may round differently.
FEATURE_TOLERANCE = 2e-3
# End to end, the rounding of the stored features affects the logit.
END_TO_END_TOLERANCE = 2e-3


def check_parity(student: Student, artifact: Artifact, pairs: Sequence[tuple[str, str]]) -> None:
    """Compare torch with the artifact on (query, title) pairs.

    Three comparisons: each tower's features; the scoring graph on the same features, row by row
    and one query against all titles; and pairs scored end to end by the runtime one at a time (no
    padding) against torch in one padded batch. Raises ArtifactError naming the worst pair if a
    difference exceeds its tolerance above.
    """
    scorer = Scorer(artifact)
    config = artifact.config
    vocabulary = load_vocabulary(artifact.path, config.vocabulary)
    queries, titles = [query for query, _ in pairs], [title for _, title in pairs]
    query_ids = torch.from_numpy(
        vocabulary.encode(queries, config.max_query_tokens, fixed_width=True)
    )
    title_ids = torch.from_numpy(
        vocabulary.encode(titles, config.max_title_tokens, fixed_width=True)
    )
    with torch.inference_mode():
        query, title = student.encode_query(query_ids), student.encode_title(title_ids)
        expected = student.score(query, title).numpy()
        first = {name: values[:1] for name, values in query.items()}
        expected_of_first = student.score(first, title).numpy()
    for side, features, onnx_features in (
        ("query", query, scorer.encode_queries(queries)),
        ("title", title, scorer.encode_titles(titles)),
    ):
        for name, values in features.items():
            onnx_values = onnx_features[name].astype(np.float32)
            # The runtime encodes queries only as wide as the longest one needs.
            common = tuple(slice(size) for size in onnx_values.shape)
            _require(
                f"{artifact.name} {side} feature {name!r}",
                np.abs(values.numpy()[common].astype(np.float32) - onnx_values),
                FEATURE_TOLERANCE * max(1.0, float(values.float().abs().max())),
                pairs,
            )
    for what, rows, torch_logits in (
        ("score graph", query, expected),
        ("score graph, one query", first, expected_of_first),
    ):
        onnx_logits = scorer.score(
            {name: values.numpy() for name, values in rows.items()},
            {name: values.numpy() for name, values in title.items()},
        )
        _require(
            f"{artifact.name} {what}", np.abs(onnx_logits - torch_logits), LOGIT_TOLERANCE, pairs
        )
    alone = np.array([scorer.score_texts(query, [title])[0] for query, title in pairs])
    _require(f"{artifact.name} end to end", np.abs(alone - expected), END_TO_END_TOLERANCE, pairs)


def _require(
    what: str, error: np.ndarray, tolerance: float, pairs: Sequence[tuple[str, str]]
) -> None:
    by_pair = error.reshape(len(pairs), -1).max(axis=1)
    worst = int(np.nan_to_num(by_pair, nan=np.inf).argmax())
    if not by_pair[worst] <= tolerance:
        raise ArtifactError(
            f"{what}: torch and ONNX differ by {by_pair[worst]:.2e} on {pairs[worst]!r}, allowed "
            f"{tolerance:.0e}; no artifact was written. Try another version of torch or onnxruntime"
        )
