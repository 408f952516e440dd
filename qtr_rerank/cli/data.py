"""`qtr data ...` and `qtr sample`: public data sets, a check of catalogs, the sample catalog."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def data() -> None:
    """Public data sets and catalog files."""


@data.command("list")
def list_sets() -> None:
    """List the public data sets, their licences, and their folders on this machine."""
    from qtr_rerank.data.datasets import DATASETS, contains_dataset
    from qtr_rerank.environment import Settings

    data_dir = Settings.from_environment().data_dir
    for name, each in DATASETS.items():
        folder = data_dir / name if data_dir is not None else None
        where = (
            str(folder)
            if folder is not None and contains_dataset(folder, each)
            else "not downloaded"
        )
        ships = "weights may ship" if each.weights_may_ship else "experiments only"
        click.echo(f"{name:10} {each.title}")
        click.echo(f"{'':10} {each.licence} ({ships}); {where}")


@data.command()
@click.argument("name")
@click.option("--to", "folder", type=_FOLDER, help="Target folder; default: QTR_DATA_DIR/NAME.")
@click.option("--mirror", metavar="URL", help="Download the files from URL/FILE instead.")
def get(name: str, folder: Path | None, mirror: str | None) -> None:
    """Download the public data set NAME and check its SHA-256.

    A set that is already in QTR_DATA_DIR is not downloaded again. The checksum is the published
    one; where none is published, checksums.json keeps that of the first download, and later
    downloads must match it.
    """
    from qtr_rerank.data.datasets import contains_dataset, dataset, fetch_dataset, open_dataset
    from qtr_rerank.environment import Settings
    from qtr_rerank.errors import SettingsError

    chosen = dataset(name)
    if folder is None:
        data_dir = Settings.from_environment().data_dir
        if data_dir is None:
            raise SettingsError("no folder to download to; give --to DIR, or set QTR_DATA_DIR")
        folder = data_dir / name
    if contains_dataset(folder, chosen):
        click.echo(f"{folder} already contains {name}", err=True)
        found = open_dataset(name, folder)
    else:
        found = fetch_dataset(name, folder, mirror=mirror, progress=_progress)
    catalog = found.catalog()
    for _ in catalog:
        pass
    click.echo(catalog.report.summary())
    click.echo(f"{len(found.judgments()):,} judgments in {folder}")


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "format_", help="csv, tsv, jsonl, json or parquet; default: detected.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows that were set aside to this JSONL file.",
)
def check(path: Path, format_: str | None, rejects: Path | None) -> None:
    """Read the catalog PATH; print its size, its first product, and the rows set aside."""
    from qtr_rerank.data.catalog_reader import read_catalog

    reader = read_catalog(path, format=format_, rejects=rejects)
    for number, product in enumerate(reader):
        if number == 0:
            click.echo(json.dumps(product.to_dict(), ensure_ascii=False, indent=2))
    click.echo(reader.report.summary())
    for row in reader.bad_rows:
        click.echo(f"  {row}")
    unlisted = reader.report.bad - len(reader.bad_rows)
    if unlisted:
        click.echo(f"  and {unlisted:,} more; --rejects FILE writes them all")


@click.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--seed", default=7, show_default=True, help="Another seed gives another catalog.")
def sample(folder: Path, seed: int) -> None:
    """Write the sample catalog, its judgments and its queries to DIR."""
    from qtr_rerank.data.sample import write_sample

    written = write_sample(folder, seed=seed)
    for path in (written.catalog, written.judgments, written.queries):
        click.echo(path)


def _progress(name: str) -> Callable[[int, int | None], None]:
    """A callback that prints progress on stderr, a line for each tenth, for terminals and logs."""
    last = -1

    def show(count: int, size: int | None) -> None:
        nonlocal last
        step = count * 10 // size if size else count >> 24
        if step != last:
            last = step
            of = f" of {size / 1e6:,.1f} MB" if size else " MB"
            click.echo(f"{name}: {count / 1e6:,.1f}{of}", err=True)

    return show
