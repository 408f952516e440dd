"""`qtr distill`: train one student on a teacher's scores."""

from __future__ import annotations

from pathlib import Path

import click

from qtr_rerank.cli.set_option import with_overrides
from qtr_rerank.cli.training_options import IN_PATH, OUT_PATH, need_training


@click.command()
@click.argument("kind")
@click.option("--scores", multiple=True, type=IN_PATH, help="Teacher's scores of transfer pairs.")
@click.option("--gold", multiple=True, type=IN_PATH, help="Teacher's scores of judged pairs.")
@click.option("--encoder", required=True, help="Gives vocabulary and initial token vectors.")
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
