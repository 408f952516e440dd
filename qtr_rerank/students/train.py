"""Teacher scores -> students: the one training loop, for every student."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.errors import DataError, TrainingError
from qtr_rerank.features import wordpiece
from qtr_rerank.features.vocabulary import Vocabulary, VocabularyName, build_vocabulary
from qtr_rerank.features.wordpiece import WordPiece
from qtr_rerank.students import student_kind
from qtr_rerank.students.base import MatchSignals, Student, StudentSettings
from qtr_rerank.students.calibrate import calibrate, fit_platt
from qtr_rerank.students.checkpoint import Checkpoint
from qtr_rerank.students.configurations import DistillSettings
from qtr_rerank.students.dataset import PairIds, read_pair_ids
from qtr_rerank.students.losses import (
    in_batch_contrast,
    logit_mse,
    margin_mse,
    soft_cross_entropy,
)
from qtr_rerank.students.start import principal_vectors, token_idf
from qtr_rerank.students.twinbert import Twin

log = logging.getLogger(__name__)
_PROBES = 64
# Batches drawn together before they are cut by length: enough for variety, few enough for speed.
_LENGTH_POOL = 16


@dataclass(frozen=True, slots=True)
class DistillReport:
    """What a training run reached on transfer pairs whose queries it did not see."""

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
    """Train on `teacher_logit` of transfer pairs (`scores`) and judged pairs (`gold`); write
    `student.safetensors`, `student.json`, the vocabulary and probe pairs to `out`. An interrupted
    run goes on after its last whole epoch.

    Raises TrainingError where the loss is no number any more, DataError where `out` was begun with
    other settings or pairs.
    """
    torch.manual_seed(settings.seed)
    vocabulary = _vocabulary(settings.student.vocabulary, encoder, [*scores, *gold])
    pairs = read_pair_ids(scores, gold, vocabulary, settings)
    student = start_student(kind, settings.student, vocabulary, encoder, pairs)
    training, held_out = pairs.split(settings.held_out_share)
    optimizer, schedule = _optimizer(student, len(training), settings)
    chance = np.random.default_rng(settings.seed)
    checkpoint = Checkpoint(
        out / "checkpoint.pt",
        {"kind": kind, "pairs": len(training), "settings": asdict(settings)},
        student,
        optimizer,
        schedule,
        chance,
    )
    ended, best, best_state = checkpoint.resume() or (0, float("inf"), student.state_dict())
    for epoch in range(ended, settings.epochs):
        started, total, done = time.monotonic(), 0.0, 0
        student.train()
        draw = _query_batches if settings.by_query else _batches
        for places in draw(pairs, training, settings.batch, chance):
            loss = _loss(student, pairs, places, settings)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"{kind}: the loss became {loss.item()} in epoch {epoch + 1}; "
                    f"lower the learning rate ({settings.learning_rate})"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total, done = total + float(loss.detach()), done + 1
        held_out_loss = _distance(student, pairs, held_out, settings.batch)
        log.info(
            "%s epoch %d of %d: loss %.4f, held out %.4f, %.0f s",
            kind,
            epoch + 1,
            settings.epochs,
            total / max(done, 1),
            held_out_loss,
            time.monotonic() - started,
            extra={"progress": (epoch + 1, settings.epochs)},
        )
        if held_out_loss < best:
            best = held_out_loss
            best_state = {name: value.clone() for name, value in student.state_dict().items()}
        if epoch + 1 < settings.epochs:
            checkpoint.save(epoch + 1, best, best_state)
    student.load_state_dict(best_state)
    report = DistillReport(best, settings.epochs, len(training))
    _save(kind, student, vocabulary, pairs, held_out, settings, report, out)
    checkpoint.finish()
    return report


def start_student(
    kind: str, settings: StudentSettings, vocabulary: Vocabulary, encoder: str, pairs: PairIds
) -> Student:
    """A new student. One that reads WordPiece starts with token vectors from the encoder's (by
    PCA) and token weights from titles' idf; of other tokens the encoder knows nothing.
    """
    student = student_kind(kind)[0](settings, len(vocabulary))
    if settings.vocabulary != "wordpiece":
        return student
    table = student.embedding().table.weight
    idf = token_idf(pairs.title_ids, len(vocabulary))
    with torch.no_grad():
        vectors = principal_vectors(encoder, table.shape[1])
        # A bag is then a sum weighted by sqrt(idf), its dot product a soft BM25-like match.
        table.copy_(vectors * idf.sqrt().unsqueeze(1) / idf.mean().sqrt())
        table[0].zero_()
    for module in student.modules():
        if isinstance(module, MatchSignals):
            module.start_from(idf / idf.mean())
    return student


def load_student(folder: Path) -> tuple[Student, dict[str, Any]]:
    """A student that `distill` wrote, and what it noted about it."""
    path = folder / "student.json"
    if not path.is_file():
        raise DataError(f"{folder} holds no student; expected a folder made by 'qtr distill'")
    meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    student_class, settings_class = student_kind(meta["kind"])
    student = student_class(settings_class(**meta["student"]), meta["tokens"])
    student.load_state_dict(load_file(folder / "student.safetensors"))
    return student, meta


def _optimizer(
    student: Student, pairs: int, settings: DistillSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    if settings.optimizer == "adagrad":  # as BERT2DNN's code has it: one rate to the end
        adagrad = torch.optim.Adagrad(student.parameters(), lr=settings.learning_rate, fused=True)
        return adagrad, torch.optim.lr_scheduler.ConstantLR(adagrad, factor=1.0)
    # Fused: one pass over the weights a step. Token tables are most of a student.
    adamw = torch.optim.AdamW(
        student.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    # OneCycleLR divides by the steps of the first tenth less one: it needs more than ten in all.
    steps = max(10, settings.epochs * (1 + pairs // settings.batch))
    return adamw, torch.optim.lr_scheduler.OneCycleLR(
        adamw, settings.learning_rate, total_steps=steps + 1, pct_start=0.1
    )


def _loss(student: Student, pairs: PairIds, places: Tensor, settings: DistillSettings) -> Tensor:
    query_rows, title_rows = pairs.query_of[places], pairs.title_of[places]
    query_ids, title_ids = pairs.ids(places)
    query, title = student.encode_query(query_ids), student.encode_title(title_ids)
    logits, target = student.score(query, title), pairs.target_logit[places]
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
    pairs: PairIds, places: Tensor, size: int, chance: np.random.Generator
) -> Iterator[Tensor]:
    """Random batches of pairs whose titles are of similar length: little padding is read."""
    shuffled = places[torch.from_numpy(chance.permutation(len(places)))]
    lengths = pairs.title_lengths[pairs.title_of]
    batches: list[Tensor] = []
    for pool in torch.split(shuffled, size * _LENGTH_POOL):
        batches += torch.split(pool[lengths[pool].argsort(stable=True)], size)
    for number in chance.permutation(len(batches)):
        # A scrap of a batch would pull as hard as a whole one.
        if len(batches[number]) * 2 > size or len(batches) == 1:
            yield batches[number]


def _query_batches(
    pairs: PairIds, places: Tensor, size: int, chance: np.random.Generator
) -> Iterator[Tensor]:
    """Batches in which the pairs of a query stand together, to be compared with each other."""
    order = torch.from_numpy(chance.permutation(len(pairs.queries)))[pairs.query_of[places]]
    batches = torch.split(places[order.argsort(stable=True)], size)
    for number in chance.permutation(len(batches)):
        if len(batches[number]) * 2 > size or len(batches) == 1:
            yield batches[number]


@torch.inference_mode()
def _logits(student: Student, pairs: PairIds, places: Tensor, batch: int) -> Tensor:
    student.eval()
    return torch.cat([student(*pairs.ids(part)) for part in torch.split(places, batch)])


def _distance(student: Student, pairs: PairIds, places: Tensor, batch: int) -> float:
    """Cross-entropy against the teacher after the best line through the logits, so that runs of
    other temperatures compare.
    """
    logits, target = _logits(student, pairs, places, batch), pairs.target_logit[places]
    scale, bias = fit_platt(logits, torch.sigmoid(target))
    return float(soft_cross_entropy(scale * logits + bias, target, 1.0))


def _save(
    kind: str,
    student: Student,
    vocabulary: Vocabulary,
    pairs: PairIds,
    held_out: Tensor,
    settings: DistillSettings,
    report: DistillReport,
    out: Path,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in student.state_dict().items()},
        out / "student.safetensors",
    )
    vocabulary.save(out)
    logits = _logits(student, pairs, held_out, settings.batch)
    asked = pairs.query_of[held_out]
    groups = asked if bool((asked != asked[0]).any()) else pairs.title_of[held_out]
    found = asdict(calibrate(logits, torch.sigmoid(pairs.target_logit[held_out]), groups))
    training = asdict(settings)
    fields = {
        "kind": kind,
        "tokens": len(vocabulary),
        "student": training.pop("student"),
        "training": training | asdict(report),
        "calibration": {"scale": found.pop("scale"), "bias": found.pop("bias")},
        "reliability": found,
        "reads": pairs.reads,
    }
    (out / "student.json").write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    probes = [pairs.texts(int(place)) for place in held_out[:_PROBES]]
    (out / "probes.json").write_text(json.dumps(probes, indent=0) + "\n", encoding="utf-8")


def _vocabulary(reads: VocabularyName, encoder: str, tables: Sequence[Path]) -> Vocabulary:
    """WordPiece comes with the encoder; the others are counted in the distinct training texts."""
    if reads == "wordpiece":
        return WordPiece.from_file(_tokenizer_of(encoder))
    distinct: dict[str, None] = {}
    for path in tables:
        table = read_table(path, ["query", "title"])
        distinct |= dict.fromkeys(texts(table, "query")) | dict.fromkeys(texts(table, "title"))
    return build_vocabulary(distinct, reads)


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
