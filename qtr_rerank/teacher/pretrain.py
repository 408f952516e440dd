"""Titles -> teacher: eBERT, an encoder further pre-trained on a catalog's titles.

BertBiLSTM (arXiv 2108.10197, phase 1) pre-trains a BERT on item titles before it is fine-tuned on
judged pairs; its sizes and steps are not public. Masked-language modelling as in BERT (Devlin et
al. 2019, section 3.1): 15 % of the tokens, of which 80 % masked, 10 % replaced, 10 % kept.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.teacher.encoders import autocast, device, load_masked_lm, load_tokenizer
from qtr_rerank.teacher.training_loop import Training, random_batches
from qtr_rerank.torch_training import Batch

log = logging.getLogger(__name__)
IGNORED = -100  # torch's mark of positions that no loss is taken of


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """How an encoder is pre-trained. `from_scratch` keeps its shapes and vocabulary alone."""

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
    """Train on distinct titles; write an encoder folder to `out` that `finetune` starts from.

    Checkpoints every 200 steps; an interrupted run goes on. Raises DataError without titles.
    """
    distinct = list(dict.fromkeys(title for title in titles if title.strip()))
    if not distinct:
        raise DataError("no titles to pre-train on; check the files, column and sources given")
    torch.manual_seed(settings.seed)
    tokenizer = load_tokenizer(settings.encoder)
    if tokenizer.mask_token_id is None:
        raise DataError(
            f"the tokenizer of {settings.encoder!r} has no mask token; "
            "expected an encoder that was made by masked-language modelling, such as BERT"
        )
    model = load_masked_lm(settings.encoder, from_scratch=settings.from_scratch)
    lengths = np.array([len(title) for title in distinct])
    chance = np.random.default_rng(settings.seed)
    batches = random_batches(lengths, settings.batch, settings.epochs, chance)
    out.mkdir(parents=True, exist_ok=True)
    training = Training(
        model,
        batches,
        settings.learning_rate,
        settings.warmup_share,
        out / "checkpoint.pt",
        # Other titles are another run, too: their number stands for them.
        asdict(settings) | {"titles": len(distinct)},
    )

    def loss_of(places: Batch) -> Tensor:
        inputs = tokenizer(
            [distinct[i] for i in places],
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
    (out / "pretrain.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")
    training.finish()
    return out


def mask_tokens(
    ids: Tensor, special: Tensor, mask_id: int, tokens: int, settings: PretrainSettings
) -> tuple[Tensor, Tensor]:
    """(ids to read, ids to guess), both (texts, tokens); IGNORED where nothing is to be guessed."""
    chosen = (torch.rand(ids.shape) < settings.mask_share) & ~special
    fate = torch.rand(ids.shape)
    read = torch.where(chosen & (fate < 0.8), torch.full_like(ids, mask_id), ids)
    replaced = chosen & (fate >= 0.8) & (fate < 0.9)
    read = torch.where(replaced, torch.randint_like(ids, tokens), read)
    return read, torch.where(chosen, ids, torch.full_like(ids, IGNORED))


def masked_loss(model: Any, inputs: Any, targets: Tensor) -> Tensor:
    """Cross-entropy at the positions to guess. The vocabulary is multiplied out there alone:
    over all positions it would cost more than the encoder.
    """
    asked = targets != IGNORED
    states: Tensor
    with autocast():
        states = model.base_model(**inputs).last_hidden_state[asked]
        scores = _head(model)(states)
    if not len(scores):
        return states.sum() * 0.0
    return torch.nn.functional.cross_entropy(scores.float(), targets[asked])


def _head(model: Any) -> Any:
    for name in ("cls", "lm_head"):  # BERT and its kin; RoBERTa and its kin
        if hasattr(model, name):
            return getattr(model, name)
    raise DataError(
        f"{type(model).__name__} has no head known here for masked tokens; "
        "expected an encoder of the BERT or RoBERTa family"
    )
