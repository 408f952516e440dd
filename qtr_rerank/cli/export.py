"""`qtr export`: write a trained student as an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qtr_rerank.cli.training_options import IN_PATH, OUT_PATH, need_training


@click.command()
@click.argument("student", type=IN_PATH)
@click.option("--name", help="Name of the artifact; default: the student's kind.")
@click.option("--card", type=IN_PATH, help="Markdown for the model card.")
@click.option(
    "--tables",
    type=click.Choice(["int8", "float"]),
    default="int8",
    show_default=True,
    help="Format of the token tables.",
)
@click.option("-o", "--out", required=True, type=OUT_PATH, help="Folder of the artifact.")
def export(student: Path, name: str | None, card: Path | None, tables: Any, out: Path) -> None:
    """Write a student as an artifact; fails if torch and ONNX disagree."""
    need_training()
    from qtr_rerank.export.to_onnx import export_student

    text = card.read_text() if card else ""
    artifact = export_student(student, out, name=name, card=text, tables=tables)
    click.echo(f"{artifact.name} {artifact.fingerprint[:12]} -> {out}")
