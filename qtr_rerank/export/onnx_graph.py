"""Export: a torch module as an ONNX graph without traces of the machine that made it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from qtr_rerank.errors import ArtifactError


def onnx_graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic_shapes: Any,
) -> onnx.ModelProto:
    """The graph of `module`, traced on `example` inputs.

    `dynamic_shapes` names the free dimensions of each input, as `torch.onnx.export` takes them.
    Raises ArtifactError if torch exports nothing.
    """
    # The exporter logs about optional packages that are not needed here, and warns of its own code.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            example,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=dynamic_shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ArtifactError(
            f"torch exported no graph for {list(outputs)}; use another version of torch"
        )
    model: onnx.ModelProto = program.model_proto
    _delete_metadata(model)
    return model


def _delete_metadata(model: onnx.ModelProto) -> None:
    """The exporter records stack traces, with paths of this machine, beside each node."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:], model.metadata_props[:]
