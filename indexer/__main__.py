"""Index: `python -m indexer CATALOG --index DIR`, the same command as `qtr index`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtr_rerank.errors import QtrError

if TYPE_CHECKING:
    from indexer.job import IndexReport

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
    help="The index folder to make, or to replace when the new one is complete.",
)
@click.option(
    "--engine",
    default="embedded",
    show_default=True,
    type=click.Choice(["embedded", "opensearch"]),
    help="Engine for lexical search.",
)
@click.option(
    "--dense",
    default="faiss",
    show_default=True,
    type=click.Choice(["faiss", "opensearch"]),
    help="Engine for title vectors: faiss in this process, or OpenSearch for catalogs that outgrow "
    "one machine.",
)
@click.option(
    "--knn-engine",
    default="lucene",
    show_default=True,
    type=click.Choice(["lucene", "faiss"]),
    help="Engine of OpenSearch's k-NN plugin, with --dense opensearch.",
)
@click.option(
    "--alias",
    metavar="NAME",
    help=f"Alias of the products, with --engine opensearch.  [default: {DEFAULT_ALIAS}]",
)
@click.option(
    "--format",
    metavar="FORMAT",
    help="The catalog's format: csv, tsv, json, jsonl, parquet, esci, homedepot, icecat or wands; "
    "without it, detected from name and content.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="The column of a field, such as title=name. Repeatable.",
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write invalid rows to this JSONL file, with the reason.",
)
@click.option(
    "--models",
    default=DEFAULT_MODELS,
    show_default=True,
    metavar="NAMES",
    help="Models (names or folders) to encode titles for. A folder that holds several, such as "
    "that of `qtr train`, adds its models to the defaults and replaces those of the same name.",
)
@click.option(
    "--retriever",
    default="twin",
    show_default=True,
    metavar="NAME",
    help="The model of --models whose vectors retrieve candidates.",
)
@click.option(
    "--batch",
    default=1024,
    show_default=True,
    type=click.IntRange(min=1),
    help="Products to encode between two checkpoints.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="Threads for encoding.",
)
@click.option(
    "--vectors",
    "numbers",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    show_default=True,
    help="Number format of title vectors: float16 takes half the size, int8 a quarter, a little "
    "less exact.",
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

    An interrupted job resumes when it is run again. An existing index stays in use until the new
    one is complete.
    """
    # Imported here to keep --help fast.
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
    listed = [name.strip() for name in models.split(",") if name.strip()]
    names = [model for name in listed for model in _models(name)]
    scorers = [Scorer.load(name, threads) for name in names]
    folders = {
        scorer.name: str(Path(name).resolve())
        for name, scorer in zip(names, scorers, strict=True)
        if name != scorer.name
    }
    report = build_index(replace(settings, model_folders=folders), scorers, _progress)
    if sys.stderr.isatty():
        click.echo(err=True)
    _print_report(report, engine, rejects)


def _print_report(report: IndexReport, engine: str, rejects: Path | None) -> None:
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
    """The model `name`, or the models of a folder that holds several."""
    from qtr_rerank.artifact import names_in  # Imported here to keep --help fast.

    own = names_in(Path(name))
    names = dict.fromkeys([*DEFAULT_MODELS.split(","), *own]) if own else [name]
    return [str(Path(name) / each) if each in own else each for each in names]


def _progress(products: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{products:,} products", nl=False, err=True)


def main() -> None:
    """`python -m indexer`: every expected error is one line on stderr and exit status 1."""
    try:
        index(prog_name="python -m indexer")
    except QtrError as error:
        click.echo(f"indexer: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
