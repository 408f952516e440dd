"""`qtr models`: the available models, their sizes and checksums."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(name: str | None, as_json: bool) -> None:
    """List the models and verify the checksums of their files; with NAME, print its card."""
    from qtr_rerank.artifact import CARD, Artifact, shipped_names
    from qtr_rerank.environment import Settings

    if name is not None:
        click.echo((Artifact.load(name).path / CARD).read_text(encoding="utf-8"), nl=False)
        return
    names = shipped_names(Settings.from_environment().models_dir)
    found = [Artifact.load(each) for each in names]
    if as_json:
        rows = [
            {
                "name": artifact.name,
                "kind": artifact.config.kind,
                "bytes": artifact.size,
                "fingerprint": artifact.fingerprint,
                "path": str(artifact.path),
            }
            for artifact in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(f"{'name':<14}{'kind':<14}{'size':>9}  fingerprint   checksums")
    for artifact in found:
        click.echo(
            f"{artifact.name:<14}{artifact.config.kind:<14}{artifact.size / 1e6:>6.1f} MB  "
            f"{artifact.fingerprint[:12]}  verified"
        )
    click.echo(f"{'together':<28}{sum(artifact.size for artifact in found) / 1e6:>6.1f} MB")
