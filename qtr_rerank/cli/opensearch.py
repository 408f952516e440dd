"""`qtr opensearch install|check|remove`: the rerank server behind a search pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qtr_rerank.errors import DataError

if TYPE_CHECKING:
    from qtr_rerank.opensearch.api import Api

# A default pipeline is that of scrolls, too, and these are cut like any other page.
_CAUTION = (
    "CAUTION: what reads {index} page by page loses hits to a default pipeline: scrolls, _reindex, "
    '_update_by_query, _delete_by_query. Put {{"index.search.default_pipeline": "_none"}} for the '
    "time, or have searches name the pipeline instead (--no-index)"
)

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def opensearch() -> None:
    """Have OpenSearch rerank its own searches by the server of `qtr serve`."""


def _cluster(command: Command) -> Command:
    """The options that say which cluster and which wiring."""
    for option in (
        click.option("--name", default="qtr_rerank", show_default=True, help="Of the pipeline."),
        click.option("--ca", help="File of the authority of its certificate; or OPENSEARCH_CA."),
        click.option("--user", help="Or OPENSEARCH_USER; the password in OPENSEARCH_PASSWORD."),
        click.option(
            "--url", help="Of OpenSearch; or OPENSEARCH_URL.  [default: http://127.0.0.1:9200]"
        ),
    ):
        command = option(command)
    return command


@opensearch.command()
@_cluster
@click.option(
    "--server",
    help="The rerank server as OpenSearch's nodes see it, such as http://10.0.0.5:8123.",
)
@click.option("--model", help="Of the server's.  [default: match]")
@click.option(
    "--field",
    "fields",
    multiple=True,
    help="What is read of each hit. Repeatable, but OpenSearch puts no space between several: one "
    "field that holds all is better.  [default: title, or id with --ids]",
)
@click.option(
    "--ids/--no-ids", default=None, help="The field holds ids of the server's --index, or texts."
)
@click.option(
    "--oversample", type=float, help="So many times a search's size are reranked.  [default: 10]"
)
@click.option(
    "--prior",
    type=float,
    help="How much OpenSearch's own order counts, in logits per e-fold of rank: 0 not at all.  "
    "[default: 2]",
)
@click.option(
    "--timeout",
    type=int,
    help="Seconds that a search waits for the server at most; it keeps its own order then.  "
    "[default: 2]",
)
@click.option("--index", help="Make the pipeline this index's (or alias's) default.")
@click.option("--no-index", is_flag=True, help="Give such an index back the default that it had.")
@click.option("--dry-run", is_flag=True, help="Print the requests, and send none that changes.")
def install(
    url: str | None,
    user: str | None,
    ca: str | None,
    name: str,
    index: str | None,
    no_index: bool,
    dry_run: bool,
    **given: Any,
) -> None:
    """Make connector, model and search pipeline, or bring them up to date.

    A second call changes what it names, and nothing else: options that are left out keep what they
    were. The server's API key, where it asks for one, is the first of QTR_API_KEYS. Searches then
    say search_pipeline=NAME, unless --index makes it their default, and
    ext.rerank.query_context.query_text.
    """
    from qtr_rerank.environment import api_keys_from
    from qtr_rerank.opensearch.cluster import remembered
    from qtr_rerank.opensearch.install import install as make
    from qtr_rerank.opensearch.wiring import rewired

    if index is not None and no_index:
        raise click.UsageError("--index and --no-index exclude each other")
    named = {key: value for key, value in given.items() if value not in (None, ())}
    if index is not None or no_index:
        named["index"] = index
    if keys := api_keys_from(None):
        named["api_key"] = keys[0]
    with _api(url, user, ca, dry_run) as api:
        before = remembered(api, name)
        if "server" not in before and "server" not in named:
            raise click.UsageError(f"{name} is not installed yet, and needs --server")
        wiring = rewired(name, before, named)
        changes = make(api, wiring)
    if not changes:
        click.echo("all is there already; nothing was changed")
    elif not dry_run:
        if wiring.index is not None and wiring.oversample > 1:
            click.echo(_CAUTION.format(index=wiring.index))
        click.echo(f"searches that say search_pipeline={name} are reranked; try: {_check(name)}")


@opensearch.command()
@_cluster
@click.option("--index", help="An index, to look at its mapping and to search.")
@click.option("--query", help="Words to search --index for.")
@click.option(
    "--search",
    type=click.Path(path_type=Path),
    help="File of a search body (JSON), as your application sends it, in place of --query.",
)
@click.pass_context
def check(
    ctx: click.Context,
    url: str | None,
    user: str | None,
    ca: str | None,
    name: str,
    index: str | None,
    query: str | None,
    search: Path | None,
) -> None:
    """Try each part for real; say what is wrong and what to do, with exit status 1 then."""
    from qtr_rerank.opensearch.check import check as looked_at

    if (query is not None or search is not None) and index is None:
        raise click.UsageError("--query and --search need --index")
    body = _read_body(search) if search is not None else None
    wrong = 0
    with _api(url, user, ca, False) as api:
        for finding in looked_at(api, name, index, query, body):
            click.echo(f"{'ok   ' if finding.is_well else 'WRONG'}  {finding.what}")
            if not finding.is_well:
                wrong += 1
                click.echo(f"       remedy: {finding.remedy}")
    if wrong:
        ctx.exit(1)


@opensearch.command()
@_cluster
@click.option("--dry-run", is_flag=True, help="Print the requests, and send none that changes.")
def remove(url: str | None, user: str | None, ca: str | None, name: str, dry_run: bool) -> None:
    """Take out what `install` made, put back what it changed, and nothing else."""
    from qtr_rerank.opensearch.install import remove as take_out

    with _api(url, user, ca, dry_run) as api:
        changes = take_out(api, name)
    if not changes:
        click.echo(f"nothing of the name {name!r} is there; nothing was changed")


@contextmanager
def _api(url: str | None, user: str | None, ca: str | None, dry_run: bool) -> Iterator[Api]:
    from qtr_rerank.environment import Settings
    from qtr_rerank.opensearch.api import Api

    settings = Settings.from_environment().opensearch
    given = {"url": url, "user": user, "ca_file": ca}
    settings = replace(settings, **{key: value for key, value in given.items() if value})
    api = Api(settings, click.echo, dry_run)
    try:
        api.require_opensearch()
        yield api
    finally:
        api.close()


def _read_body(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as JSON ({error}); expected a search body"
        ) from error
    if not isinstance(body, dict):
        raise DataError(f"{path} holds no JSON object; expected a search body")
    return body


def _check(name: str) -> str:
    named = "" if name == "qtr_rerank" else f" --name {name}"
    return f"qtr opensearch check{named} --index INDEX --query WORDS"
