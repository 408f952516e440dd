"""`qtr train`: models for a shop's own catalog, or with a preset the models of the package."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from qtr_rerank.cli.progress import shown_progress
from qtr_rerank.cli.set_option import with_overrides
from qtr_rerank.cli.training_options import IN_PATH, OUT_PATH, READS_HELP, need_training
from qtr_rerank.template import DEFAULT_TEMPLATE

if TYPE_CHECKING:
    from qtr_rerank.recipe.catalog_recipe import TrainReport
    from qtr_rerank.recipe.general_settings import GeneralSettings
    from qtr_rerank.recipe.train_settings import TrainSettings

    Settings = TypeVar("Settings", TrainSettings, GeneralSettings)

# The preset has its own data, seeds and sizes: these options would have no effect.
_NOT_WITH_PRESET = ("judgments", "size", "reads", "seed", "format", "columns")


@click.command()
@click.argument("catalog", required=False, type=IN_PATH)
@click.option("--judgments", type=IN_PATH, help="Table of query, docid, rating to learn from, too.")
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the models.")
@click.option(
    "--size", default="medium", show_default=True, help="How much to train: small, medium, large."
)
@click.option("--encoder", help="A Hugging Face id or a local folder.  [default: all-MiniLM-L6-v2]")
@click.option("--students", help="Kinds, separated by commas.  [default: all]")
@click.option("--epochs", type=int, help="Epochs of every student.  [default: each kind's own]")
@click.option("--reads", default=DEFAULT_TEMPLATE, show_default=True, help=READS_HELP)
@click.option("--seed", default=7, show_default=True)
@click.option("--format", help="As for `qtr index`.")
@click.option(
    "--column", "columns", multiple=True, metavar="FIELD=COLUMN", help="As for `qtr index`."
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any setting, as teacher.epochs=2 or bert2dnn.student.dim=64.",
)
@click.option(
    "--preset",
    type=click.Choice(["general"]),
    help="Train the models of the package, without a CATALOG.",
)
@click.option(
    "--data",
    envvar="QTR_DATA_DIR",
    type=OUT_PATH,
    help="Folder of the preset's data: icecat/ and unlabelled/; or set QTR_DATA_DIR.",
)
@click.pass_context
def train(
    context: click.Context,
    catalog: Path | None,
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
    preset: str | None,
    data: Path | None,
) -> None:
    """Train models on CATALOG (any that `qtr index` reads), and keep those better than BM25.

    Called again, it continues an interrupted run. `qtr index CATALOG --models DIR` uses the models.
    """
    if preset is not None:
        _check_preset(context)
    elif catalog is None:
        raise click.UsageError("CATALOG is missing; give a catalog, or --preset general")
    elif context.get_parameter_source("data") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--data is the data of --preset general; leave it out")
    need_training()
    from qtr_rerank.recipe.train_settings import DEFAULT_ENCODER, settings_for_size
    from qtr_rerank.students import KINDS

    encoder = encoder or DEFAULT_ENCODER
    kinds = _names(students) if students else tuple(KINDS)
    if catalog is None:
        _train_preset(data, out, encoder, kinds, epochs, assignments)
        return
    settings = settings_for_size(
        size, encoder=encoder, students=kinds, reads=reads, epochs=epochs, seed=seed
    )
    settings = _with_overrides(settings, assignments)
    report = _train_catalog(catalog, judgments, out, settings, format, columns)
    for line in _lines(report):
        click.echo(line)
    if not report.handed_over:
        click.echo(
            "qtr: no model is handed over; train longer (--size large), or on judgments "
            "(--judgments), or keep the models of the package",
            err=True,
        )
        sys.exit(1)
    click.echo(f"\nnext: qtr index {catalog} --models {out} --index INDEX")


def _check_preset(context: click.Context) -> None:
    """Raises UsageError for an argument or options that the preset does not take."""
    if context.params["catalog"] is not None:
        raise click.UsageError(
            "--preset general trains on public data, not on a CATALOG; leave out one of them"
        )
    options = {parameter.name: parameter.opts[-1] for parameter in context.command.params}
    refused = [
        options[name]
        for name in _NOT_WITH_PRESET
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if refused:
        raise click.UsageError(
            f"--preset general has its own data and settings; leave out {', '.join(refused)} "
            "(--set changes a setting)"
        )


def _train_preset(
    data: Path | None,
    out: Path,
    encoder: str,
    kinds: Sequence[str],
    epochs: int | None,
    assignments: Sequence[str],
) -> None:
    if data is None:
        raise click.UsageError(
            "--preset general needs its data: give --data DIR, or set QTR_DATA_DIR, to a folder "
            "that holds icecat/ and unlabelled/"
        )
    from qtr_rerank.recipe.general_preset import GeneralSources, train_general
    from qtr_rerank.recipe.general_settings import general_settings

    settings = _with_overrides(
        general_settings(encoder, students=kinds, epochs=epochs), assignments
    )
    with shown_progress():
        artifacts = train_general(GeneralSources.find(data), out, settings)
    for kind, artifact in artifacts.items():
        click.echo(
            f"{kind:<12}{artifact.size / 1e6:>6.1f} MB  {artifact.fingerprint[:12]} -> {out / kind}"
        )


def _train_catalog(
    catalog: Path,
    judgments: Path | None,
    out: Path,
    settings: TrainSettings,
    format: str | None,
    columns: Sequence[str],
) -> TrainReport:
    from qtr_rerank.data.catalog_formats import open_catalog, parse_columns
    from qtr_rerank.data.judgments import read_judgments
    from qtr_rerank.recipe.catalog_recipe import train_catalog
    from qtr_rerank.recipe.shop import read_shop
    from qtr_rerank.template import ProductText

    products = open_catalog(catalog, format=format, columns=parse_columns(columns))
    judged = read_judgments(judgments) if judgments else []
    with shown_progress():
        shop = read_shop(catalog.name, products, judged, ProductText(settings.reads))
        if products.report.bad:
            click.echo(products.report.summary(), err=True)
        return train_catalog(shop, out, settings)


def _with_overrides(settings: Settings, assignments: Sequence[str]) -> Settings:
    """`--set`: a student's setting begins with its kind, any other with a field of `settings`."""
    for assignment in assignments:
        kind, _, rest = assignment.partition(".")
        if kind in settings.students:
            changed = with_overrides(settings.students[kind], [rest])
            settings = replace(settings, students={**settings.students, kind: changed})
        else:
            settings = with_overrides(settings, [assignment])
    return settings


def _lines(report: TrainReport) -> Iterator[str]:
    yield ""
    yield f"{report.held_out_queries} held-out queries: {report.held_out}"
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
    yield f"{sum(report.seconds.values()):,.0f} s in all; report.json has the seconds of each step"


def _names(option: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in option.split(",") if name.strip())
