"""Export: cross-encoders of BERT's family as one ONNX graph each, fp32 or int8.

For known shapes beside which `qtr bench` times the students (random weights: time does not depend
on them), and for the rivals that experiments/rivals.py distils.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from qtr_rerank.atomic import write_bytes
from qtr_rerank.errors import ArtifactError, SettingsError

Precision = Literal["fp32", "int8"]
_TOKENS = 30_522  # of BERT's English lower-case vocabulary, which all of the shapes have


@dataclass(frozen=True, slots=True)
class Shape:
    """What a BERT's time depends on."""

    layers: int
    hidden: int
    intermediate: int
    heads: int

    @property
    def short(self) -> str:
        """Layers x hidden, as papers write it."""
        return f"{self.layers}x{self.hidden}"


SHAPES: Mapping[str, Shape] = {
    "BERT-Base": Shape(12, 768, 3072, 12),
    "MiniLM-L6": Shape(6, 384, 1536, 12),
    "TinyBERT-4L-312": Shape(4, 312, 1200, 12),
    "TinyBERT-2L-128": Shape(2, 128, 512, 2),
}


def shape_graph(name: str, precision: Precision, folder: Path) -> Path:
    """The graph of a cross-encoder of a known shape with random weights; made once in `folder`.

    Raises SettingsError for a name that is not among SHAPES.
    """
    if name not in SHAPES:
        raise SettingsError(f"no shape {name!r}; choose from {', '.join(SHAPES)}")
    path = folder / f"{name}-{precision}.onnx"
    if path.is_file():
        return path
    if precision == "int8":
        write_int8(shape_graph(name, "fp32", folder), path)
        return path
    torch.manual_seed(0)
    write_graph(BertForSequenceClassification(bert_config(SHAPES[name], _TOKENS)), path)
    return path


def bert_config(shape: Shape, tokens: int, **fields: Any) -> BertConfig:
    """A BERT with one logit. Plain attention: at the lengths of titles the fused kernel is slower
    on a CPU, and ONNX Runtime finds more to fuse in it.
    """
    return BertConfig(
        vocab_size=tokens,
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        num_labels=1,
        attn_implementation="eager",
        **fields,
    )


def write_graph(model: Any, path: Path) -> None:
    """Write a BERT with one logit as a graph from `ids` and `segments` (pairs, tokens; 0 is
    padding) to `logits` (pairs,). The file appears whole or not at all.
    """
    ids = torch.randint(1, 1000, (3, 7))
    ids[1, 4:] = 0
    segments = torch.zeros_like(ids)
    segments[:, 3:] = 1
    free = {0: "pairs", 1: "tokens"}
    # It warns of optional packages that nothing here needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            _CrossEncoder(model).eval(),
            (ids, segments),
            input_names=["ids", "segments"],
            output_names=["logits"],
            dynamic_shapes=(free, free),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ArtifactError(f"torch exported no graph for {path}; use another version of torch")
    # Shapes noted beside the nodes name some axes wrongly; without them they are inferred again.
    graph = program.model_proto
    del graph.graph.value_info[:]
    _write(path, graph.SerializeToString(deterministic=True))


def write_int8(graph: Path, path: Path) -> None:
    """Write a graph with its weights as 8-bit integers, one scale a column; activations are
    quantised as they come (dynamic quantisation of ONNX Runtime).
    """
    work = Path(tempfile.mkdtemp(prefix="qtr-int8-"))
    quantiser = logging.getLogger()
    level = quantiser.level
    try:
        # It recommends, on the root logger, a step that only helps static quantisation.
        quantiser.setLevel(logging.ERROR)
        quantize_dynamic(graph, work / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True)
        _write(path, (work / "int8.onnx").read_bytes())
    finally:
        quantiser.setLevel(level)
        shutil.rmtree(work, ignore_errors=True)


class _CrossEncoder(nn.Module):
    """A BERT as a graph's function."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, segments: Tensor) -> Tensor:
        mask = (ids != 0).long()
        logits: Tensor = self.model(
            input_ids=ids, token_type_ids=segments, attention_mask=mask
        ).logits
        return logits.squeeze(-1)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
