"""`qtr search`: one query as a table or JSON, or a file of queries as a TREC run."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from qtr_rerank.atomic import replacing
from qtr_rerank.errors import DataError
from qtr_rerank.records import Product, Ranked, SearchResult
from qtr_rerank.trec import trec_id, trec_query_id

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("index", type=_FILE)
@click.argument("query", required=False)
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="Results.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--queries", type=_FILE, metavar="FILE", help="Table with a column query, and qid if it has."
)
@click.option("--run", type=_FILE, metavar="OUT", help="Where the TREC run of --queries goes.")
@click.option(
    "--stage",
    default="rerank",
    show_default=True,
    type=click.Choice(["retrieve", "rerank"]),
    help="The last stage to take.",
)
@click.option(
    "--candidates",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Products retrieved.",
)
@click.option(
    "--deadline-ms", type=click.FloatRange(min=0), help="Answer with what there is by then."
)
def search(
    index: Path,
    query: str | None,
    k: int,
    as_json: bool,
    queries: Path | None,
    run: Path | None,
    stage: str,
    candidates: int,
    deadline_ms: float | None,
) -> None:
    """Search INDEX for QUERY, or for every query of a file.

    A run's lines are "qid Q0 docid rank score tag". An id (the query itself, where the file has no
    qid) is percent-encoded where it holds white space; the score is the number of results from
    there down, so that it falls with the rank whatever the stages' own scores are.
    """
    if (query is None) == (queries is None):
        raise click.UsageError("give one of QUERY and --queries FILE")
    if (queries is None) != (run is None):
        raise click.UsageError("--queries FILE and --run OUT go together")
    if queries is not None and as_json:
        raise click.UsageError("--json is for a QUERY; --queries FILE writes a TREC run")

    # Here, so that --help is quick.
    from qtr_rerank.search import SearchEngine
    from qtr_rerank.settings import Settings

    asked = None if queries is None else read_queries(queries)
    candidates = max(candidates, k)
    with SearchEngine.open(index, Settings.from_environment().threads) as engine:

        def answer(text: str) -> SearchResult:
            return engine.search(
                text, k, stage=stage, candidates=candidates, deadline_ms=deadline_ms
            )

        if asked is not None and run is not None:
            started = time.perf_counter()
            found = _write_run(run, ((qid, answer(text)) for qid, text in asked.items()), stage)
            seconds = time.perf_counter() - started
            click.echo(
                f"{len(asked):,} queries, {found:,} of them with results, "
                f"in {seconds:.1f} s: {run}",
                err=True,
            )
            return
        result = answer(query or "")
        products = engine.products([hit.id for hit in result.hits])
    if as_json:
        click.echo(json.dumps(_as_json(result, products), ensure_ascii=False, indent=2))
    else:
        for line in _table(result, products):
            click.echo(line)


def read_queries(path: Path) -> dict[str, str]:
    """The queries of a table by their TREC id, in order, each once.

    The id is that of the column qid, else of the query itself. Raises DataError for a row without
    a query, and for a qid that two queries share.
    """
    # Here, so that one query needs no table reader.
    from qtr_rerank.data.rows import BadRow
    from qtr_rerank.data.tables import Table

    found: dict[str, str] = {}
    for row in Table(path):
        if isinstance(row, BadRow):
            raise DataError(str(row))
        if "query" not in row.fields:
            raise DataError(
                f"{path}, line {row.line}: there is no column 'query', only {list(row.fields)}"
            )
        query = _text(row.fields["query"])
        if not query.strip():
            raise DataError(f"{path}, line {row.line}, column 'query': {query!r}; expected a query")
        named = _text(row.fields.get("qid"))
        qid = trec_id(named) if named else trec_query_id(query)
        # A table of judgments has a query on many rows: it is searched once.
        if trec_query_id(found.setdefault(qid, query)) != trec_query_id(query):
            raise DataError(
                f"{path}, line {row.line}, column 'qid': {named!r} is query {query!r} here and "
                f"{found[qid]!r} before; expected one query for each qid"
            )
    if not found:
        raise DataError(f"{path} holds no query; expected one a row, in a column 'query'")
    return found


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _write_run(path: Path, results: Iterator[tuple[str, SearchResult]], stage: str) -> int:
    """Write a TREC run as its results come; how many queries have any."""
    found = 0
    try:
        with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
            for qid, result in results:
                count = len(result.hits)
                found += count > 0
                file.writelines(
                    f"{qid} Q0 {trec_id(hit.id)} {hit.rank} {count - hit.rank + 1} qtr-{stage}\n"
                    for hit in result.hits
                )
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
    return found


def _as_json(result: SearchResult, products: Sequence[Product]) -> dict[str, Any]:
    return {
        "query": result.query,
        "engine": result.engine,
        "candidates": result.candidates,
        "degraded": result.degraded,
        "times_ms": {name: round(value, 3) for name, value in result.times_ms.items()},
        "hits": [
            {
                "rank": hit.rank,
                "first_rank": hit.first_rank,
                "id": hit.id,
                "title": product.title,
                "brand": product.brand,
                "category": product.category,
                "price": product.price,
                "score": hit.score,
                "logit": hit.logit,
                "first_score": hit.first_score,
                "stage": hit.stage,
            }
            for hit, product in zip(result.hits, products, strict=True)
        ],
    }


def _table(result: SearchResult, products: Sequence[Product]) -> Iterator[str]:
    if not result.hits:
        yield "nothing found"
    else:
        rows = [
            (
                str(hit.rank),
                _moved(hit),
                f"{hit.score:.4f}",
                _printable(product.id),
                _printable(product.title),
                "" if product.price is None else f"{product.price:,.2f}",
            )
            for hit, product in zip(result.hits, products, strict=True)
        ]
        yield from _aligned(("", "was", "score", "id", "title", "price"), rows)
    times = ", ".join(f"{name} {value:.1f}" for name, value in result.times_ms.items())
    late = "; cut short by the deadline" if result.degraded else ""
    yield f"{result.candidates:,} candidates ({result.engine}); ms: {times}{late}"


_TITLE = 4
_LEFT = (3, _TITLE)


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rest = sum(widths) - widths[_TITLE] + 2 * (len(widths) - 1)
    # In a pipe, titles stay whole; in a terminal, a row is a line.
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - rest
        widths[_TITLE] = max(20, min(widths[_TITLE], room))
    for row in (head, *rows):
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            cut = cell if len(cell) <= width else cell[: width - 1] + "…"
            cells.append(cut.ljust(width) if place in _LEFT else cut.rjust(width))
        yield "  ".join(cells).rstrip()


def _moved(hit: Ranked) -> str:
    if hit.first_rank == hit.rank:
        return "="
    return f"{'↑' if hit.first_rank > hit.rank else '↓'} {hit.first_rank}"


def _printable(text: str) -> str:
    # A catalog must not be able to steer the terminal.
    return "".join(each if each.isprintable() else " " for each in text)
