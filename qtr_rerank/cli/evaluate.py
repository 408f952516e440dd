"""`qtr evaluate`: TREC runs against judgments, or scored pairs against labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtr_rerank.evaluate.measure_settings import (
    DEFAULT_MEASURES,
    GAINS,
    PERMUTATIONS,
    PairColumns,
    PairSettings,
    RankingSettings,
)

if TYPE_CHECKING:
    from qtr_rerank.evaluate.runs import Run

_FILE = click.Path(path_type=Path)
# Parameters of one form of the command; with the other form they are refused.
_FOR_RUNS = ("measures", "relevant", "allow_missing", "permutations", "seed")
_FOR_PAIRS = ("label", "score", "query", "thresholds", "label_range", "cutoff", "gains")


@click.command()
@click.argument("runs", nargs=-1, type=_FILE)
@click.option("--qrels", type=_FILE, help="Table query,docid,rating (or qid), or TREC qrels.")
@click.option(
    "-m",
    "--measure",
    "measures",
    multiple=True,
    metavar="MEASURE",
    help=f"In ir-measures' notation, repeatable.  [default: {', '.join(DEFAULT_MEASURES)}]",
)
@click.option(
    "--relevant",
    type=float,
    default=1.0,
    show_default=True,
    help="Lowest relevant rating, for RR, R and other binary measures without (rel=N).",
)
@click.option("--allow-missing", is_flag=True, help="Score 0 for queries that a run lacks.")
@click.option("--permutations", type=int, default=PERMUTATIONS, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the permutations.")
@click.option("--pairs", type=_FILE, help="Scored pairs, as 'qtr score' writes them.")
@click.option("--label", help="Column with the pairs' labels.")
@click.option("--score", help="Column with the scores.  [default: rank by logit, RMSE of score]")
@click.option("--query", help="Column with the pairs' queries.  [default: query]")
@click.option(
    "--threshold",
    "thresholds",
    type=float,
    multiple=True,
    help="Lowest positive label for AUC, repeatable.  [default: the highest label]",
)
@click.option(
    "--label-range", type=(float, float), help="Ends of the label scale.  [default: as in the file]"
)
@click.option(
    "-k", "--cutoff", type=int, default=10, show_default=True, help="Cutoff of the pairs' nDCG."
)
@click.option("--gains", type=click.Choice(GAINS), default="linear", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--per-query", is_flag=True, help="With --json: each query's values too.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    runs: tuple[Path, ...],
    qrels: Path | None,
    measures: tuple[str, ...],
    relevant: float,
    allow_missing: bool,
    permutations: int,
    seed: int,
    pairs: Path | None,
    label: str | None,
    score: str | None,
    query: str | None,
    thresholds: tuple[float, ...],
    label_range: tuple[float, float] | None,
    cutoff: int,
    gains: str,
    as_json: bool,
    per_query: bool,
) -> None:
    """Measure search runs or scored pairs.

    \b
    qtr evaluate OUT.trec ... --qrels judgments.csv
    qtr evaluate --pairs OUT.csv --label relevance

    Runs are measured over every query of the qrels. With several runs, each is compared with the
    first by a paired randomisation test.
    """
    from qtr_rerank.evaluate.qrels import read_qrels
    from qtr_rerank.evaluate.report import pairs_json, pairs_text, ranking_json, ranking_text
    from qtr_rerank.evaluate.run_measures import evaluate_runs
    from qtr_rerank.evaluate.scored_pairs import evaluate_pairs, read_pairs

    if per_query and not as_json:
        raise click.UsageError("--per-query goes with --json")
    fields: dict[str, Any]
    if pairs is not None:
        if runs or qrels:
            raise click.UsageError("give either RUNS with --qrels, or --pairs, not both")
        _refuse(ctx, _FOR_RUNS, "--pairs")
        if label is None:
            raise click.UsageError("--pairs needs --label, the column with the labels")
        pair_report = evaluate_pairs(
            read_pairs(pairs, PairColumns(label=label, query=query, score=score)),
            PairSettings(thresholds, label_range, cutoff, gains),
        )
        text, fields = pairs_text(pair_report), pairs_json(pair_report, per_query)
    else:
        if not runs or qrels is None:
            raise click.UsageError("give RUNS and --qrels, or --pairs and --label")
        _refuse(ctx, _FOR_PAIRS, "--qrels")
        settings = RankingSettings(
            measures or DEFAULT_MEASURES, relevant, allow_missing, permutations, seed
        )
        report = evaluate_runs(_read_runs(runs), read_qrels(qrels), settings)
        text, fields = ranking_text(report), ranking_json(report, per_query)
    click.echo(json.dumps(fields, indent=2, ensure_ascii=False) if as_json else text)


def _read_runs(paths: tuple[Path, ...]) -> list[Run]:
    from qtr_rerank.evaluate.runs import Run, read_run

    read = [read_run(path) for path in paths]
    if len({run.name for run in read}) == len(read):
        return read
    # Files with the same name in several folders: only their paths are unique.
    return [Run(str(run.path), run.path, run.rankings) for run in read]


def _refuse(ctx: click.Context, parameters: tuple[str, ...], form: str) -> None:
    for option in ctx.command.params:
        source = ctx.get_parameter_source(option.name or "")
        if option.name in parameters and source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[-1]} has no meaning with {form}")
