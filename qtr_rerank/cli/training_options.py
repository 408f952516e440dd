"""Shared by the commands that train: their options, and the check for the extra `train`."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from qtr_rerank.errors import MissingExtraError

IN_PATH = click.Path(exists=True, path_type=Path)
OUT_PATH = click.Path(path_type=Path)
READS_HELP = "What models read of a product, as '{brand} {title} {category}'."


def need_training() -> None:
    """Prepare for training: torch's and transformers' messages off, the project's progress on.

    Raises MissingExtraError without the extra `train`.
    """
    try:
        import pyarrow  # noqa: F401
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise MissingExtraError("Training", "train") from error
    # They report new heads, which are intended, and optional libraries, which are not needed.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("qtr_rerank").setLevel(logging.INFO)
