"""`qtr train`: a user's own catalog becomes tuned models, in one command."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qtr_rerank.cli.progress import shown_progress
from qtr_rerank.cli.set_option import with_overrides
from qtr_rerank.cli.train import IN_PATH, OUT_PATH, READS_HELP, need_training
from qtr_rerank.template import DEFAULT_TEMPLATE

if TYPE_CHECKING:
    from qtr_rerank.recipe.run import RecipeReport
    from qtr_rerank.recipe.settings import RecipeSettings


@click.command()
@click.argument("catalog", type=IN_PATH)
@click.option("--judgments", type=IN_PATH, help="Table of query, docid, rating; learnt from, too.")
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the models.")
@click.option(
    "--size", default="medium", show_default=True, help="How long it learns: small, medium, large."
)
@click.option("--encoder", help="A Hugging Face id or a local folder.  [default: all-MiniLM-L6-v2]")
@click.option("--students", help="Kinds, apart by commas.  [default: all]")
@click.option("--epochs", type=int, help="Of every student.  [default: each its own]")
@click.option("--reads", default=DEFAULT_TEMPLATE, show_default=True, help=READS_HELP)
@click.option("--seed", default=7, show_default=True)
@click.option("--format", help="Of the catalog, as for `qtr index`.")
@click.option("--column", "columns", multiple=True, metavar="FIELD=COLUMN", help="As there, too.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any setting, as teacher.epochs=2 or bert2dnn.student.dim=64.",
)
def train(
    catalog: Path,
    judgments: Path | None,
    out: Path,
    size: str,
    encoder: str | None,
    students: str | None,
    epochs: int | None,
    reads: str,
    seed: int,
    format: str | None,
    columns: tuple[str, ...],
    assignments: tuple[str, ...],
) -> None:
    """Train models on CATALOG (any that `qtr index` reads), and keep those better than BM25.

    Called again, it goes on where it was interrupted. `qtr index CATALOG --models DIR` uses them.
    """
    need_training()
    from qtr_rerank.data.catalog_formats import open_catalog, parse_columns
    from qtr_rerank.data.judgments import read_judgments
    from qtr_rerank.recipe.run import train_catalog
    from qtr_rerank.recipe.settings import DEFAULT_ENCODER, recipe_settings
    from qtr_rerank.recipe.shop import read_shop
    from qtr_rerank.students import KINDS
    from qtr_rerank.template import ProductText

    settings = recipe_settings(
        size,
        encoder=encoder or DEFAULT_ENCODER,
        students=_names(students) if students else tuple(KINDS),
        reads=reads,
        epochs=epochs,
        seed=seed,
    )
    settings = _with_overrides(settings, assignments)
    products = open_catalog(catalog, format=format, columns=parse_columns(columns))
    judged = read_judgments(judgments) if judgments else []
    with shown_progress():
        shop = read_shop(catalog.name, products, judged, ProductText(settings.reads))
        if products.report.bad:
            click.echo(products.report.summary(), err=True)
        report = train_catalog(shop, out, settings)
    for line in _lines(report):
        click.echo(line)
    if not report.handed_over:
        click.echo(
            "qtr: no model is handed over; learn longer (--size large), or from judgments "
            "(--judgments), or keep the models of the package",
            err=True,
        )
        sys.exit(1)
    click.echo(f"\nnext: qtr index {catalog} --models {out} --index INDEX")


def _with_overrides(settings: RecipeSettings, assignments: Sequence[str]) -> RecipeSettings:
    """A student's settings are named by its kind, all others as they stand in RecipeSettings."""
    for assignment in assignments:
        kind, _, rest = assignment.partition(".")
        if kind in settings.students:
            changed = with_overrides(settings.students[kind], [rest])
            settings = replace(settings, students={**settings.students, kind: changed})
        else:
            settings = with_overrides(settings, [assignment])
    return settings


def _lines(report: RecipeReport) -> Iterator[str]:
    yield ""
    yield f"{report.held_out_queries} queries kept aside: {report.held_out}"
    yield f"graded by {report.graded_by}"
    if report.judgments_of_unknown_products:
        yield (
            f"{report.judgments_of_unknown_products:,} judgments are of products that the catalog "
            "does not hold, and were left out"
        )
    yield f"{'':<28}{'nDCG@10':>8}{'size':>10}{'seconds':>9}"
    for name, value in report.bm25.items():
        yield f"{name:<28}{value:>8.4f}"
    yield f"{'teacher':<28}{report.teacher:>8.4f}{'':>10}{report.seconds['teacher']:>9.0f}"
    for student in report.students:
        if student.ndcg is None:
            continue
        seconds = report.seconds[f"student {student.kind}"]
        note = "  refused" if student.refused else ""
        yield (
            f"{student.kind:<28}{student.ndcg:>8.4f}{student.bytes / 1e6:>7.1f} MB"
            f"{seconds:>9.0f}{note}"
        )
    for student in report.students:
        if student.refused:
            yield f"{student.kind} is not handed over: {student.refused}"
    yield f"{sum(report.seconds.values()):,.0f} s of work in all; by step in report.json"


def _names(option: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in option.split(",") if name.strip())
