"""`qtr bench`: how long the students take on this machine, one thread unless told otherwise."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--model", "names", multiple=True, help="Default: all the shipped ones.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=1.0, show_default=True, help="Time spent on each figure.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def bench(names: tuple[str, ...], threads: int, seconds: float, as_json: bool) -> None:
    """Latency of each model: pairs from text, stored titles, one query, titles a second."""
    from qtr_rerank.artifact import shipped_names
    from qtr_rerank.evaluate.latency import measure_latency
    from qtr_rerank.settings import Settings

    chosen = names or tuple(shipped_names(Settings.from_environment().models_dir))
    rows = [measure_latency(name, threads=threads, seconds=seconds) for name in chosen]
    if as_json:
        click.echo(json.dumps([row.to_dict() for row in rows], indent=2))
        return
    click.echo(f"median milliseconds on {threads} thread(s) [95th percentile]\n")
    columns = list(rows[0].milliseconds) if rows else []
    click.echo(f"{'model':<13}" + "".join(f"{name:>24}" for name in columns) + f"{'titles/s':>11}")
    for row in rows:
        cells = "".join(
            f"{time.median:>14.3f} [{time.p95:>7.3f}]" for time in row.milliseconds.values()
        )
        click.echo(f"{row.model:<13}{cells}{row.titles_per_second:>11,.0f}")
