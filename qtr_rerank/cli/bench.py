"""`qtr bench`: latency of the models on this machine, on one thread by default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from qtr_rerank.evaluate.latency import Latency

# The cross-encoders that the papers compare with.
BASES = ("BERT-Base", "TinyBERT-4L-312")


@click.command()
@click.option("--model", "names", multiple=True, help="Default: all shipped models.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=1.0, show_default=True, help="Measuring time for each figure.")
@click.option("--rivals", is_flag=True, help="Also time BERT-Base, MiniLM-L6 and TinyBERT.")
@click.option("--rival", "only", multiple=True, help="With --rivals: only this cross-encoder.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Folder for the rivals' graphs (600 MB); default: the user's cache folder.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    names: tuple[str, ...],
    threads: int,
    seconds: float,
    rivals: bool,
    only: tuple[str, ...],
    work: Path | None,
    as_json: bool,
) -> None:
    """Latency of each model: pairs from text, stored titles, one query, titles a second.

    With --rivals, also of cross-encoders with random weights in ONNX Runtime, and the models'
    speedups against them. Their graphs are made once, with the extra 'train'.
    """
    from qtr_rerank.artifact import shipped_names
    from qtr_rerank.environment import Settings, cache_folder
    from qtr_rerank.evaluate.latency import measure_latency

    chosen = names or tuple(shipped_names(Settings.from_environment().models_dir))
    # Before any measurement, so that a missing extra is reported at once.
    graphs = _rival_graphs(only, work or cache_folder() / "cross-encoders") if rivals else {}
    rows = [measure_latency(name, threads=threads, seconds=seconds) for name in chosen]
    others = [_measure_rival(*each, threads, seconds) for each in graphs.items()]
    if as_json:
        report: object = [row.to_dict() for row in rows]
        if rivals:
            report = [_beside_bases(row, others) for row in (*rows, *others)]
        click.echo(json.dumps(report, indent=2))
        return
    click.echo(f"median milliseconds on {threads} thread(s) [95th percentile]\n")
    _print_times([*rows, *others])
    if rivals:
        _print_ratios(rows, others)


def _rival_graphs(only: tuple[str, ...], folder: Path) -> dict[str, Path]:
    """Graphs by name: each cross-encoder in fp32, then all but BERT-Base in int8."""
    from qtr_rerank.errors import MissingExtraError

    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Making the rivals' graphs", "train") from error
    from qtr_rerank.export.cross_encoders import BERT_SIZES, random_cross_encoder

    chosen = only or tuple(BERT_SIZES)
    graphs = {name: random_cross_encoder(name, "fp32", folder) for name in chosen}
    small = [name for name in chosen if name != "BERT-Base"]
    return graphs | {f"{name} int8": random_cross_encoder(name, "int8", folder) for name in small}


def _measure_rival(name: str, graph: Path, threads: int, seconds: float) -> Latency:
    from qtr_rerank.artifact import SHIPPED
    from qtr_rerank.evaluate.latency import measure_cross_encoder
    from qtr_rerank.features.wordpiece import FILE, WordPiece
    from qtr_rerank.runtime.cross_encoder import CrossEncoder

    # Some students use BERT's English vocabulary, so the package contains it.
    vocabulary = WordPiece.from_file(sorted(SHIPPED.glob(f"*/{FILE}"))[0])
    encoder = CrossEncoder(graph, vocabulary, threads=threads)
    return measure_cross_encoder(name, encoder.score_texts, threads=threads, seconds=seconds)


def _beside_bases(row: Latency, others: list[Latency]) -> dict[str, object]:
    from qtr_rerank.evaluate.latency import speedups

    return {
        **row.to_dict(),
        "rival": row in others,
        "milliseconds_per_pair": row.per_pair,
        "times_cheaper_than": {
            base.model: speedups(row, base) for base in others if base.model in BASES
        },
    }


def _print_times(rows: list[Latency]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row.milliseconds))
    width = max([13, *(len(row.model) + 2 for row in rows)])
    click.echo(
        f"{'model':<{width}}" + "".join(f"{name:>24}" for name in columns) + f"{'titles/s':>11}"
    )
    for row in rows:
        times = [row.milliseconds.get(name) for name in columns]
        cells = "".join(
            f"{time.median:>14.3f} [{time.p95:>7.3f}]" if time else f"{'-':>24}" for time in times
        )
        titles = f"{row.titles_per_second:>11,.0f}" if row.titles_per_second else f"{'-':>11}"
        click.echo(f"{row.model:<{width}}{cells}{titles}")


def _print_ratios(rows: list[Latency], others: list[Latency]) -> None:
    from qtr_rerank.evaluate.latency import PAIRS, speedups

    bases = [row for row in others if row.model in BASES]
    groups = ["milliseconds per pair", *(f"speedup over {base.model}" for base in bases)]
    shown = [name for name in PAIRS if any(name in row.per_pair for row in rows)]
    width = max(len(row.model) + 2 for row in (*rows, *others))
    click.echo("\n" + " " * width + "".join(f"{each:>{14 * len(shown)}}" for each in groups))
    heads = [" ".join(name.split()[:2]) for name in shown] * len(groups)  # "1 pair", "100 pairs"
    click.echo(f"{'model':<{width}}" + "".join(f"{head:>14}" for head in heads))
    for row in (*rows, *others):
        ratios = [speedups(row, base) for base in bases]
        cells = [_cell(row.per_pair.get(name), 4) for name in shown]
        cells += [_cell(ratio.get(name), 1) for ratio in ratios for name in shown]
        click.echo(f"{row.model:<{width}}" + "".join(cells))


def _cell(value: float | None, digits: int) -> str:
    return f"{'-':>14}" if value is None else f"{value:>14,.{digits}f}"
