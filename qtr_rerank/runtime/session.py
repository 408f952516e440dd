"""Runtime: one ONNX graph, and the only place that knows ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from qtr_rerank.errors import ArtifactError, ScoringError

Arrays = dict[str, NDArray[Any]]


class Session:
    """A loaded graph: named arrays in, named arrays out. Safe to call from several threads."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads would spin on cores that other requests need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions are not in its type stubs
            raise ArtifactError(f"{path} cannot be loaded by ONNX Runtime: {error}") from error
        # Shapes as the graph declares them: numbers, or the names of dynamic dimensions.
        self.inputs: dict[str, Sequence[int | str]] = {
            value.name: value.shape for value in self._session.get_inputs()
        }
        self.outputs: dict[str, Sequence[int | str]] = {
            value.name: value.shape for value in self._session.get_outputs()
        }

    def run(self, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        """Outputs by name. Arrays that the graph does not read are ignored. Raises ScoringError."""
        try:
            values = self._session.run(None, {name: arrays[name] for name in self.inputs})
        except Exception as error:  # as above
            raise ScoringError(
                f"{self._path} failed: {error}; if memory is short, score fewer titles at once or "
                "use fewer threads, else verify the model with 'qtr models' and index again"
            ) from error
        return dict(zip(self.outputs, map(np.asarray, values), strict=True))
