"""`qtr data ...` and `qtr sample`: public data sets, catalogs looked over, the sample catalog."""

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
    """Name the public data sets, their licences, and where they lie on this machine."""
    from qtr_rerank.data.datasets import DATASETS, holds
    from qtr_rerank.settings import Settings

    data_dir = Settings.from_environment().data_dir
    for name, each in DATASETS.items():
        folder = data_dir / name if data_dir is not None else None
        where = str(folder) if folder is not None and holds(folder, each) else "not here"
        ships = "weights may ship" if each.weights_may_ship else "experiments only"
        click.echo(f"{name:10} {each.title}")
        click.echo(f"{'':10} {each.licence} ({ships}); {where}")


@data.command()
@click.argument("name")
@click.option("--to", "folder", type=_FOLDER, help="Folder; QTR_DATA_DIR/NAME where not given.")
@click.option("--mirror", metavar="URL", help="Fetch the files from URL/FILE instead.")
def get(name: str, folder: Path | None, mirror: str | None) -> None:
    """Fetch the public data set NAME, checked by its SHA-256.

    A set that QTR_DATA_DIR already holds is read there. The checksum is the published one; where
    none is published, that of the first download is kept in checksums.json and must match later.
    """
    from qtr_rerank.data.datasets import dataset, fetch_dataset, holds, open_dataset
    from qtr_rerank.errors import SettingsError
    from qtr_rerank.settings import Settings

    chosen = dataset(name)
    if folder is None:
        data_dir = Settings.from_environment().data_dir
        if data_dir is None:
            raise SettingsError("no folder to fetch to; give --to DIR, or set QTR_DATA_DIR")
        folder = data_dir / name
    if holds(folder, chosen):
        click.echo(f"{folder} already holds {name}", err=True)
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
@click.option("--format", "format_", help="csv, tsv, jsonl, json, parquet; else told by the file.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows that were set aside to this JSONL file.",
)
def check(path: Path, format_: str | None, rejects: Path | None) -> None:
    """Read the catalog PATH: its count, its first product, and the rows that cannot be used."""
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
@click.option("--seed", default=7, show_default=True, help="Another seed makes another catalog.")
def sample(folder: Path, seed: int) -> None:
    """Write the sample catalog, its judgments and its queries to DIR."""
    from qtr_rerank.data.sample import write_sample

    written = write_sample(folder, seed=seed)
    for path in (written.catalog, written.judgments, written.queries):
        click.echo(path)


def _progress(name: str) -> Callable[[int, int | None], None]:
    """Percent on stderr, a line at each tenth: legible in a terminal and in a log alike."""
    last = -1

    def show(count: int, size: int | None) -> None:
        nonlocal last
        step = count * 10 // size if size else count >> 24
        if step != last:
            last = step
            of = f" of {size / 1e6:,.1f} MB" if size else " MB"
            click.echo(f"{name}: {count / 1e6:,.1f}{of}", err=True)

    return show
