"""Teacher: load pre-trained encoders (a Hugging Face id or a local folder) and run them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from qtr_rerank.errors import DataError

log = logging.getLogger(__name__)
_LOG_EVERY = 50  # batches


def device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast() -> AbstractContextManager[Any]:
    """bfloat16 on GPUs and on CPUs with AVX-512 BF16, where it is twice as fast; else float32."""
    kind = device().type
    faster = kind == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=faster)


def load_tokenizer(encoder: str) -> Any:
    """The encoder's tokenizer. Raises DataError if the encoder cannot be loaded."""
    try:
        return AutoTokenizer.from_pretrained(encoder)
    except (OSError, ValueError) as error:
        raise DataError(_load_error(encoder, error)) from error


def load_cross_encoder(encoder: str, dropout: float | None = None) -> Any:
    """The encoder with one output, the logit of relevance; weights in float32.

    `dropout` replaces the encoder's own rates, of hidden states and of attention. Raises DataError
    if the encoder cannot be loaded.
    """
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            encoder, **_load_options(encoder, dropout, labels=1)
        ).to(device())
    except (OSError, ValueError) as error:
        raise DataError(_load_error(encoder, error)) from error


def load_masked_lm(encoder: str, *, from_scratch: bool = False) -> Any:
    """The encoder with its masked-language-modelling head; with new weights if `from_scratch`.

    Raises DataError if the encoder cannot be loaded.
    """
    try:
        if from_scratch:
            return AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(encoder)).to(
                device()
            )
        return AutoModelForMaskedLM.from_pretrained(encoder, **_load_options(encoder, None)).to(
            device()
        )
    except (OSError, ValueError) as error:
        raise DataError(_load_error(encoder, error)) from error


def encode_texts(
    encoder: str, texts: Sequence[str], max_tokens: int = 64, batch: int = 128
) -> NDArray[np.float32]:
    """Unit vectors (texts, dim), the mean of the token states, as sentence-transformers does for
    models such as all-MiniLM-L6-v2 (Reimers & Gurevych 2019, section 3, MEAN).
    """
    tokenizer = load_tokenizer(encoder)
    model = AutoModel.from_pretrained(encoder, dtype=torch.float32).to(device()).eval()
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    done = 0
    for number, rows in enumerate(length_buckets([len(text) for text in texts], batch), 1):
        inputs = tokenizer(
            [texts[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="pt",
        ).to(device())
        with torch.inference_mode(), autocast():
            states = model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1)
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        vectors[rows] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        done += len(rows)
        if number % _LOG_EVERY == 0:
            progress = (done, len(texts))
            log.info("%d of %d texts encoded", *progress, extra={"progress": progress})
    return vectors


def length_buckets(lengths: Sequence[int], batch: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches of similar length, which saves padding. The longest come first, so a
    batch that does not fit into memory fails at once.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def _load_options(encoder: str, dropout: float | None, labels: int | None = None) -> dict[str, Any]:
    config = AutoConfig.from_pretrained(encoder)
    if labels is not None:
        config.num_labels = labels
    if dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    options: dict[str, Any] = {"config": config, "dtype": torch.float32}
    if device().type == "cpu":
        # For texts as short as titles, plain matrix products beat the fused kernel on a CPU.
        options["attn_implementation"] = "eager"
    return options


def _load_error(encoder: str, error: Exception) -> str:
    return (
        f"encoder {encoder!r} cannot be loaded ({error}); "
        "expected a Hugging Face model id or a local model folder"
    )
