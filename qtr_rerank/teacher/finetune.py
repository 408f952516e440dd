"""Pairs -> teacher: fine-tune an encoder as a cross-encoder, pointwise, on labelled pairs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from qtr_rerank.data.pair_tables import read_table, texts
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.teacher.encoders import autocast, device, load_cross_encoder, load_tokenizer

log = logging.getLogger(__name__)
# Batches drawn together before they are cut by length: enough for variety, few enough for speed.
_LENGTH_POOL = 32


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """How a teacher is fine-tuned. `gold_repeats` is how often each judged pair is seen for one
    sight of a label-free pair; `weak_pairs` limits the label-free ones (they are many).
    """

    encoder: str
    epochs: int = 1
    batch: int = 64
    learning_rate: float = 5e-5
    warmup_share: float = 0.1
    max_tokens: int = 64
    weak_pairs: int = 45_000
    gold_repeats: int = 4
    seed: int = 7

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, self.max_tokens) < 1:
            raise SettingsError(
                f"epochs={self.epochs}, batch={self.batch}, max_tokens={self.max_tokens}; "
                "expected at least 1 each"
            )


def finetune(
    weak: Path | None, gold: Sequence[Path], out: Path, settings: FinetuneSettings
) -> Path:
    """Train on `label` (0..1) of label-free and judged pairs; write a model folder to `out`.

    The loss is cross-entropy against the soft label, so that the logit is a log-odds of relevance
    whatever the source of the label. Checkpoints every 200 steps; an interrupted run goes on.
    """
    torch.manual_seed(settings.seed)
    queries, titles, labels = _training_pairs(weak, gold, settings)
    tokenizer, model = load_tokenizer(settings.encoder), load_cross_encoder(settings.encoder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    lengths = np.array([len(q) + len(t) for q, t in zip(queries, titles, strict=True)])
    chance = np.random.default_rng(settings.seed)
    batches = [
        places
        for _ in range(settings.epochs)
        for places in _batches(lengths, settings.batch, chance)
    ]
    warmup = max(1, int(len(batches) * settings.warmup_share))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, (len(batches) - step) / (len(batches) - warmup + 1)),
    )
    checkpoint = out / "checkpoint.pt"
    out.mkdir(parents=True, exist_ok=True)
    first = _resume(checkpoint, settings, model, optimizer, schedule)
    model.train()
    started, recent = time.monotonic(), []
    for step in range(first, len(batches)):
        places = batches[step]
        inputs = tokenizer(
            [queries[i] for i in places],
            [titles[i] for i in places],
            padding=True,
            truncation=True,
            max_length=settings.max_tokens,
            return_tensors="pt",
        ).to(device())
        with autocast():
            logits = model(**inputs).logits.squeeze(-1).float()
        target = torch.tensor([labels[i] for i in places], device=logits.device)
        loss = binary_cross_entropy_with_logits(logits, target)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        recent.append(float(loss.detach()))
        if (step + 1) % 50 == 0:
            rate = (step + 1 - first) * settings.batch / (time.monotonic() - started)
            log.info(
                "step %d of %d, loss %.4f, %.0f pairs/s",
                step + 1,
                len(batches),
                float(np.mean(recent[-50:])),
                rate,
            )
        if (step + 1) % 200 == 0:
            _save_checkpoint(checkpoint, step + 1, settings, model, optimizer, schedule)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "teacher.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")
    checkpoint.unlink(missing_ok=True)
    return out


def _batches(
    lengths: NDArray[np.int64], size: int, chance: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Random batches of similar length: twice as fast as any batch padded to its longest pair."""
    batches: list[NDArray[np.int64]] = []
    shuffled = chance.permutation(len(lengths))
    for start in range(0, len(shuffled), size * _LENGTH_POOL):
        pool = shuffled[start : start + size * _LENGTH_POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [batches[place] for place in chance.permutation(len(batches))]


def _training_pairs(
    weak: Path | None, gold: Sequence[Path], settings: FinetuneSettings
) -> tuple[list[str], list[str], list[float]]:
    queries: list[str] = []
    titles: list[str] = []
    labels: list[float] = []
    if weak is not None:
        table = read_table(weak, ["clean_query", "title", "label"])
        chosen = np.random.default_rng(settings.seed).permutation(table.num_rows)
        table = table.take(np.sort(chosen[: settings.weak_pairs]))
        queries += texts(table, "clean_query")
        titles += texts(table, "title")
        labels += table.column("label").to_pylist()
    for path in gold:
        table = read_table(path, ["clean_query", "title", "label"])
        for _ in range(settings.gold_repeats):
            queries += texts(table, "clean_query")
            titles += texts(table, "title")
            labels += table.column("label").to_pylist()
    if not labels:
        raise DataError("no pairs to train on; give label-free pairs, judged pairs, or both")
    if not all(0.0 <= label <= 1.0 for label in labels):
        raise DataError(f"labels span {min(labels)} to {max(labels)}; expected 0 to 1")
    return queries, titles, labels


def _save_checkpoint(
    path: Path, step: int, settings: FinetuneSettings, model: Any, optimizer: Any, schedule: Any
) -> None:
    unfinished = path.with_suffix(".tmp")
    torch.save(
        {
            "step": step,
            "settings": asdict(settings),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
        },
        unfinished,
    )
    unfinished.replace(path)


def _resume(
    path: Path, settings: FinetuneSettings, model: Any, optimizer: Any, schedule: Any
) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True, map_location=device())
    if state["settings"] != asdict(settings):
        raise DataError(
            f"{path} was left by a run with other settings; "
            "give the same settings, or remove the folder to start again"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    log.info("going on at step %d", state["step"])
    return int(state["step"])
