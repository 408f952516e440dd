"""Export: store the weights that an artifact's graphs share once, in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data

WEIGHTS = "weights.bin"
# Smaller tensors stay in their graph, where they take less than a reference.
_MIN_SHARED_BYTES = 16_384
_ALIGNMENT = 64


def save_sharing_weights(graphs: Mapping[str, onnx.ModelProto], folder: Path) -> None:
    """Write each graph to the file of its name, and each distinct large tensor to `weights.bin`.

    Towers with shared weights are stored once. ONNX Runtime maps the file into memory, so a
    process also holds each table once.
    """
    stored: dict[str, tuple[int, int]] = {}  # hash -> (offset, length)
    with (folder / WEIGHTS).open("wb") as weights:
        for graph in graphs.values():
            for tensor in graph.graph.initializer:
                content = onnx.numpy_helper.to_array(tensor).tobytes()
                if len(content) < _MIN_SHARED_BYTES:
                    continue
                key = hashlib.sha256(content).hexdigest()
                if key not in stored:
                    weights.write(b"\0" * (-weights.tell() % _ALIGNMENT))
                    stored[key] = (weights.tell(), len(content))
                    weights.write(content)
                offset, length = stored[key]
                tensor.raw_data = content
                set_external_data(tensor, WEIGHTS, offset=offset, length=length)
                tensor.ClearField("raw_data")
                for typed in ("float_data", "int32_data", "int64_data"):
                    tensor.ClearField(typed)
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(folder / name))
