"""Teacher scores -> student: the training loop, the same for every kind of student."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.errors import DataError
from qtr_rerank.features import wordpiece
from qtr_rerank.features.vocabulary import Vocabulary, VocabularyName, build_vocabulary
from qtr_rerank.features.wordpiece import WordPiece
from qtr_rerank.students.configurations import DistillSettings
from qtr_rerank.students.initial_weights import new_student
from qtr_rerank.students.losses import (
    in_batch_contrast,
    logit_mse,
    margin_mse,
    soft_cross_entropy,
)
from qtr_rerank.students.pair_ids import PairIds, read_pair_ids
from qtr_rerank.students.platt_scaling import calibrate, fit_platt
from qtr_rerank.students.student import Student
from qtr_rerank.students.student_folder import save_student
from qtr_rerank.students.twin import Twin
from qtr_rerank.torch_training import Checkpoint, similar_length_batches, take_step

log = logging.getLogger(__name__)
_PROBES = 64  # held-out pairs for the parity check of the export
_LENGTH_POOL = 16  # batches


@dataclass(frozen=True, slots=True)
class DistillReport:
    """The result of a training run. `held_out_loss`: cross-entropy against the teacher on transfer
    pairs whose queries were not trained on.
    """

    held_out_loss: float
    epochs: int
    pairs: int


def distill(
    kind: str,
    scores: Sequence[Path],
    gold: Sequence[Path],
    encoder: str,
    out: Path,
    settings: DistillSettings,
) -> DistillReport:
    """Train on `teacher_logit` of transfer pairs (`scores`) and judged pairs (`gold`); write the
    student to the folder `out`. An interrupted run resumes after its last complete epoch.

    Raises TrainingError if the loss is not finite, DataError if no pair is left to train on or to
    hold out, or if `out` holds the checkpoint of a run with other settings or pairs.
    """
    torch.manual_seed(settings.seed)
    vocabulary = _vocabulary(settings.student.vocabulary, encoder, [*scores, *gold])
    pairs = read_pair_ids(scores, gold, vocabulary, settings)
    student = new_student(kind, settings.student, vocabulary, encoder, pairs)
    training, held_out = _split(pairs, settings)
    checkpoint = out / "checkpoint.pt"
    best_loss = _train(kind, student, pairs, training, held_out, settings, checkpoint)
    report = DistillReport(best_loss, settings.epochs, len(training))
    meta = _meta(student, pairs, held_out, settings, report)
    probes = [pairs.texts(int(row)) for row in held_out[:_PROBES]]
    save_student(kind, student, vocabulary, meta, probes, out)
    # Only now: if saving fails, the run can still resume.
    checkpoint.unlink(missing_ok=True)
    return report


def _train(
    kind: str,
    student: Student,
    pairs: PairIds,
    training: Tensor,
    held_out: Tensor,
    settings: DistillSettings,
    checkpoint_path: Path,
) -> float:
    """Train all epochs that are left; leaves the student with its best weights, returns its loss
    on the held-out pairs.
    """
    optimizer, schedule = _optimizer(student, len(training), settings)
    rng = np.random.default_rng(settings.seed)
    checkpoint = Checkpoint(
        checkpoint_path,
        {"kind": kind, "pairs": len(training), "settings": asdict(settings)},
        {"student": student, "optimizer": optimizer, "schedule": schedule},
        rng,
    )
    progress = checkpoint.resume()
    if progress is None:
        progress = {"epochs": 0, "best": float("inf"), "best_state": student.state_dict()}
    else:
        log.info("resuming after epoch %d", progress["epochs"])
    for epoch in range(progress["epochs"] + 1, settings.epochs + 1):
        started = time.monotonic()
        student.train()
        where = f"in epoch {epoch} of {kind} (learning rate {settings.learning_rate})"
        losses = [
            take_step(_loss(student, pairs, rows, settings), student, optimizer, schedule, where)
            for rows in _batches(pairs, training, settings, rng)
        ]
        held_out_loss = _held_out_loss(student, pairs, held_out, settings.batch)
        log.info(
            "%s epoch %d of %d: loss %.4f, held out %.4f, %.0f s",
            kind,
            epoch,
            settings.epochs,
            sum(losses) / len(losses),
            held_out_loss,
            time.monotonic() - started,
            extra={"progress": (epoch, settings.epochs)},
        )
        progress["epochs"] = epoch
        if held_out_loss < progress["best"]:
            state = student.state_dict()
            progress["best"] = held_out_loss
            progress["best_state"] = {name: value.clone() for name, value in state.items()}
        if epoch < settings.epochs:
            checkpoint.save(progress)
    student.load_state_dict(progress["best_state"])
    best_loss: float = progress["best"]
    return best_loss


def _split(pairs: PairIds, settings: DistillSettings) -> tuple[Tensor, Tensor]:
    training, held_out = pairs.split(settings.held_out_share)
    if not len(training) or not len(held_out):
        raise DataError(
            f"{len(training)} pairs to train on and {len(held_out)} held out "
            f"(held_out_share={settings.held_out_share}, by query); expected some of each: "
            "give pairs of more queries, or another share"
        )
    return training, held_out


def _optimizer(
    student: Student, pairs: int, settings: DistillSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    if settings.optimizer == "adagrad":  # as in BERT2DNN's code: a constant rate
        adagrad = torch.optim.Adagrad(student.parameters(), lr=settings.learning_rate, fused=True)
        return adagrad, torch.optim.lr_scheduler.ConstantLR(adagrad, factor=1.0)
    # Fused: one pass over the weights a step; most weights are token tables.
    adamw = torch.optim.AdamW(
        student.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    # OneCycleLR divides by (a tenth of the steps) - 1, so it needs more than ten steps.
    steps = max(10, settings.epochs * (1 + pairs // settings.batch))
    return adamw, torch.optim.lr_scheduler.OneCycleLR(
        adamw, settings.learning_rate, total_steps=steps + 1, pct_start=0.1
    )


def _loss(student: Student, pairs: PairIds, rows: Tensor, settings: DistillSettings) -> Tensor:
    query_rows, title_rows = pairs.query_of[rows], pairs.title_of[rows]
    query_ids, title_ids = pairs.ids(rows)
    query, title = student.encode_query(query_ids), student.encode_title(title_ids)
    logits, target = student.score(query, title), pairs.target_logit[rows]
    if settings.loss == "logit_mse":
        loss = logit_mse(logits, target)
    elif settings.loss == "margin_mse":
        loss = margin_mse(logits, target, query_rows)
    else:
        loss = soft_cross_entropy(logits, target, settings.temperature)
    if settings.contrast and isinstance(student, Twin):
        loss = loss + settings.contrast * in_batch_contrast(
            query["vector"], title["vector"], query_rows, title_rows, torch.sigmoid(target)
        )
    return loss


def _batches(
    pairs: PairIds, training: Tensor, settings: DistillSettings, rng: np.random.Generator
) -> list[Tensor]:
    """One epoch of random batches (rows of `pairs`): of similar title length, or, if the loss
    compares pairs of one query, with those pairs side by side.
    """
    if settings.by_query:
        order = torch.from_numpy(rng.permutation(len(pairs.queries)))[pairs.query_of[training]]
        in_order = torch.split(training[order.argsort(stable=True)], settings.batch)
        batches = [in_order[number] for number in rng.permutation(len(in_order))]
    else:
        lengths = pairs.title_lengths[pairs.title_of[training]].numpy()
        batches = [
            training[torch.from_numpy(batch)]
            for batch in similar_length_batches(lengths, settings.batch, _LENGTH_POOL, rng)
        ]
    # A small remainder would weigh as much as a full batch.
    full = [batch for batch in batches if len(batch) * 2 > settings.batch]
    return full if len(batches) > 1 else batches


@torch.inference_mode()
def _logits(student: Student, pairs: PairIds, rows: Tensor, batch: int) -> Tensor:
    student.eval()
    return torch.cat([student(*pairs.ids(part)) for part in torch.split(rows, batch)])


def _held_out_loss(student: Student, pairs: PairIds, rows: Tensor, batch: int) -> float:
    """Cross-entropy against the teacher after Platt scaling, which makes the losses of runs with
    different temperatures comparable.
    """
    logits, target = _logits(student, pairs, rows, batch), pairs.target_logit[rows]
    scale, bias = fit_platt(logits, torch.sigmoid(target))
    return float(soft_cross_entropy(scale * logits + bias, target, 1.0))


def _meta(
    student: Student,
    pairs: PairIds,
    held_out: Tensor,
    settings: DistillSettings,
    report: DistillReport,
) -> dict[str, Any]:
    """The record of the run in `student.json`: settings, result and calibration."""
    logits = _logits(student, pairs, held_out, settings.batch)
    queries = pairs.query_of[held_out]
    # Without queries (single sentences), the two halves are made by title.
    groups = queries if bool((queries != queries[0]).any()) else pairs.title_of[held_out]
    calibrated = asdict(calibrate(logits, torch.sigmoid(pairs.target_logit[held_out]), groups))
    training = asdict(settings)
    return {
        "student": training.pop("student"),
        "training": training | asdict(report),
        "calibration": {"scale": calibrated.pop("scale"), "bias": calibrated.pop("bias")},
        "reliability": calibrated,
        "reads": pairs.reads,
    }


def _vocabulary(name: VocabularyName, encoder: str, tables: Sequence[Path]) -> Vocabulary:
    """WordPiece is the encoder's; other vocabularies are built from the distinct training texts."""
    if name == "wordpiece":
        return WordPiece.from_file(_tokenizer_of(encoder))
    distinct: dict[str, None] = {}
    for path in tables:
        table = read_table(path, ["query", "title"])
        distinct |= dict.fromkeys(texts(table, "query")) | dict.fromkeys(texts(table, "title"))
    return build_vocabulary(distinct, name)


def _tokenizer_of(encoder: str) -> Path:
    folder = Path(encoder)
    if folder.is_dir():
        return folder / wordpiece.FILE
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(encoder, wordpiece.FILE))
    except Exception as error:
        raise DataError(
            f"encoder {encoder!r}: no {wordpiece.FILE} ({error}); give a model id or a local folder"
        ) from error
