"""A fair rival: TinyBERT's shapes distilled from the students' teacher on the students' pairs.

    python -m experiments.rivals distill --shape 2x128 --encoder E --scores FOLDER -o runs/tiny
    python -m experiments.rivals export runs/tiny -o runs/tiny-onnx
    python -m experiments.rivals score runs/tiny-onnx PAIRS --precision int8 -o scored.parquet

A rival is a cross-encoder: it reads query and title as one text, truncated as for the students.
Pairs, targets, held-out queries, losses and calibration are the students' (qtr_rerank.students).
experiments/rival_start.py initialises it from the encoder's layers. `qtr bench --rivals` times the
shapes.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import click
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertForSequenceClassification

from experiments.rival_start import start_rival
from qtr_rerank.cli.score import BATCH as READ_BATCH
from qtr_rerank.data.pairs_to_score import PairReader, PairWriter
from qtr_rerank.errors import DataError, QtrError, SettingsError
from qtr_rerank.export.cross_encoders import BERT_SIZES, write_graph, write_int8
from qtr_rerank.features.wordpiece import WordPiece
from qtr_rerank.probability import sigmoid
from qtr_rerank.runtime.cross_encoder import CrossEncoder, join_pairs, special_ids
from qtr_rerank.students.losses import logit_mse, soft_cross_entropy
from qtr_rerank.students.pair_ids import PairIds, read_pair_ids
from qtr_rerank.students.platt_scaling import fit_platt
from qtr_rerank.students.student import StudentSettings
from qtr_rerank.teacher.encoders import autocast, device, load_tokenizer
from qtr_rerank.teacher.training_loop import Training
from qtr_rerank.torch_training import Batch

NOTES = "rival.json"
_SHAPE_OF = {shape.short: shape for shape in BERT_SIZES.values()}
# A smaller shape starts further from the encoder, so it takes larger steps.
_LEARNING_RATE_OF = {"2x128": 1e-3, "4x312": 5e-4, "6x384": 1e-4, "12x768": 5e-5}
_SCORE_BATCH = 512
IN_PATH = click.Path(exists=True, path_type=Path)
OUT_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class RivalSettings:
    """How a rival is distilled. Fields named as in DistillSettings mean the same."""

    encoder: str
    shape: str = "4x312"
    epochs: int = 3
    batch: int = 64
    learning_rate: float = 5e-4
    warmup_share: float = 0.1
    dropout: float = 0.0
    loss: Literal["soft_cross_entropy", "logit_mse"] = "soft_cross_entropy"
    temperature: float = 1.0
    gold_share: float = 0.5
    gold_repeats: int = 4
    held_out_share: float = 0.03
    max_query_tokens: int = 16
    max_title_tokens: int = 32
    seed: int = 7

    def __post_init__(self) -> None:
        if self.shape not in _SHAPE_OF:
            raise SettingsError(f"no shape {self.shape!r}; choose from {', '.join(_SHAPE_OF)}")
        if self.epochs < 1 or self.batch < 2 or self.temperature <= 0:
            raise SettingsError(
                f"epochs={self.epochs}, batch={self.batch}, temperature={self.temperature}; "
                "expected at least 1 and 2, and above 0"
            )

    @property
    def student(self) -> StudentSettings:
        """The text lengths, as `read_pair_ids` takes them."""
        return StudentSettings(self.max_query_tokens, self.max_title_tokens)


def distill_rival(
    scores: Sequence[Path], gold: Sequence[Path], out: Path, settings: RivalSettings
) -> dict[str, Any]:
    """Train on `teacher_logit` of transfer pairs and judged pairs; write a model folder to `out`.

    Returns the content of its `rival.json`. Continues an interrupted run.
    """
    torch.manual_seed(settings.seed)
    tokenizer = load_tokenizer(settings.encoder).backend_tokenizer
    vocabulary = WordPiece(Tokenizer.from_str(tokenizer.to_str()))
    pairs = read_pair_ids(scores, gold, vocabulary, settings)
    places, held_out = pairs.split(settings.held_out_share)
    model = start_rival(settings.encoder, _SHAPE_OF[settings.shape], settings.dropout).to(device())
    special = special_ids(vocabulary)
    query_lengths = (pairs.query_ids != 0).sum(1)[pairs.query_of[places]]
    lengths = (query_lengths + pairs.title_lengths[pairs.title_of[places]]).numpy()
    training = Training(model, lengths, settings, out)

    def loss_of(batch: Batch) -> Tensor:
        chosen = places[torch.from_numpy(batch)]
        logits = _logits(model, pairs, chosen, special)
        target = pairs.target_logit[chosen].to(logits.device)
        if settings.loss == "logit_mse":
            return logit_mse(logits, target)
        return soft_cross_entropy(logits, target, settings.temperature)

    started = time.monotonic()
    training.run(loss_of)  # logs pairs/s
    seconds = time.monotonic() - started  # since the last interruption
    notes = asdict(settings) | _measure(model, pairs, held_out, special)
    notes |= {"pairs": len(places), "seconds": round(seconds, 1)}
    model.save_pretrained(out)
    vocabulary.save(out)
    (out / NOTES).write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
    training.finish()
    return notes


def export_rival(rival: Path, out: Path) -> None:
    """Write `fp32.onnx`, `int8.onnx`, the vocabulary and the notes of a distilled rival."""
    if not (rival / NOTES).is_file():
        raise DataError(f"{rival} has no {NOTES}; expected a folder made by 'distill'")
    model = BertForSequenceClassification.from_pretrained(
        rival, dtype=torch.float32, attn_implementation="eager"
    )
    write_graph(model.eval(), out / "fp32.onnx")
    write_int8(out / "fp32.onnx", out / "int8.onnx")
    WordPiece.load(rival).save(out)
    shutil.copyfile(rival / NOTES, out / NOTES)


def score_rival(exported: Path, pairs: Path, out: Path, precision: str, threads: int = 1) -> int:
    """Write the rows of `pairs` with `score` and `logit`, like `qtr score`; the number of rows."""
    notes = json.loads((exported / NOTES).read_text(encoding="utf-8"))
    scorer = CrossEncoder(
        exported / f"{precision}.onnx",
        WordPiece.load(exported),
        threads=threads,
        max_query_tokens=notes["max_query_tokens"],
        max_title_tokens=notes["max_title_tokens"],
    )
    scale, bias = notes["calibration"]["scale"], notes["calibration"]["bias"]
    reader, rows = PairReader(pairs), 0
    with PairWriter(out, reader, added=("score", "logit")) as writer:
        for batch in reader.batches(READ_BATCH):
            logits = scorer.score_pairs(batch.queries, batch.titles)
            probabilities = sigmoid(scale * logits + bias)
            writer.write(
                batch,
                {
                    "score": [float(str(value)) for value in probabilities],
                    "logit": [float(str(value)) for value in logits],
                },
            )
            rows += len(batch)
    return rows


def _logits(model: Any, pairs: PairIds, places: Tensor, special: tuple[int, int]) -> Tensor:
    query_ids, title_ids = pairs.ids(places)
    ids, segments = map(torch.from_numpy, join_pairs(query_ids.numpy(), title_ids.numpy(), special))
    ids, segments = ids.to(device()), segments.to(device())
    with autocast():
        logits: Tensor = model(
            input_ids=ids, token_type_ids=segments, attention_mask=(ids != 0).long()
        ).logits
    return logits.squeeze(-1).float()


@torch.no_grad()
def _measure(
    model: Any, pairs: PairIds, held_out: Tensor, special: tuple[int, int]
) -> dict[str, Any]:
    """The students' measure on held-out queries: cross-entropy against the teacher after Platt
    scaling of the logits; and that scaling, which calibrates the rival.
    """
    model.eval()
    parts = torch.split(held_out, _SCORE_BATCH)
    logits = torch.cat([_logits(model, pairs, part, special).cpu() for part in parts])
    target = pairs.target_logit[held_out]
    scale, bias = fit_platt(logits, torch.sigmoid(target))
    return {
        "held_out_loss": float(soft_cross_entropy(scale * logits + bias, target, 1.0)),
        "calibration": {"scale": scale, "bias": bias},
    }


@click.group()
def main() -> None:
    """Distil, export and score the students' rivals."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("qtr_rerank").setLevel(logging.INFO)


@main.command()
@click.option("--shape", type=click.Choice(list(_SHAPE_OF)), default="4x312", show_default=True)
@click.option("--encoder", required=True, help="A Hugging Face id or a local folder.")
@click.option("--scores", required=True, multiple=True, type=IN_PATH, help="Teacher's scores.")
@click.option("--gold", multiple=True, type=IN_PATH, help="Teacher's scores of judged pairs.")
@click.option("--epochs", default=RivalSettings("").epochs, show_default=True)
@click.option("--batch", default=RivalSettings("").batch, show_default=True)
@click.option("--learning-rate", type=float, help=f"Default: {_LEARNING_RATE_OF}.")
@click.option(
    "--loss", type=click.Choice(["soft_cross_entropy", "logit_mse"]), default="soft_cross_entropy"
)
@click.option("--temperature", default=1.0, show_default=True)
@click.option("--gold-share", default=0.5, show_default=True)
@click.option("--gold-repeats", default=4, show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the rival.")
def distill(scores: tuple[Path, ...], gold: tuple[Path, ...], out: Path, **chosen: Any) -> None:
    """Train a small transformer on a teacher's scores; continues an interrupted run."""
    chosen["learning_rate"] = chosen["learning_rate"] or _LEARNING_RATE_OF[chosen["shape"]]
    notes = distill_rival(scores, gold, out, RivalSettings(**chosen))
    click.echo(
        f"{notes['shape']}: held-out loss {notes['held_out_loss']:.4f}, "
        f"{notes['seconds']:,.0f} s -> {out}"
    )


@main.command()
@click.argument("rival", type=IN_PATH)
@click.option("-o", "--out", required=True, type=OUT_PATH)
def export(rival: Path, out: Path) -> None:
    """Write a distilled rival as ONNX graphs, fp32 and int8."""
    export_rival(rival, out)
    sizes = [f"{name} {(out / name).stat().st_size / 1e6:.1f} MB" for name in _graphs()]
    click.echo(f"{', '.join(sizes)} -> {out}")


@main.command()
@click.argument("exported", type=IN_PATH)
@click.argument("pairs", type=IN_PATH)
@click.option("--precision", type=click.Choice(["fp32", "int8"]), default="fp32")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("-o", "--out", required=True, type=OUT_PATH, help="File to write.")
def score(exported: Path, pairs: Path, precision: str, threads: int, out: Path) -> None:
    """Add `score` and `logit` to a pairs file with ONNX Runtime."""
    started = time.monotonic()
    rows = score_rival(exported, pairs, out, precision, threads)
    rate = rows / (time.monotonic() - started)
    click.echo(f"{rows:,} pairs scored ({precision}), {rate:,.0f} pairs/s -> {out}")


def _graphs() -> tuple[str, ...]:
    return "fp32.onnx", "int8.onnx"


if __name__ == "__main__":
    try:
        main()
    except QtrError as error:
        raise SystemExit(f"rivals: {error}") from error
