"""Students -> onnx: write a student as an artifact folder, if torch and ONNX agree."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import onnx
import torch
from torch import Tensor, nn

from qtr_rerank.artifact import CARD, Artifact, ArtifactConfig, Calibration
from qtr_rerank.atomic import replacing_folder
from qtr_rerank.errors import ArtifactError
from qtr_rerank.export.card import model_card
from qtr_rerank.export.parity import check_parity
from qtr_rerank.export.weights import save_sharing_weights
from qtr_rerank.features.vocabulary import VOCABULARY_FILES, load_vocabulary
from qtr_rerank.students import student_kind
from qtr_rerank.students.base import Features, Student, TokenEmbedding
from qtr_rerank.students.train import load_student
from qtr_rerank.template import DEFAULT_READS

_PROBE_ROWS = 3
# Of a query and of a title: they differ, so that no graph takes them for one width.
_PROBE_TOKENS = (5, 6)
# The scoring graph's own names for its numbers of rows: as many queries as pairs, or one of all.
_QUERIES, _PAIRS = "queries", "pairs"


def export_student(
    student_folder: Path,
    out: Path,
    name: str | None = None,
    card: str = "",
    tables: Literal["int8", "float"] = "int8",
) -> Artifact:
    """Quantise token tables to 8 bits (or leave them: `tables`), write three graphs, check parity,
    seal; the artifact.

    Raises ArtifactError, and leaves `out` as it was, where torch and ONNX disagree.
    """
    if out.exists() and not (out / "config.json").is_file():
        raise ArtifactError(f"{out} exists and is no model folder; give another --out")
    student, meta = load_student(student_folder)
    student.eval()
    if tables == "int8":
        for module in student.modules():
            if isinstance(module, TokenEmbedding):
                module.quantise()
    named = student_kind(meta["kind"])[1](**meta["student"]).vocabulary
    vocabulary = load_vocabulary(student_folder, named)
    with replacing_folder(out) as folder:
        vocabulary_file = VOCABULARY_FILES[named]
        shutil.copyfile(student_folder / vocabulary_file, folder / vocabulary_file)
        write_graphs(student, folder, tokens=len(vocabulary), unit=vocabulary.unit)
        config = ArtifactConfig(
            name=name or meta["kind"],
            kind=meta["kind"],
            max_query_tokens=meta["student"]["max_query_tokens"],
            max_title_tokens=meta["student"]["max_title_tokens"],
            calibration=Calibration(**meta["calibration"]),
            reads=meta.get("reads", DEFAULT_READS),
            student=meta["student"],
            training=meta["training"] | {"tables": tables, "reliability": meta.get("reliability")},
            vocabulary=named,
        )
        (folder / CARD).write_text(model_card(config, card), encoding="utf-8")
        artifact = Artifact.seal(folder, config)
        check_parity(student, artifact, _probe_texts(student_folder))
    return Artifact.load(out)


def write_graphs(student: Student, folder: Path, *, tokens: int, unit: int) -> None:
    """`title.onnx`, `query.onnx` and `score.onnx`, each with a free number of rows, and the
    weights that they share. `tokens` ids there are, and `unit` columns of them a token.
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
        # What a tower puts out bears the name by which the scoring graph takes it in.
        outputs = [f"{side}_{name}" for name in features]
        graphs[f"{side}.onnx"] = _graph(_Encoder(encode), (ids,), ["ids"], outputs, [free])
    with torch.no_grad():
        # One query: what it has for itself is then computed once, and meets the titles by
        # broadcasting; as many queries as titles meet them row by row, in the same graph.
        query, title = student.encode_query(query_ids[:1]), student.encode_title(title_ids)
        shapes = [
            *_free_dimensions(student.encode_query(title_ids[:1]), query, "query", rows=None),
            *_free_dimensions(student.encode_title(query_ids), title, "title", rows=_PAIRS),
        ]
    names = [f"query_{name}" for name in query] + [f"title_{name}" for name in title]
    score = _graph(
        _Crossing(student, list(query), list(title)),
        (*query.values(), *title.values()),
        names,
        ["logits"],
        shapes,
    )
    _free_query_rows(score)
    graphs["score.onnx"] = score
    save_sharing_weights(graphs, folder)


def _probe_ids(width: int, tokens: int, unit: int) -> Tensor:
    """Ids (rows, width * unit) of three texts, one of them shorter."""
    ids = torch.randint(1, tokens, (_PROBE_ROWS, width * unit), dtype=torch.int32)
    ids[1, (width - 2) * unit :] = 0
    return ids


def _free_dimensions(
    other: Features, features: Features, side: str, rows: str | None
) -> list[dict[int, str]]:
    """Names of each feature's free dimensions: rows, and what differs between texts of different
    length.
    """
    shapes = []
    for name, values in features.items():
        pairs = enumerate(zip(values.shape, other[name].shape, strict=True))
        free = {place: f"{side}_tokens" for place, (one, two) in pairs if place and one != two}
        shapes.append(free if rows is None else {0: rows} | free)
    return shapes


def _free_query_rows(score: onnx.ModelProto) -> None:
    """Let the scoring graph take one query row or as many as titles. The exporter cannot say so,
    but all that it writes broadcasts; the parity check scores both ways.
    """
    for value in score.graph.input:
        if value.name.startswith("query_"):
            value.type.tensor_type.shape.dim[0].dim_param = _QUERIES
    # Inferred from one row.
    del score.graph.value_info[:]


class _Encoder(nn.Module):
    """One tower, as a graph's function: ids -> features in order."""

    def __init__(self, encode: Any) -> None:
        super().__init__()
        self.owner = encode.__self__
        self.method = encode.__name__

    def forward(self, ids: Tensor) -> tuple[Tensor, ...]:
        features: Features = getattr(self.owner, self.method)(ids)
        return tuple(features.values())


class _Crossing(nn.Module):
    """The scoring function, its features given one by one."""

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


def _graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    shapes: list[dict[int, str]],
) -> onnx.ModelProto:
    dynamic: Any = (tuple(shapes),) if isinstance(module, _Crossing) else tuple(shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            module.eval(),
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ArtifactError(f"torch exported no graph for {outputs}; use another version of torch")
    model: onnx.ModelProto = program.model_proto
    # The exporter notes paths of this machine beside each node; a model file needs none of it.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:], model.metadata_props[:]
    return model


def _probe_texts(student_folder: Path) -> list[tuple[str, str]]:
    probes = json.loads((student_folder / "probes.json").read_text(encoding="utf-8"))
    return [(query, title) for query, title in probes]
