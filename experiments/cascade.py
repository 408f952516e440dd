"""Cascades compared: which students to use, and how much retrieval's order should count.

    python -m experiments.cascade SHOP/index SHOP/judgments.csv [INDEX QRELS ...]

Each pair of arguments is an index and judgments of its catalog (experiments/figures.sh passes the
sample shop and Icecat's development queries). The shipped cascade was chosen from this table.
Writes results/cascade.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from experiments.whole_catalog import DEPTH, Figures, Search, measured, search_run
from qtr_rerank.errors import QtrError
from qtr_rerank.rerank.cascade import DEFAULT_CASCADE, StageSettings
from qtr_rerank.search import SearchEngine

PRIORS = (0.0, 1.0, 2.0, 3.0)
Cascade = tuple[StageSettings, ...]


def cascades() -> dict[str, Cascade]:
    """The cascades to compare: `match` with each prior, and two with two stages."""
    prior = DEFAULT_CASCADE[0].prior
    by_name: dict[str, Cascade] = {
        f"match ({value:g})": (StageSettings("match", prior=value),) for value in PRIORS
    }
    for first, second in (("bert2dnn", "match"), ("match", "bert-bilstm")):
        by_name[f"{first}, then {second} on 100 ({prior:g})"] = (
            StageSettings(first, prior=prior),
            StageSettings(second, depth=100, prior=prior),
        )
    return by_name


@click.command()
@click.argument("pairs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("results/cascade.json"))
def main(pairs: tuple[Path, ...], out: Path) -> None:
    if len(pairs) % 2:
        raise click.UsageError(f"{len(pairs)} paths; expected pairs of an index and its judgments")
    try:
        report = [
            compared(index, qrels) for index, qrels in zip(pairs[::2], pairs[1::2], strict=True)
        ]
    except QtrError as error:
        raise click.ClickException(str(error)) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(report, indent=2))


def compared(index: Path, qrels: Path) -> Figures:
    """Figures of retrieval alone and of each cascade over one index."""
    with SearchEngine.open(index) as engine:
        runs = [
            search_run(
                "retrieval alone",
                lambda query: engine.search(query, DEPTH, stage="retrieve").hits,
                qrels,
            )
        ]
    for name, cascade in cascades().items():
        label = f"{name}, as shipped" if cascade == DEFAULT_CASCADE else name
        with SearchEngine.open(index, cascade=cascade) as engine:
            runs.append(search_run(label, _reranked(engine), qrels))
    return measured(runs, qrels)


def _reranked(engine: SearchEngine) -> Search:
    return lambda query: engine.search(query, DEPTH).hits


if __name__ == "__main__":
    main()
