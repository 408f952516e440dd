"""`qtr judge`: a local page to grade what runs show and nobody judged yet."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from qtr_rerank.judge.work import Work
    from qtr_rerank.records import Product

_FILE = click.Path(path_type=Path)
# No other address: the page has no password.
_HOST = "127.0.0.1"


@click.command()
@click.argument("runs", nargs=-1, required=True, type=_FILE)
@click.option("--index", required=True, type=_FILE, help="Index folder of the catalog.")
@click.option(
    "-o", "--out", required=True, type=_FILE, help="Your judgments: query,docid,rating,judge."
)
@click.option(
    "--qrels", type=_FILE, multiple=True, help="What is judged already, as for qtr evaluate."
)
@click.option("--judge", "name", default="me", show_default=True, help="Your name in the file.")
@click.option("--others", multiple=True, type=_FILE, help="Another judge's file, repeatable.")
@click.option(
    "--overlap",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of the others' pairs that you judge, too, to measure agreement.",
)
@click.option(
    "-k", "depth", type=click.IntRange(min=1), default=10, show_default=True,
    help="Products of each run and query.",
)  # fmt: skip
@click.option(
    "--queries", type=_FILE, help="Table qid,query, where the runs' ids are not the queries."
)
@click.option(
    "--order",
    type=click.Choice(["drawn", "useful"]),
    default="drawn",
    show_default=True,
    help="drawn: by chance, the more useful the likelier, for an estimate from few pairs; useful: "
    "the most useful pair first, to settle it for certain.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what chance draws.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8126, show_default=True,
    help="Of the page, on this machine only; 0 takes a free one.",
)  # fmt: skip
@click.option("--status", is_flag=True, help="Only print how the comparison stands.")
@click.option("--export-pairs", type=_FILE, help="Write the pairs to judge elsewhere (CSV).")
@click.option("--export-book", type=_FILE, help="Write all judges' grades, a column each (CSV).")
@click.option("--import", "imported", type=_FILE, help="Add grades from a CSV of either kind.")
@click.pass_obj
def judge(
    picture: Callable[[Product], str] | None,
    runs: tuple[Path, ...],
    index: Path,
    out: Path,
    qrels: tuple[Path, ...],
    name: str,
    others: tuple[Path, ...],
    overlap: float,
    depth: int,
    queries: Path | None,
    order: str,
    seed: int,
    port: int,
    status: bool,
    export_pairs: Path | None,
    export_book: Path | None,
    imported: Path | None,
) -> None:
    """Grade the first products of RUNS that the qrels do not judge, on a local page.

    \b
    qtr judge A.trec B.trec --qrels judgments.csv --index DIR -o added.csv

    Keys: 0 to 3 grade, s skips, u undoes. Pairs that could change the comparison of the runs most
    come first. Each grade is in the file at once; start the command again to go on. At the
    end it prints how the comparison stands.
    """
    from qtr_rerank.judge.work import JudgeSettings, Work

    if sum(map(bool, (status, export_pairs, export_book, imported))) > 1:
        raise click.UsageError("give one of --status, --export-pairs, --export-book and --import")
    texts = None
    if queries is not None:
        from qtr_rerank.cli.search import read_queries

        texts = read_queries(queries)
    settings = JudgeSettings(
        runs, index, out, qrels, name, others, overlap, order, depth, texts, seed
    )
    with Work.prepare(settings) as work:
        for warning in work.warnings:
            click.echo(f"qtr: {warning}", err=True)
        if export_pairs is not None:
            click.echo(f"{work.write_pairs(export_pairs):,} pairs: {export_pairs}")
            return
        if export_book is not None:
            click.echo(f"{work.write_book(export_book):,} judges: {export_book}")
            return
        if imported is not None:
            click.echo(work.add(imported))
        elif not status:
            _serve(work, name, port, picture)
        click.echo(work.standing())


def _serve(work: Work, judge: str, port: int, picture: Callable[[Product], str] | None) -> None:
    """Serve the page until its button Finish or a signal ends it."""
    from qtr_rerank.judge.app import Judging, create_app
    from qtr_rerank.serve.run import address_of, listen, serve

    # Errors of the file are shown before there is an address.
    work.session().close()
    listener = listen(_HOST, port)
    address = address_of(_HOST, listener)
    parent = os.getpid()

    def judging() -> Judging:
        return Judging(
            session=work.session(),
            judge=judge,
            texts=work.texts.texts,
            product=work.catalog.product,
            picture=picture or (lambda product: ""),
            finish=lambda: os.kill(parent, signal.SIGTERM),
        )

    def ready() -> None:
        click.echo(f"{address}  (Finish there, or Ctrl-C here, prints the comparison)")

    serve(lambda: create_app(judging()), listener, ready, threads=2, grace_seconds=2.0)
