"""`qtr pairs`: training pairs from titles, queries and judgments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from qtr_rerank.cli.training_options import IN_PATH, OUT_PATH, READS_HELP, need_training
from qtr_rerank.template import DEFAULT_TEMPLATE


@click.group()
def pairs() -> None:
    """Make training pairs, without labels from titles or with labels from judgments."""
    need_training()


@pairs.command("synthesize")
@click.argument("titles", nargs=-1, required=True, type=IN_PATH)
@click.option("--column", default="title", show_default=True, help="Column of the titles.")
@click.option("--source", "sources", multiple=True, help="Keep only rows with this `source`.")
@click.option("--queries", "query_files", multiple=True, type=IN_PATH, help="Real queries.")
@click.option("--query-source", "query_sources", multiple=True, help="As --source, for --queries.")
@click.option(
    "--keep-out", multiple=True, type=IN_PATH, help="Judged pairs; leave out their queries."
)
@click.option(
    "--generated", default=60_000, show_default=True, help="Queries generated from titles."
)
@click.option("--dense-encoder", help="A bi-encoder: add dense candidates.")
@click.option("--size", type=int, help="Maximum number of pairs.")
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
    """Pairs without labels: queries, given or generated from TITLES, with retrieved titles."""
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
@click.option("--encoder", required=True, help="Gives the words and their similarity.")
@click.option("--column", default="title", show_default=True, help="Column of the titles.")
@click.option("--source", "sources", multiple=True, help="Keep only rows with this `source`.")
@click.option("--queries", "query_files", multiple=True, type=IN_PATH, help="Real queries.")
@click.option("--query-source", "query_sources", multiple=True, help="As --source, for --queries.")
@click.option(
    "--keep-out", multiple=True, type=IN_PATH, help="Judged pairs; leave out their queries."
)
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
    """Pairs without labels from words that TITLES lack, for shops of other kinds."""
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
    """Judged pairs of a public data set (icecat, ...) in FOLDER."""
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
@click.option("--per-pair", default=1, show_default=True, help="Variants of each pair.")
@click.option("--seed", default=7, show_default=True)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Parquet file to write.")
def augment(pairs_file: Path, per_pair: int, seed: int, out: Path) -> None:
    """Variants of pairs: words masked or swapped, n-grams, titles of other queries."""
    from qtr_rerank.teacher.augmented_pairs import AugmentSettings
    from qtr_rerank.teacher.write_pairs import write_augmented_pairs

    rows = write_augmented_pairs(pairs_file, out, AugmentSettings(per_pair=per_pair, seed=seed))
    click.echo(f"{rows:,} pairs -> {out}")


@pairs.command("sample")
@click.option("--queries", default=1500, show_default=True, help="Queries to generate.")
@click.option("--per-query", default=16, show_default=True, help="Maximum products per query.")
@click.option(
    "--seed", default=11, show_default=True, help="Seed of the shop; differs from `qtr sample`'s."
)
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
    from qtr_rerank.recipe.common_steps import label_without_judges

    label_without_judges(encoder, pairs_file, out)
    click.echo(f"labelled -> {out}")


def _given_queries(
    files: Iterable[Path], sources: tuple[str, ...], keep_out: Iterable[Path]
) -> Iterator[str]:
    """Queries of files, without those of judged pairs that are kept for measuring."""
    from qtr_rerank.data.text_lists import read_texts
    from qtr_rerank.recipe.common_steps import queries_without

    queries = (query for path in files for query in read_texts(path, "query", sources))
    return queries_without(keep_out, queries)
