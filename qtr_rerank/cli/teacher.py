"""`qtr teacher`: pre-train, fine-tune and stack teachers, score pairs, mix their scores."""

from __future__ import annotations

from pathlib import Path

import click

from qtr_rerank.cli.set_option import with_overrides
from qtr_rerank.cli.training_options import IN_PATH, OUT_PATH, need_training

SET = click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Any setting.")


@click.group()
def teacher() -> None:
    """Pre-train and fine-tune a cross-encoder, and label pairs with it."""
    need_training()


@teacher.command("pretrain")
@click.argument("titles", nargs=-1, required=True, type=IN_PATH)
@click.option("--encoder", required=True, help="A Hugging Face id or a local folder.")
@click.option("--column", default="title", show_default=True, help="Column of the titles.")
@click.option("--source", "sources", multiple=True, help="Keep only rows with this `source`.")
@click.option("--epochs", default=1, show_default=True)
@click.option("--from-scratch", is_flag=True, help="Use the encoder's sizes, not its weights.")
@SET
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the encoder.")
def pretrain(
    titles: tuple[Path, ...],
    encoder: str,
    column: str,
    sources: tuple[str, ...],
    epochs: int,
    from_scratch: bool,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """eBERT: continue masked-language modelling on a catalog's TITLES; resumable."""
    from qtr_rerank.data.text_lists import read_texts
    from qtr_rerank.teacher.pretrain import PretrainSettings
    from qtr_rerank.teacher.pretrain import pretrain as run

    settings = with_overrides(
        PretrainSettings(encoder=encoder, epochs=epochs, from_scratch=from_scratch), assignments
    )
    texts = [title for path in titles for title in read_texts(path, column, sources)]
    click.echo(f"encoder -> {run(texts, out, settings)}")


@teacher.command("finetune")
@click.option("--encoder", required=True, help="A Hugging Face id or a local folder.")
@click.option("--weak", type=IN_PATH, help="Label-free pairs with the column `label`.")
@click.option("--gold", multiple=True, type=IN_PATH, help="Judged pairs.")
@click.option(
    "--dev", type=IN_PATH, help="Judged pairs for early stopping; else a share of --gold."
)
@click.option("--epochs", default=1, show_default=True)
@click.option("--weak-pairs", default=45_000, show_default=True)
@click.option("--gold-repeats", default=4, show_default=True)
@click.option("--learning-rate", default=5e-5, show_default=True)
@click.option("--seed", default=7, show_default=True)
@SET
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the teacher.")
def finetune(
    encoder: str,
    weak: Path | None,
    gold: tuple[Path, ...],
    dev: Path | None,
    epochs: int,
    weak_pairs: int,
    gold_repeats: int,
    learning_rate: float,
    seed: int,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """Train a cross-encoder on labelled pairs; continues an interrupted run."""
    from qtr_rerank.teacher.finetune import FinetuneSettings
    from qtr_rerank.teacher.finetune import finetune as run

    settings = FinetuneSettings(
        encoder=encoder,
        epochs=epochs,
        weak_pairs=weak_pairs,
        gold_repeats=gold_repeats,
        learning_rate=learning_rate,
        seed=seed,
    )
    trained = run(weak, gold, out, with_overrides(settings, assignments), dev)
    click.echo(f"teacher -> {trained}")


@teacher.command("stack")
@click.argument("first_teacher", type=IN_PATH)
@click.argument("pairs_file", type=IN_PATH)
@click.option("--encoder", required=True, help="Teacher 2 starts from it.")
@click.option("--gold", multiple=True, type=IN_PATH, help="Judged pairs, trained on last.")
@click.option(
    "--dev", type=IN_PATH, help="Judged pairs for early stopping; else a share of --gold."
)
@click.option("--epochs", default=1, show_default=True, help="Over the judged pairs.")
@click.option("--weak-pairs", default=200_000, show_default=True, help="Labelled pairs, at most.")
@SET
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of teacher 2.")
def stack(
    first_teacher: Path,
    pairs_file: Path,
    encoder: str,
    gold: tuple[Path, ...],
    dev: Path | None,
    epochs: int,
    weak_pairs: int,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """Label PAIRS_FILE with FIRST_TEACHER and train teacher 2 on the labels; resumable."""
    from qtr_rerank.teacher.finetune import FinetuneSettings
    from qtr_rerank.teacher.score import ScoreSettings
    from qtr_rerank.teacher.stack import stack as run

    settings = FinetuneSettings(
        encoder=encoder, epochs=epochs, weak_pairs=weak_pairs, gold_repeats=1
    )
    trained = run(
        first_teacher,
        pairs_file,
        gold,
        out,
        with_overrides(settings, assignments),
        ScoreSettings(),
        dev,
    )
    click.echo(f"teacher -> {trained}")


@teacher.command("score")
@click.argument("teacher_folder", type=IN_PATH)
@click.argument("pairs_file", type=IN_PATH)
@click.option("--shard-rows", default=20_000, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of Parquet shards.")
def score(teacher_folder: Path, pairs_file: Path, shard_rows: int, out: Path) -> None:
    """Add `teacher_logit` to pairs, shard by shard; continues an interrupted run."""
    from qtr_rerank.teacher.score import ScoreSettings, score_pairs

    rows = score_pairs(teacher_folder, pairs_file, out, ScoreSettings(shard_rows=shard_rows))
    click.echo(f"{rows:,} pairs -> {out}")


@teacher.command("mix")
@click.argument("pairs_file", type=IN_PATH)
@click.option(
    "--fit",
    "judged",
    type=IN_PATH,
    help="Judged pairs with these columns that no teacher was trained on.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    default=("teacher_logit", "cosine", "coverage"),
    show_default=True,
    help="Column to mix; can be repeated.",
)
@click.option("--mixture", type=OUT_PATH, help="File of weights: written with --fit, else read.")
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def mix(
    pairs_file: Path,
    judged: Path | None,
    columns: tuple[str, ...],
    mixture: Path | None,
    out: Path,
) -> None:
    """Replace `teacher_logit` of PAIRS_FILE by a calibrated mixture of several columns."""
    from qtr_rerank.teacher.mixture import Mixture, apply_mixture, fit_mixture

    if judged is not None:
        fitted = fit_mixture(judged, columns)
        if mixture is not None:
            fitted.save(mixture)
    elif mixture is not None:
        fitted = Mixture.load(mixture)
    else:
        raise click.UsageError(
            "give --fit JUDGED, or --mixture FILE with weights of an earlier --fit"
        )
    rows = apply_mixture(fitted, pairs_file, out)
    weights = ", ".join(f"{name} {weight:+.2f}" for name, weight in fitted.weights.items())
    click.echo(f"{rows:,} pairs -> {out}\n  {weights}, bias {fitted.bias:+.2f}")
