"""Titles -> encoder: further pre-training on a catalog's titles (the papers' eBERT).

BertBiLSTM (arXiv 2108.10197, phase 1) pre-trains a BERT on item titles before fine-tuning it on
judged pairs; its sizes and steps are not public. Masked-language modelling as in BERT (Devlin et
al. 2019, section 3.1): of 15 % of the tokens, 80 % are masked, 10 % replaced and 10 % kept.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qtr_rerank.atomic import write_json
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.teacher.encoders import autocast, device, load_masked_lm, load_tokenizer
from qtr_rerank.teacher.training_loop import Training
from qtr_rerank.torch_training import Batch

log = logging.getLogger(__name__)
IGNORED = -100  # positions without a loss, by torch's convention


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """How an encoder is pre-trained. `from_scratch` keeps only its sizes and its vocabulary."""

    encoder: str
    epochs: int = 1
    batch: int = 128
    learning_rate: float = 1e-4
    warmup_share: float = 0.05
    max_tokens: int = 48
    mask_share: float = 0.15
    from_scratch: bool = False
    seed: int = 7

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or self.max_tokens < 4:
            raise SettingsError(
                f"epochs={self.epochs}, batch={self.batch}, max_tokens={self.max_tokens}; "
                "expected at least 1, 1 and 4"
            )
        if not 0.0 < self.mask_share < 1.0:
            raise SettingsError(f"mask_share={self.mask_share}; expected between 0 and 1")


def pretrain(titles: Sequence[str], out: Path, settings: PretrainSettings) -> Path:
    """Train on the distinct titles; write an encoder folder to `out`, for `finetune`.

    An interrupted run resumes from its last checkpoint (every 200 steps). Raises DataError without
    titles or if the tokenizer has no mask token.
    """
    distinct = list(dict.fromkeys(title for title in titles if title.strip()))
    if not distinct:
        raise DataError("no titles to pre-train on; check the files, column and sources given")
    torch.manual_seed(settings.seed)
    tokenizer = load_tokenizer(settings.encoder)
    if tokenizer.mask_token_id is None:
        raise DataError(
            f"the tokenizer of {settings.encoder!r} has no mask token; "
            "expected an encoder pre-trained by masked-language modelling, such as BERT"
        )
    model = load_masked_lm(settings.encoder, from_scratch=settings.from_scratch)
    lengths = np.array([len(title) for title in distinct])
    training = Training(model, lengths, settings, out)

    def loss_of(rows: Batch) -> Tensor:
        inputs = tokenizer(
            [distinct[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=settings.max_tokens,
            return_tensors="pt",
            return_special_tokens_mask=True,
        )
        special = inputs.pop("special_tokens_mask").bool()
        ids, targets = mask_tokens(
            inputs["input_ids"], special, tokenizer.mask_token_id, len(tokenizer), settings
        )
        inputs["input_ids"] = ids
        return masked_loss(model, inputs.to(device()), targets.to(device()))

    training.run(loss_of)
    model.base_model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    write_json(out / "pretrain.json", asdict(settings))
    training.finish()
    return out


def mask_tokens(
    ids: Tensor, special: Tensor, mask_id: int, tokens: int, settings: PretrainSettings
) -> tuple[Tensor, Tensor]:
    """(input ids, target ids), both (texts, tokens); targets not to be predicted are IGNORED."""
    chosen = (torch.rand(ids.shape) < settings.mask_share) & ~special
    draw = torch.rand(ids.shape)
    inputs = torch.where(chosen & (draw < 0.8), torch.full_like(ids, mask_id), ids)
    replaced = chosen & (draw >= 0.8) & (draw < 0.9)
    inputs = torch.where(replaced, torch.randint_like(ids, tokens), inputs)
    return inputs, torch.where(chosen, ids, torch.full_like(ids, IGNORED))


def masked_loss(model: Any, inputs: Any, targets: Tensor) -> Tensor:
    """Cross-entropy at the positions to predict. Only these go through the output layer: for all
    positions it would cost more than the encoder.
    """
    predicted = targets != IGNORED
    states: Tensor
    with autocast():
        states = model.base_model(**inputs).last_hidden_state[predicted]
        scores = _head(model)(states)
    if not len(scores):
        return states.sum() * 0.0
    return torch.nn.functional.cross_entropy(scores.float(), targets[predicted])


def _head(model: Any) -> Any:
    for name in ("cls", "lm_head"):  # the BERT and the RoBERTa family
        if hasattr(model, name):
            return getattr(model, name)
    raise DataError(
        f"{type(model).__name__} has no known masked-language-modelling head; "
        "expected an encoder of the BERT or RoBERTa family"
    )
