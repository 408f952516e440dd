"""Export: weights that several graphs of an artifact share are stored once, in one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data

WEIGHTS = "weights.bin"
# Smaller tensors stay in their graph: a reference to them would cost as much as they do.
_SHARED_BYTES = 16_384
_ALIGNMENT = 64


def save_sharing_weights(graphs: Mapping[str, onnx.ModelProto], folder: Path) -> None:
    """Write each graph under its name, large tensors once each into `weights.bin`.

    Towers with one set of weights then cost one. ONNX Runtime maps the file, so that a process
    holds each table once as well.
    """
    places: dict[str, tuple[int, int]] = {}
    with (folder / WEIGHTS).open("wb") as weights:
        for graph in graphs.values():
            for tensor in graph.graph.initializer:
                content = onnx.numpy_helper.to_array(tensor).tobytes()
                if len(content) < _SHARED_BYTES:
                    continue
                key = hashlib.sha256(content).hexdigest()
                if key not in places:
                    weights.write(b"\0" * (-weights.tell() % _ALIGNMENT))
                    places[key] = (weights.tell(), len(content))
                    weights.write(content)
                offset, length = places[key]
                tensor.raw_data = content
                set_external_data(tensor, WEIGHTS, offset=offset, length=length)
                tensor.ClearField("raw_data")
                for typed in ("float_data", "int32_data", "int64_data"):
                    tensor.ClearField(typed)
    for name, graph in graphs.items():
        (folder / name).write_bytes(graph.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(folder / name))
