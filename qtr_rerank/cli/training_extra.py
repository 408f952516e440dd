"""The extra `train`, which the commands that train need: checked before their work begins."""

from __future__ import annotations

import logging

from qtr_rerank.errors import MissingExtraError


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
