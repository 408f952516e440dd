"""Student -> artifact: write a student as three ONNX graphs, if torch and ONNX agree."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import onnx
import torch
from torch import Tensor, nn

from qtr_rerank.artifact import CARD, Artifact, ArtifactConfig, Calibration
from qtr_rerank.atomic import replacing_folder
from qtr_rerank.errors import ArtifactError
from qtr_rerank.export.model_card import model_card
from qtr_rerank.export.onnx_graph import onnx_graph
from qtr_rerank.export.parity import check_parity
from qtr_rerank.export.shared_weights import save_sharing_weights
from qtr_rerank.features.vocabulary import VOCABULARY_FILES, load_vocabulary
from qtr_rerank.students import student_kind
from qtr_rerank.students.layers import TokenEmbedding
from qtr_rerank.students.student import Features, Student
from qtr_rerank.students.student_folder import load_probes, load_student
from qtr_rerank.template import DEFAULT_TEMPLATE

_PROBE_ROWS = 3
# Tokens of query and title. They differ, so that the exporter does not equate the two dimensions.
_PROBE_TOKENS = (5, 6)
# Names of the scoring graph's numbers of rows: as many queries as pairs, or one query for all.
_QUERIES, _PAIRS = "queries", "pairs"


def export_student(
    student_folder: Path,
    out: Path,
    name: str | None = None,
    card: str = "",
    tables: Literal["int8", "float"] = "int8",
) -> Artifact:
    """Write the artifact of a student folder to `out`; replaces an artifact there.

    Token tables are quantised to 8 bits unless `tables` is "float". `card` is Markdown for the
    model card. Raises ArtifactError and leaves `out` unchanged if torch and ONNX disagree, or if
    `out` is something other than an artifact.
    """
    if out.exists() and not (out / "config.json").is_file():
        raise ArtifactError(f"{out} exists and is no model folder; give another --out")
    student, meta = load_student(student_folder)
    student.eval()
    if tables == "int8":
        for module in student.modules():
            if isinstance(module, TokenEmbedding):
                module.quantise()
    vocabulary_name = student_kind(meta["kind"])[1](**meta["student"]).vocabulary
    vocabulary = load_vocabulary(student_folder, vocabulary_name)
    with replacing_folder(out) as folder:
        vocabulary_file = VOCABULARY_FILES[vocabulary_name]
        shutil.copyfile(student_folder / vocabulary_file, folder / vocabulary_file)
        write_graphs(student, folder, tokens=len(vocabulary), unit=vocabulary.unit)
        config = ArtifactConfig(
            name=name or meta["kind"],
            kind=meta["kind"],
            max_query_tokens=meta["student"]["max_query_tokens"],
            max_title_tokens=meta["student"]["max_title_tokens"],
            calibration=Calibration(**meta["calibration"]),
            reads=meta.get("reads", DEFAULT_TEMPLATE),
            student=meta["student"],
            training=meta["training"] | {"tables": tables, "reliability": meta.get("reliability")},
            vocabulary=vocabulary_name,
        )
        (folder / CARD).write_text(model_card(config, card), encoding="utf-8")
        artifact = Artifact.seal(folder, config)
        check_parity(student, artifact, load_probes(student_folder))
    return Artifact.load(out)


def write_graphs(student: Student, folder: Path, *, tokens: int, unit: int) -> None:
    """Write `title.onnx`, `query.onnx`, `score.onnx` and the weights that they share.

    All graphs take any number of rows. `tokens` is the size of the vocabulary, `unit` the number of
    id columns per token.
    """
    graphs = {}
    query_ids, title_ids = (_probe_ids(width, tokens, unit) for width in _PROBE_TOKENS)
    free = {0: "texts", 1: "tokens"}
    for side, encode, ids in (
        ("title", student.encode_title, title_ids),
        ("query", student.encode_query, query_ids),
    ):
        with torch.no_grad():
            features = encode(ids)
        # Outputs of the towers have the names of the scoring graph's inputs.
        outputs = [f"{side}_{name}" for name in features]
        graphs[f"{side}.onnx"] = onnx_graph(_Encoder(encode), (ids,), ["ids"], outputs, (free,))
    with torch.no_grad():
        # Traced with one query, so that its own part is computed once and broadcast over the
        # titles. The same graph scores as many queries as titles row by row.
        query, title = student.encode_query(query_ids[:1]), student.encode_title(title_ids)
        dimensions = [
            *_free_dimensions(student.encode_query(title_ids[:1]), query, "query", rows=None),
            *_free_dimensions(student.encode_title(query_ids), title, "title", rows=_PAIRS),
        ]
    names = [f"query_{name}" for name in query] + [f"title_{name}" for name in title]
    score = onnx_graph(
        _Crossing(student, list(query), list(title)),
        (*query.values(), *title.values()),
        names,
        ["logits"],
        # One tuple, as the module takes its inputs as `*features`.
        (tuple(dimensions),),
    )
    _free_query_rows(score)
    graphs["score.onnx"] = score
    save_sharing_weights(graphs, folder)


def _probe_ids(width: int, tokens: int, unit: int) -> Tensor:
    """Random ids (_PROBE_ROWS, width * unit); the second text is two tokens shorter."""
    ids = torch.randint(1, tokens, (_PROBE_ROWS, width * unit), dtype=torch.int32)
    ids[1, (width - 2) * unit :] = 0
    return ids


def _free_dimensions(
    other: Features, features: Features, side: str, rows: str | None
) -> list[dict[int, str]]:
    """For each feature the names of its free dimensions: the rows, and the tokens, which are the
    dimension in which `other`, features of longer or shorter texts, differs.
    """
    dimensions = []
    for name, values in features.items():
        sizes = enumerate(zip(values.shape, other[name].shape, strict=True))
        free = {axis: f"{side}_tokens" for axis, (one, two) in sizes if axis and one != two}
        dimensions.append(free if rows is None else {0: rows} | free)
    return dimensions


def _free_query_rows(score: onnx.ModelProto) -> None:
    """Let the scoring graph take one query row or as many as titles. The exporter cannot express
    this, but every operation that it writes broadcasts; the parity check scores both ways.
    """
    for value in score.graph.input:
        if value.name.startswith("query_"):
            value.type.tensor_type.shape.dim[0].dim_param = _QUERIES
    # These shapes were inferred from one row.
    del score.graph.value_info[:]


class _Encoder(nn.Module):
    """One tower as a module: ids -> features in order."""

    def __init__(self, encode: Any) -> None:
        super().__init__()
        self.owner = encode.__self__
        self.method = encode.__name__

    def forward(self, ids: Tensor) -> tuple[Tensor, ...]:
        features: Features = getattr(self.owner, self.method)(ids)
        return tuple(features.values())


class _Crossing(nn.Module):
    """The scoring function as a module: features, one by one -> logits."""

    def __init__(self, student: Student, query: Sequence[str], title: Sequence[str]) -> None:
        super().__init__()
        self.student = student
        self.query, self.title = list(query), list(title)

    def forward(self, *features: Tensor) -> Tensor:
        cut = len(self.query)
        return self.student.score(
            dict(zip(self.query, features[:cut], strict=True)),
            dict(zip(self.title, features[cut:], strict=True)),
        )
