"""`qtr pairs`, `qtr teacher`, `qtr distill`, `qtr export`: from titles to an artifact, by hand."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from qtr_rerank.errors import MissingExtraError

IN_PATH = click.Path(exists=True, path_type=Path)
OUT_PATH = click.Path(path_type=Path)


@click.group()
def pairs() -> None:
    """Make training pairs: label-free from titles, or from judgments."""
    _need_training()


@pairs.command("synthesize")
@click.argument("titles", nargs=-1, required=True, type=IN_PATH)
@click.option("--column", default="title", show_default=True, help="Column that holds the titles.")
@click.option("--source", "sources", multiple=True, help="Keep only rows of this `source`.")
@click.option("--queries", "query_files", multiple=True, type=IN_PATH, help="Real queries.")
@click.option("--query-source", "query_sources", multiple=True, help="As --source, for queries.")
@click.option("--keep-out", multiple=True, type=IN_PATH, help="Judged pairs; avoid their queries.")
@click.option("--generated", default=60_000, show_default=True, help="Queries made from titles.")
@click.option("--seed", default=7, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def synthesize(
    titles: tuple[Path, ...],
    column: str,
    sources: tuple[str, ...],
    query_files: tuple[Path, ...],
    query_sources: tuple[str, ...],
    keep_out: tuple[Path, ...],
    generated: int,
    seed: int,
    out: Path,
) -> None:
    """Pairs without labels: queries, given or made from TITLES, with titles found for them."""
    from qtr_rerank.data.pair_tables import read_table, texts
    from qtr_rerank.data.texts import read_texts
    from qtr_rerank.teacher.pairs import PairSettings
    from qtr_rerank.teacher.prepare import write_transfer_set

    avoided = {q for path in keep_out for q in texts(read_table(path, ["query"]), "query")}
    given = (
        query
        for path in query_files
        for query in read_texts(path, "query", query_sources)
        if query not in avoided
    )
    count = write_transfer_set(
        (title for path in titles for title in read_texts(path, column, sources)),
        given,
        out,
        PairSettings(generated_queries=generated, seed=seed),
    )
    click.echo(f"{count:,} pairs -> {out}")


@pairs.command("judged")
@click.argument("dataset")
@click.argument("folder", type=IN_PATH)
@click.option("--split", type=click.Choice(["train", "dev"]), help="One side of the query split.")
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def judged(dataset: str, folder: Path, split: Any, out: Path) -> None:
    """Judged pairs of a public data set (icecat, ...) that lies in FOLDER."""
    from qtr_rerank.data.datasets import open_dataset
    from qtr_rerank.teacher.prepare import write_judged_pairs

    opened = open_dataset(dataset, folder)
    titles = {product.id: product.title for product in opened.catalog()}
    count = write_judged_pairs(opened.judgments(), titles, out, split)
    click.echo(f"{count:,} pairs -> {out}")


@pairs.command("sample")
@click.option("--queries", default=1500, show_default=True, help="Queries to make.")
@click.option("--per-query", default=16, show_default=True, help="Products of each, at most.")
@click.option("--seed", default=11, show_default=True, help="Of the shop; not `qtr sample`'s.")
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def sample(queries: int, per_query: int, seed: int, out: Path) -> None:
    """Judged pairs of a generated shop: synonyms, units, negation, accessories."""
    from qtr_rerank.teacher.prepare import write_sample_pairs

    click.echo(f"{write_sample_pairs(out, queries, per_query, seed):,} pairs -> {out}")


@pairs.command("label")
@click.argument("pairs_file", type=IN_PATH)
@click.option("--encoder", required=True, help="Bi-encoder: a Hugging Face id or a local folder.")
@click.option("-o", "--out", required=True, type=OUT_PATH)
def label(pairs_file: Path, encoder: str, out: Path) -> None:
    """Label pairs without judges: half a bi-encoder's cosine, half lexical coverage."""
    from qtr_rerank.teacher.score import add_cosine, mix_label

    add_cosine(encoder, pairs_file, out)
    mix_label(out, out)
    click.echo(f"labelled -> {out}")


@click.group()
def teacher() -> None:
    """Fine-tune a cross-encoder and label pairs with it."""
    _need_training()


@teacher.command("finetune")
@click.option("--encoder", required=True, help="A Hugging Face id or a local folder.")
@click.option("--weak", type=IN_PATH, help="Label-free pairs with the column `label`.")
@click.option("--gold", multiple=True, type=IN_PATH, help="Judged pairs.")
@click.option("--epochs", default=1, show_default=True)
@click.option("--weak-pairs", default=45_000, show_default=True)
@click.option("--gold-repeats", default=4, show_default=True)
@click.option("--learning-rate", default=5e-5, show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the teacher.")
def finetune(
    encoder: str,
    weak: Path | None,
    gold: tuple[Path, ...],
    epochs: int,
    weak_pairs: int,
    gold_repeats: int,
    learning_rate: float,
    seed: int,
    out: Path,
) -> None:
    """Train a cross-encoder on labelled pairs; goes on where it was interrupted."""
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
    click.echo(f"teacher -> {run(weak, gold, out, settings)}")


@teacher.command("score")
@click.argument("teacher_folder", type=IN_PATH)
@click.argument("pairs_file", type=IN_PATH)
@click.option("--shard-rows", default=20_000, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of Parquet shards.")
def score(teacher_folder: Path, pairs_file: Path, shard_rows: int, out: Path) -> None:
    """Add `teacher_logit` to pairs, shard by shard; goes on where it was interrupted."""
    from qtr_rerank.teacher.score import ScoreSettings, score_pairs

    rows = score_pairs(teacher_folder, pairs_file, out, ScoreSettings(shard_rows=shard_rows))
    click.echo(f"{rows:,} pairs -> {out}")


@click.command()
@click.argument("kind")
@click.option("--scores", required=True, multiple=True, type=IN_PATH, help="Teacher's scores.")
@click.option("--gold", multiple=True, type=IN_PATH, help="Teacher's scores of judged pairs.")
@click.option("--encoder", required=True, help="Vocabulary and first token vectors come from it.")
@click.option("--epochs", type=int, help="Default: the kind's own.")
@click.option("--seed", default=7, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the student.")
def distill(
    kind: str,
    scores: tuple[Path, ...],
    gold: tuple[Path, ...],
    encoder: str,
    epochs: int | None,
    seed: int,
    out: Path,
) -> None:
    """Train a student (bert2dnn, bert-bilstm, twin) on a teacher's scores."""
    _need_training()
    from qtr_rerank.students import train

    settings = train.default_settings(kind, seed=seed, epochs=epochs)
    report = train.distill(kind, list(scores), list(gold), encoder, out, settings)
    click.echo(f"{kind}: held-out loss {report.held_out_loss:.4f} -> {out}")


@click.command()
@click.argument("student", type=IN_PATH)
@click.option("--name", help="Name of the artifact; default: the student's kind.")
@click.option("--card", type=IN_PATH, help="Markdown for the model card.")
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the artifact.")
def export(student: Path, name: str | None, card: Path | None, out: Path) -> None:
    """Write a student as an artifact; refused if torch and ONNX disagree."""
    _need_training()
    from qtr_rerank.export.to_onnx import export_student

    artifact = export_student(student, out, name=name, card=card.read_text() if card else "")
    click.echo(f"{artifact.name} {artifact.fingerprint[:12]} -> {out}")


def _need_training() -> None:
    try:
        import pyarrow  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Training", "train") from error
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("qtr_rerank").setLevel(logging.INFO)
