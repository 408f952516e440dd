"""Students -> onnx: write a student as an artifact folder, if torch and ONNX agree."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from qtr_rerank.artifact import CARD, TOKENIZER, Artifact, ArtifactConfig, Calibration
from qtr_rerank.errors import ArtifactError
from qtr_rerank.export.card import model_card
from qtr_rerank.export.parity import check_parity
from qtr_rerank.export.weights import save_sharing_weights
from qtr_rerank.students.base import Features, Student, TokenEmbedding
from qtr_rerank.students.train import load_student

_PROBE_ROWS, _PROBE_TOKENS = 3, 7


def export_student(
    student_folder: Path, out: Path, name: str | None = None, card: str = ""
) -> Artifact:
    """Quantise token tables to 8 bits, write three graphs, check parity, seal; the artifact.

    Raises ArtifactError, and leaves `out` as it was, where torch and ONNX disagree.
    """
    if out.exists() and not (out / "config.json").is_file():
        raise ArtifactError(f"{out} exists and is no model folder; give another --out")
    student, meta = load_student(student_folder)
    student.eval()
    for module in student.modules():
        if isinstance(module, TokenEmbedding):
            module.quantise()
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        shutil.copyfile(student_folder / TOKENIZER, folder / TOKENIZER)
        write_graphs(student, folder)
        config = ArtifactConfig(
            name=name or meta["kind"],
            kind=meta["kind"],
            max_query_tokens=meta["student"]["max_query_tokens"],
            max_title_tokens=meta["student"]["max_title_tokens"],
            calibration=Calibration(**meta["calibration"]),
            student=meta["student"],
            training=meta["training"],
        )
        (folder / CARD).write_text(model_card(config, card), encoding="utf-8")
        artifact = Artifact.seal(folder, config)
        check_parity(student, artifact, _probe_texts(student_folder))
        # A temporary folder is its owner's alone; an artifact is everyone's to read.
        folder.chmod(0o755)
        shutil.rmtree(out, ignore_errors=True)
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Artifact.load(out)


def write_graphs(student: Student, folder: Path) -> None:
    """`title.onnx`, `query.onnx` and `score.onnx`, each with a free number of rows, and the
    weights that they share.
    """
    graphs = {}
    ids = torch.randint(1, 1000, (_PROBE_ROWS, _PROBE_TOKENS), dtype=torch.int32)
    ids[1, 4:] = 0
    with torch.no_grad():
        title, query = student.encode_title(ids), student.encode_query(ids)
    free = {0: "texts", 1: "tokens"}
    for side, encode, features in (
        ("title", student.encode_title, title),
        ("query", student.encode_query, query),
    ):
        # What a tower puts out bears the name by which the scoring graph takes it in.
        outputs = [f"{side}_{name}" for name in features]
        graphs[f"{side}.onnx"] = _graph(_Encoder(encode), (ids,), ["ids"], outputs, [free])
    # Queries and titles differ in width; row counts are one and the same.
    wide = torch.cat([ids, ids], dim=1)
    title = student.encode_title(wide)
    names = [f"query_{name}" for name in query] + [f"title_{name}" for name in title]
    values = (*query.values(), *title.values())
    shapes = [{0: "pairs"} for _ in names]
    for place, name in enumerate(names):
        if name.endswith("_ids"):
            shapes[place] = {0: "pairs", 1: f"{name.removesuffix('_ids')}_tokens"}
    graphs["score.onnx"] = _graph(
        _Crossing(student, list(query), list(title)),
        tuple(value.detach() for value in values),
        names,
        ["logits"],
        shapes,
    )
    save_sharing_weights(graphs, folder)


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
