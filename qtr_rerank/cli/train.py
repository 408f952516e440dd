"""`qtr pairs`, `qtr distill`, `qtr export`: from titles to an artifact, by hand."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from qtr_rerank.cli.set_option import with_overrides
from qtr_rerank.errors import MissingExtraError
from qtr_rerank.template import DEFAULT_TEMPLATE

IN_PATH = click.Path(exists=True, path_type=Path)
OUT_PATH = click.Path(path_type=Path)
READS_HELP = "What models read of a product, as '{brand} {title} {category}'."


@click.group()
def pairs() -> None:
    """Make training pairs: label-free from titles, or from judgments."""
    need_training()


@pairs.command("synthesize")
@click.argument("titles", nargs=-1, required=True, type=IN_PATH)
@click.option("--column", default="title", show_default=True, help="Column that holds the titles.")
@click.option("--source", "sources", multiple=True, help="Keep only rows of this `source`.")
@click.option("--queries", "query_files", multiple=True, type=IN_PATH, help="Real queries.")
@click.option("--query-source", "query_sources", multiple=True, help="As --source, for queries.")
@click.option("--keep-out", multiple=True, type=IN_PATH, help="Judged pairs; avoid their queries.")
@click.option("--generated", default=60_000, show_default=True, help="Queries made from titles.")
@click.option("--dense-encoder", help="A bi-encoder: find some titles by meaning, too.")
@click.option("--size", type=int, help="Pairs to write, at most.")
@click.option("--reads", help=f"{READS_HELP} TITLES are then catalogs.")
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
    dense_encoder: str | None,
    size: int | None,
    reads: str | None,
    seed: int,
    out: Path,
) -> None:
    """Pairs without labels: queries, given or made from TITLES, with titles found for them."""
    from qtr_rerank.data.catalog_formats import open_catalog, product_texts
    from qtr_rerank.data.text_lists import read_texts
    from qtr_rerank.teacher.transfer_pairs import TransferPairSettings
    from qtr_rerank.teacher.write_pairs import write_transfer_set
    from qtr_rerank.template import ProductText

    def read(path: Path) -> Iterable[str]:
        if reads is None:
            return read_texts(path, column, sources)
        catalog = open_catalog(path, columns={} if column == "title" else {"title": column})
        return product_texts(catalog, ProductText(reads), sources).values()

    count = write_transfer_set(
        (title for path in titles for title in read(path)),
        _given_queries(query_files, query_sources, keep_out),
        out,
        TransferPairSettings(generated_queries=generated, size=size, seed=seed),
        dense_encoder,
        ProductText(reads).template if reads else DEFAULT_TEMPLATE,
    )
    click.echo(f"{count:,} pairs -> {out}")


@pairs.command("words")
@click.argument("titles", nargs=-1, type=IN_PATH)
@click.option("--encoder", required=True, help="Its vocabulary and its sense of words are used.")
@click.option("--column", default="title", show_default=True, help="Column that holds the titles.")
@click.option("--source", "sources", multiple=True, help="Keep only rows of this `source`.")
@click.option("--queries", "query_files", multiple=True, type=IN_PATH, help="Real queries.")
@click.option("--query-source", "query_sources", multiple=True, help="As --source, for queries.")
@click.option("--keep-out", multiple=True, type=IN_PATH, help="Judged pairs; avoid their queries.")
@click.option("--size", default=150_000, show_default=True, help="Pairs to write.")
@click.option("--seed", default=7, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def word_pairs(
    titles: tuple[Path, ...],
    encoder: str,
    column: str,
    sources: tuple[str, ...],
    query_files: tuple[Path, ...],
    query_sources: tuple[str, ...],
    keep_out: tuple[Path, ...],
    size: int,
    seed: int,
    out: Path,
) -> None:
    """Pairs without labels of words that TITLES lack, for shops of other kinds."""
    from qtr_rerank.data.text_lists import read_texts
    from qtr_rerank.teacher.vocabulary_pairs import VocabularyPairSettings
    from qtr_rerank.teacher.write_pairs import write_vocabulary_pairs

    count = write_vocabulary_pairs(
        encoder,
        (title for path in titles for title in read_texts(path, column, sources)),
        _given_queries(query_files, query_sources, keep_out),
        out,
        VocabularyPairSettings(pairs=size, seed=seed),
    )
    click.echo(f"{count:,} pairs -> {out}")


@pairs.command("judged")
@click.argument("dataset")
@click.argument("folder", type=IN_PATH)
@click.option("--split", type=click.Choice(["train", "dev"]), help="One side of the query split.")
@click.option("--reads", default=DEFAULT_TEMPLATE, show_default=True, help=READS_HELP)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def judged(dataset: str, folder: Path, split: Any, reads: str, out: Path) -> None:
    """Judged pairs of a public data set (icecat, ...) that lies in FOLDER."""
    from qtr_rerank.data.catalog_formats import product_texts
    from qtr_rerank.data.datasets import open_dataset
    from qtr_rerank.teacher.write_pairs import write_judged_pairs
    from qtr_rerank.template import ProductText

    opened = open_dataset(dataset, folder)
    titles = product_texts(opened.catalog(), ProductText(reads))
    count = write_judged_pairs(opened.judgments(), titles, out, split, reads)
    click.echo(f"{count:,} pairs -> {out}")


@pairs.command("augment")
@click.argument("pairs_file", type=IN_PATH)
@click.option("--per-pair", default=1, show_default=True, help="Variations of each pair.")
@click.option("--seed", default=7, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def augment(pairs_file: Path, per_pair: int, seed: int, out: Path) -> None:
    """Variations of pairs: words masked, swapped, n-grams, titles of other queries."""
    from qtr_rerank.teacher.augmented_pairs import AugmentSettings
    from qtr_rerank.teacher.write_pairs import write_augmented_pairs

    rows = write_augmented_pairs(pairs_file, out, AugmentSettings(per_pair=per_pair, seed=seed))
    click.echo(f"{rows:,} pairs -> {out}")


@pairs.command("sample")
@click.option("--queries", default=1500, show_default=True, help="Queries to make.")
@click.option("--per-query", default=16, show_default=True, help="Products of each, at most.")
@click.option("--seed", default=11, show_default=True, help="Of the shop; not `qtr sample`'s.")
@click.option("--reads", default=DEFAULT_TEMPLATE, show_default=True, help=READS_HELP)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def sample(queries: int, per_query: int, seed: int, reads: str, out: Path) -> None:
    """Judged pairs of a generated shop: synonyms, units, negation, accessories."""
    from qtr_rerank.teacher.write_pairs import write_sample_pairs
    from qtr_rerank.template import ProductText

    count = write_sample_pairs(out, queries, per_query, seed, ProductText(reads))
    click.echo(f"{count:,} pairs -> {out}")


@pairs.command("label")
@click.argument("pairs_file", type=IN_PATH)
@click.option("--encoder", required=True, help="Bi-encoder: a Hugging Face id or a local folder.")
@click.option("-o", "--out", required=True, type=OUT_PATH)
def label(pairs_file: Path, encoder: str, out: Path) -> None:
    """Label pairs without judges: half a bi-encoder's cosine, half lexical coverage."""
    from qtr_rerank.teacher.weak_labels import add_cosine, add_weak_label

    add_cosine(encoder, pairs_file, out)
    add_weak_label(out, out)
    click.echo(f"labelled -> {out}")


@click.command()
@click.argument("kind")
@click.option("--scores", multiple=True, type=IN_PATH, help="Teacher's scores of transfer pairs.")
@click.option("--gold", multiple=True, type=IN_PATH, help="Teacher's scores of judged pairs.")
@click.option("--encoder", required=True, help="Vocabulary and first token vectors come from it.")
@click.option("--config", default="default", show_default=True, help="Named settings of the kind.")
@click.option("--epochs", type=int, help="Default: the configuration's own.")
@click.option("--seed", default=7, show_default=True)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any setting, as student.dim=64.",
)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the student.")
def distill(
    kind: str,
    scores: tuple[Path, ...],
    gold: tuple[Path, ...],
    encoder: str,
    config: str,
    epochs: int | None,
    seed: int,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """Train a student (bert2dnn, bert-bilstm, match, twin) on a teacher's scores."""
    need_training()
    from qtr_rerank.students.configurations import configuration
    from qtr_rerank.students.distill import distill as run

    settings = configuration(kind, config, seed=seed, epochs=epochs)
    settings = with_overrides(settings, assignments)
    report = run(kind, list(scores), list(gold), encoder, out, settings)
    click.echo(f"{kind}: held-out loss {report.held_out_loss:.4f} -> {out}")


@click.command()
@click.argument("student", type=IN_PATH)
@click.option("--name", help="Name of the artifact; default: the student's kind.")
@click.option("--card", type=IN_PATH, help="Markdown for the model card.")
@click.option(
    "--tables",
    type=click.Choice(["int8", "float"]),
    default="int8",
    show_default=True,
    help="What the token tables are kept as.",
)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the artifact.")
def export(student: Path, name: str | None, card: Path | None, tables: Any, out: Path) -> None:
    """Write a student as an artifact; refused if torch and ONNX disagree."""
    need_training()
    from qtr_rerank.export.to_onnx import export_student

    text = card.read_text() if card else ""
    artifact = export_student(student, out, name=name, card=text, tables=tables)
    click.echo(f"{artifact.name} {artifact.fingerprint[:12]} -> {out}")


def _given_queries(
    files: Iterable[Path], sources: tuple[str, ...], keep_out: Iterable[Path]
) -> Iterable[str]:
    """Queries of files, without those of judged pairs that are to be measured on."""
    from qtr_rerank.data.text_lists import read_texts
    from qtr_rerank.data.training_pairs import read_table, texts

    avoided = {q for path in keep_out for q in texts(read_table(path, ["query"]), "query")}
    for path in files:
        yield from (q for q in read_texts(path, "query", sources) if q not in avoided)


def need_training() -> None:
    """Raises MissingExtraError without the train extra; shows the progress of training."""
    try:
        import pyarrow  # noqa: F401
        import torch  # noqa: F401
        import transformers
    except ImportError as error:
        raise MissingExtraError("Training", "train") from error
    # Theirs tell of heads that are new, as they must be, and of libraries that nobody needs.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("qtr_rerank").setLevel(logging.INFO)
