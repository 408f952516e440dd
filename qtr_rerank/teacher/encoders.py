"""Teacher: load a pre-trained encoder (a Hugging Face id or a local folder) and batch for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from qtr_rerank.errors import DataError


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast() -> AbstractContextManager[Any]:
    """bfloat16 where it helps: GPUs, and CPUs with the instructions for it (twice as fast)."""
    kind = device().type
    helps = kind == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=helps)


def load_tokenizer(encoder: str) -> Any:
    """The tokenizer of an encoder, its own padding and truncation settings dropped."""
    try:
        return AutoTokenizer.from_pretrained(encoder)
    except (OSError, ValueError) as error:
        raise DataError(_unreadable(encoder, error)) from error


def load_cross_encoder(encoder: str) -> Any:
    """The encoder with one output: a logit of relevance. Weights in float32."""
    try:
        return AutoModelForSequenceClassification.from_pretrained(
            encoder, num_labels=1, dtype=torch.float32
        ).to(device())
    except (OSError, ValueError) as error:
        raise DataError(_unreadable(encoder, error)) from error


def encode_texts(
    encoder: str, texts: Sequence[str], max_tokens: int = 64, batch: int = 128
) -> NDArray[np.float32]:
    """Unit vectors (texts, dim): token states averaged over the mask, as sentence-transformers
    does for models like all-MiniLM-L6-v2 (Reimers & Gurevych 2019, section 3, MEAN).
    """
    tokenizer = load_tokenizer(encoder)
    model = AutoModel.from_pretrained(encoder, dtype=torch.float32).to(device()).eval()
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    for places in length_buckets([len(text) for text in texts], batch):
        inputs = tokenizer(
            [texts[i] for i in places],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="pt",
        ).to(device())
        with torch.inference_mode(), autocast():
            states = model(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"].unsqueeze(-1)
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        vectors[places] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
    return vectors


def length_buckets(lengths: Sequence[int], batch: int) -> Iterator[NDArray[np.int64]]:
    """Places in batches of similar length, longest first: little is spent on padding, and a
    batch that does not fit into memory fails at once.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def folder_of(encoder: str) -> Path | None:
    """The local folder of an encoder, None for a Hugging Face id."""
    path = Path(encoder)
    return path if path.is_dir() else None


def _unreadable(encoder: str, error: Exception) -> str:
    return (
        f"encoder {encoder!r} cannot be loaded ({error}); "
        "expected a Hugging Face model id or a local model folder"
    )
