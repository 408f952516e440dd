"""`qtr search`: searches one query (table or JSON), or a file of queries (TREC run)."""

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
    "--queries", type=_FILE, metavar="FILE", help="Table with a column query, optionally qid."
)
@click.option("--run", type=_FILE, metavar="OUT", help="TREC run to write for --queries.")
@click.option(
    "--stage",
    default="rerank",
    show_default=True,
    type=click.Choice(["retrieve", "rerank"]),
    help="Last stage to run.",
)
@click.option(
    "--candidates",
    default=1000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of products to retrieve.",
)
@click.option("--deadline-ms", type=click.FloatRange(min=0), help="Return what is ranked by then.")
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

    A run has lines "qid Q0 docid rank score tag". Without a qid column, the query itself is the
    id; white space in ids is percent-encoded. The score of a line is the number of results from
    its rank down, so that it falls with the rank.
    """
    if (query is None) == (queries is None):
        raise click.UsageError("give one of QUERY and --queries FILE")
    if (queries is None) != (run is None):
        raise click.UsageError("--queries FILE and --run OUT go together")
    if queries is not None and as_json:
        raise click.UsageError("--json is for a QUERY; --queries FILE writes a TREC run")

    # Imported here, so that --help is quick.
    from qtr_rerank.environment import Settings
    from qtr_rerank.search import SearchEngine

    texts = None if queries is None else read_queries(queries)
    candidates = max(candidates, k)
    with SearchEngine.open(index, Settings.from_environment().threads) as engine:

        def search_text(text: str) -> SearchResult:
            return engine.search(
                text, k, stage=stage, candidates=candidates, deadline_ms=deadline_ms
            )

        if texts is not None and run is not None:
            started = time.perf_counter()
            found = _write_run(
                run, ((qid, search_text(text)) for qid, text in texts.items()), stage
            )
            seconds = time.perf_counter() - started
            click.echo(
                f"{len(texts):,} queries, {found:,} of them with results, "
                f"in {seconds:.1f} s: {run}",
                err=True,
            )
            return
        result = search_text(query or "")
        products = engine.products([hit.id for hit in result.hits])
    if as_json:
        click.echo(json.dumps(_as_json(result, products), ensure_ascii=False, indent=2))
    else:
        for line in _table(result, products):
            click.echo(line)


def read_queries(path: Path) -> dict[str, str]:
    """TREC id -> query for the queries of a table, in order, each once.

    The id comes from the column qid, else from the query itself. Raises DataError for a row
    without a query, and for a qid that two queries share.
    """
    # Imported here: a single query needs no table reader.
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
        # A table of judgments repeats a query on many rows: it is searched once.
        if trec_query_id(found.setdefault(qid, query)) != trec_query_id(query):
            raise DataError(
                f"{path}, line {row.line}, column 'qid': {named!r} is query {query!r} here and "
                f"{found[qid]!r} before; expected one query for each qid"
            )
    if not found:
        raise DataError(f"{path} has no query; expected one per row, in a column 'query'")
    return found


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _write_run(path: Path, results: Iterator[tuple[str, SearchResult]], stage: str) -> int:
    """Write a TREC run as results arrive. Returns the number of queries with results."""
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
        yield "no results"
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
    # In a terminal, titles are cut so that a row fits a line; in a pipe they stay whole.
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
    # Control characters in a catalog must not reach the terminal.
    return "".join(each if each.isprintable() else " " for each in text)
