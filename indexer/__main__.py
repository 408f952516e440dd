"""Index: `python -m indexer CATALOG --index DIR`, the same command as `qtr index`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from qtr_rerank.errors import QtrError

DEFAULT_MODELS = "twin,match"
DEFAULT_ALIAS = "catalog"


@click.command(name="index", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("catalog", type=click.Path(path_type=Path))
@click.option(
    "--index",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The index folder to make, or to replace when the new one is whole.",
)
@click.option(
    "--engine",
    default="embedded",
    show_default=True,
    type=click.Choice(["embedded", "opensearch"]),
    help="Where the words are searched.",
)
@click.option(
    "--dense",
    default="faiss",
    show_default=True,
    type=click.Choice(["faiss", "opensearch"]),
    help="Where title vectors are searched: in this process, or in the cluster, for catalogs that "
    "outgrow one machine.",
)
@click.option(
    "--knn-engine",
    default="lucene",
    show_default=True,
    type=click.Choice(["lucene", "faiss"]),
    help="With --dense opensearch: its k-NN plugin's engine.",
)
@click.option(
    "--alias",
    metavar="NAME",
    help=f"Engine opensearch: the alias of the products.  [default: {DEFAULT_ALIAS}]",
)
@click.option(
    "--format",
    metavar="FORMAT",
    help="Of the catalog: csv, tsv, json, jsonl, parquet, "
    "esci, homedepot, icecat or wands. Told from its name and content where left out.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="Which column holds a field, such as title=name. Can be repeated.",
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write rows that cannot be used to this JSONL file, with the reason.",
)
@click.option(
    "--models",
    default=DEFAULT_MODELS,
    show_default=True,
    metavar="NAMES",
    help="The models (names or folders) that titles are encoded for. A folder of models, as "
    "`qtr train` leaves, is the default ones with its own in their place, and all else it holds.",
)
@click.option(
    "--retriever",
    default="twin",
    show_default=True,
    metavar="NAME",
    help="The one of them whose vectors fetch candidates.",
)
@click.option(
    "--batch",
    default=1024,
    show_default=True,
    type=click.IntRange(min=1),
    help="Products encoded between two checkpoints.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="Threads that encode.",
)
@click.option(
    "--vectors",
    "numbers",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    show_default=True,
    help="What title vectors are kept as: half or a quarter of the size, a little less exact.",
)
def index(
    catalog: Path,
    folder: Path,
    engine: str,
    dense: str,
    knn_engine: Any,
    alias: str | None,
    format: str | None,
    columns: tuple[str, ...],
    rejects: Path | None,
    models: str,
    retriever: str,
    batch: int,
    threads: int,
    numbers: Any,
) -> None:
    """Encode and index the products of CATALOG, a file (or folder) of products.

    An interrupted job, called again, goes on where it stood. An index that is there already is
    searched on until the new one is whole.
    """
    # Here, so that --help is quick.
    from indexer.job import IndexSettings, build_index
    from indexer.vectors import VectorSettings
    from qtr_rerank.data.catalog_formats import parse_columns
    from qtr_rerank.environment import Settings
    from qtr_rerank.runtime.scorer import Scorer

    settings = IndexSettings(
        catalog=catalog,
        index=folder,
        engine=engine,
        dense=dense,
        knn_engine=knn_engine,
        alias=alias or (DEFAULT_ALIAS if engine == "opensearch" else None),
        format=format,
        columns=parse_columns(columns),
        batch=batch,
        rejects=rejects,
        retriever=retriever,
        threads=threads,
        vectors=VectorSettings(numbers=numbers),
        opensearch=Settings.from_environment().opensearch,
    )
    named = [model for name in models.split(",") if name.strip() for model in _models(name.strip())]
    scorers = [Scorer.load(name, threads) for name in named]
    folders = {
        scorer.name: str(Path(name).resolve())
        for name, scorer in zip(named, scorers, strict=True)
        if name != scorer.name
    }
    report = build_index(replace(settings, model_folders=folders), scorers, _progress)
    if sys.stderr.isatty():
        click.echo(err=True)

    encoded = report.products - report.resumed
    click.echo(f"{report.products:,} products indexed in {report.index}, engine {engine}")
    if report.resumed:
        click.echo(f"  {report.resumed:,} of them were encoded by an earlier, interrupted run")
    if report.bad_rows:
        where = f"see {rejects}" if rejects else "--rejects FILE keeps them; the first"
        click.echo(f"  {report.bad_rows:,} rows set aside ({where})")
        for row in report.first_bad[: 0 if rejects else 3]:
            click.echo(f"    {row}")
    if report.refused:
        click.echo(f"  {len(report.refused):,} products refused by {engine}; the first")
        for reason in report.refused[:3]:
            click.echo(f"    {reason}")
    click.echo(
        f"  {report.seconds:.1f} s, {encoded / report.seconds:,.0f} titles/s, "
        f"{report.bytes / 2**20:,.1f} MiB on disk"
    )


def _models(name: str) -> list[str]:
    """One model, or those that a folder of models stands for."""
    from qtr_rerank.artifact import names_in  # here, so that --help is quick

    own = names_in(Path(name))
    names = dict.fromkeys([*DEFAULT_MODELS.split(","), *own]) if own else [name]
    return [str(Path(name) / each) if each in own else each for each in names]


def _progress(products: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{products:,} products", nl=False, err=True)


def main() -> None:
    """`python -m indexer`: every expected fault is one line on stderr and exit status 1."""
    try:
        index(prog_name="python -m indexer")
    except QtrError as error:
        click.echo(f"indexer: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
