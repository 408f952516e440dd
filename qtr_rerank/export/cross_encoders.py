"""Export: cross-encoders of the BERT family as one ONNX graph each, fp32 or int8.

`qtr bench` times students beside cross-encoders of known sizes, with random weights, on which the
time does not depend. `experiments/rivals.py` exports the cross-encoders that it distils.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from qtr_rerank.atomic import write_bytes
from qtr_rerank.errors import SettingsError
from qtr_rerank.export.onnx_graph import onnx_graph

Precision = Literal["fp32", "int8"]
_TOKENS = 30_522  # of BERT's uncased English vocabulary, which all BERT_SIZES have


@dataclass(frozen=True, slots=True)
class BertSize:
    """The sizes that decide how long a BERT takes."""

    layers: int
    hidden: int
    intermediate: int
    heads: int

    @property
    def short(self) -> str:
        """Layers x hidden size, as papers write it."""
        return f"{self.layers}x{self.hidden}"


BERT_SIZES: Mapping[str, BertSize] = {
    "BERT-Base": BertSize(12, 768, 3072, 12),
    "MiniLM-L6": BertSize(6, 384, 1536, 12),
    "TinyBERT-4L-312": BertSize(4, 312, 1200, 12),
    "TinyBERT-2L-128": BertSize(2, 128, 512, 2),
}


def random_cross_encoder(name: str, precision: Precision, folder: Path) -> Path:
    """The graph of a cross-encoder of a known size with random weights; cached in `folder`.

    Raises SettingsError if `name` is not one of BERT_SIZES.
    """
    if name not in BERT_SIZES:
        raise SettingsError(f"no cross-encoder {name!r}; choose from {', '.join(BERT_SIZES)}")
    path = folder / f"{name}-{precision}.onnx"
    if path.is_file():
        return path
    if precision == "int8":
        write_int8(random_cross_encoder(name, "fp32", folder), path)
        return path
    torch.manual_seed(0)
    write_graph(BertForSequenceClassification(bert_config(BERT_SIZES[name], _TOKENS)), path)
    return path


def bert_config(size: BertSize, tokens: int, **fields: Any) -> BertConfig:
    """A BERT with one logit. Eager attention: for texts as short as titles the fused kernel is
    slower on a CPU, and ONNX Runtime can fuse more of the eager graph.
    """
    return BertConfig(
        vocab_size=tokens,
        num_hidden_layers=size.layers,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_attention_heads=size.heads,
        num_labels=1,
        attn_implementation="eager",
        **fields,
    )


def write_graph(model: Any, path: Path) -> None:
    """Write a BERT with one logit as a graph: `ids` and `segments`, both (pairs, tokens) with 0 as
    padding, to `logits` (pairs,).
    """
    ids = torch.randint(1, 1000, (3, 7))
    ids[1, 4:] = 0
    segments = torch.zeros_like(ids)
    segments[:, 3:] = 1
    free = {0: "pairs", 1: "tokens"}
    graph = onnx_graph(
        _CrossEncoder(model), (ids, segments), ["ids", "segments"], ["logits"], (free, free)
    )
    # Its shapes name some dimensions wrongly; ONNX Runtime infers them again.
    del graph.graph.value_info[:]
    _write(path, graph.SerializeToString(deterministic=True))


def write_int8(graph: Path, path: Path) -> None:
    """Write a graph with 8-bit integer weights, one scale per column. Activations are quantised
    at run time (ONNX Runtime's dynamic quantisation).
    """
    root_logger = logging.getLogger()
    level = root_logger.level
    with tempfile.TemporaryDirectory(prefix="qtr-int8-") as folder:
        quantised = Path(folder) / "int8.onnx"
        try:
            # ONNX Runtime logs, to the root logger, advice that is only for static quantisation.
            root_logger.setLevel(logging.ERROR)
            quantize_dynamic(graph, quantised, weight_type=QuantType.QInt8, per_channel=True)
        finally:
            root_logger.setLevel(level)
        _write(path, quantised.read_bytes())


class _CrossEncoder(nn.Module):
    """A BERT as a module: ids and segments -> logits."""

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
