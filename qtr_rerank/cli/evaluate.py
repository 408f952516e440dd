"""`qtr evaluate`: TREC runs against judgments, or scored pairs against labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtr_rerank.evaluate.measure_settings import (
    CUTOFF,
    GAINS,
    PERMUTATIONS,
    PERSISTENCE,
    RESAMPLES,
    PairColumns,
    PairSettings,
    RankingSettings,
    default_measures,
)

if TYPE_CHECKING:
    from qtr_rerank.evaluate.runs import Run

_FILE = click.Path(path_type=Path)
# Parameters of one form of the command; with the other form they are refused.
_FOR_RUNS = (
    "measures",
    "relevant",
    "allow_missing",
    "complete",
    "persistence",
    "permutations",
    "resamples",
    "seed",
)
_FOR_PAIRS = ("label", "score", "query", "thresholds", "label_range", "gains")


@click.command()
@click.argument("runs", nargs=-1, type=_FILE)
@click.option(
    "--qrels",
    type=_FILE,
    multiple=True,
    help="Table query,docid,rating (or qid), or TREC qrels. Repeatable, for published judgments "
    "and added ones; where a pair is in two files, the later one holds.",
)
@click.option(
    "-m",
    "--measure",
    "measures",
    multiple=True,
    metavar="MEASURE",
    help=f"In ir-measures' notation, repeatable.  [default: {', '.join(default_measures())}]",
)
@click.option(
    "--relevant",
    type=float,
    default=1.0,
    show_default=True,
    help="Lowest relevant rating, for RR, R and other binary measures without (rel=N).",
)
@click.option("--allow-missing", is_flag=True, help="Score 0 for queries that a run lacks.")
@click.option(
    "--complete",
    is_flag=True,
    help="All documents without a judgment are irrelevant: no bounds, no warnings about them.",
)
@click.option(
    "--persistence",
    type=float,
    default=PERSISTENCE,
    show_default=True,
    help="Of rank-biased precision: the chance to look at the next document, too.",
)
@click.option("--permutations", type=int, default=PERMUTATIONS, show_default=True)
@click.option(
    "--resamples",
    type=int,
    default=RESAMPLES,
    show_default=True,
    help="Of the bootstrap intervals.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the permutations and the resamples."
)
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
    "-k",
    "--cutoff",
    type=int,
    default=CUTOFF,
    show_default=True,
    help="First results that count: nDCG, its bounds, the default measures.",
)
@click.option("--gains", type=click.Choice(GAINS), default="linear", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--per-query", is_flag=True, help="With --json: each query's values too.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    runs: tuple[Path, ...],
    qrels: tuple[Path, ...],
    measures: tuple[str, ...],
    relevant: float,
    allow_missing: bool,
    complete: bool,
    persistence: float,
    permutations: int,
    resamples: int,
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

    Runs are measured over every query of the qrels, with confidence intervals. With several runs,
    each is compared with the first by a paired randomisation test.

    Results that nobody judged count as irrelevant. So the share of the first results that is
    judged, nDCG without the others, and the bounds of nDCG once they are judged are always shown; a
    warning says where too few are judged, or where judging them could turn a comparison.
    """
    from qtr_rerank.evaluate.qrels import merge_qrels, read_qrels
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
        if not runs or not qrels:
            raise click.UsageError("give RUNS and --qrels, or --pairs and --label")
        _refuse(ctx, _FOR_PAIRS, "--qrels")
        settings = RankingSettings(
            measures or default_measures(cutoff),
            relevant,
            allow_missing,
            permutations,
            seed,
            cutoff,
            persistence,
            resamples,
            complete,
        )
        judged = merge_qrels([read_qrels(path) for path in qrels])
        report = evaluate_runs(_read_runs(runs), judged, settings)
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
