"""`qtr opensearch install|check|remove`: OpenSearch reranks its searches by the server."""

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

# The pipeline truncates each page of a scroll as it does any other page.
_CAUTION = (
    "CAUTION: requests that read {index} page by page lose hits to a default pipeline: scrolls, "
    '_reindex, _update_by_query, _delete_by_query. Set "index.search.default_pipeline" to "_none" '
    "for their duration, or let searches name the pipeline instead (--no-index)"
)

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def opensearch() -> None:
    """Let OpenSearch rerank its own searches by the server of `qtr serve`."""


def _cluster_options(command: Command) -> Command:
    """The options that name the cluster and the installation."""
    for option in (
        click.option("--name", default="qtr_rerank", show_default=True, help="Pipeline's name."),
        click.option(
            "--ca", help="Certificate file of OpenSearch's authority; else OPENSEARCH_CA."
        ),
        click.option(
            "--user", help="Else OPENSEARCH_USER. The password is in OPENSEARCH_PASSWORD."
        ),
        click.option(
            "--url",
            help="OpenSearch's address; else OPENSEARCH_URL.  [default: http://127.0.0.1:9200]",
        ),
    ):
        command = option(command)
    return command


@opensearch.command()
@_cluster_options
@click.option(
    "--server",
    help="The rerank server as OpenSearch's nodes see it, such as http://10.0.0.5:8123.",
)
@click.option("--model", help="One of the server's models.  [default: match]")
@click.option(
    "--field",
    "fields",
    multiple=True,
    help="Field of each hit to rerank by. Repeatable, but OpenSearch joins several without a "
    "space: one field that holds all is better.  [default: title, or id with --ids]",
)
@click.option(
    "--ids/--no-ids", default=None, help="The field has ids of the server's --index, not texts."
)
@click.option(
    "--oversample",
    type=float,
    help="Hits to rerank, as a multiple of the search's size.  [default: 10]",
)
@click.option(
    "--prior",
    type=float,
    help="Weight of OpenSearch's own order, in logits per e-fold of rank; 0 ignores it.  "
    "[default: 2]",
)
@click.option(
    "--timeout",
    type=int,
    help="Seconds that a search waits for the server before it keeps OpenSearch's order.  "
    "[default: 2]",
)
@click.option("--index", help="Make the pipeline this index's (or alias's) default.")
@click.option("--no-index", is_flag=True, help="Undo --index: restore the index's own default.")
@click.option(
    "--dry-run", is_flag=True, help="Print the requests that change anything, and send none."
)
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

    A second call changes only what its options name. If the server requires an API key, the first
    of QTR_API_KEYS is used. Searches then name the pipeline (search_pipeline=NAME, unless --index
    made it their default) and the query (ext.rerank.query_context.query_text).
    """
    from qtr_rerank.environment import api_keys_from
    from qtr_rerank.opensearch.cluster import installed_settings
    from qtr_rerank.opensearch.install import install as install_wiring
    from qtr_rerank.opensearch.wiring import updated_wiring

    if index is not None and no_index:
        raise click.UsageError("--index and --no-index exclude each other")
    options = {key: value for key, value in given.items() if value not in (None, ())}
    if index is not None or no_index:
        options["index"] = index
    if keys := api_keys_from(None):
        options["api_key"] = keys[0]
    with _api(url, user, ca, dry_run) as api:
        installed = installed_settings(api, name)
        if "server" not in installed and "server" not in options:
            raise click.UsageError(f"{name} is not installed yet, and needs --server")
        wiring = updated_wiring(name, installed, options)
        install_wiring(api, wiring)
    if not api.changes:
        click.echo("already installed; nothing was changed")
    elif not dry_run:
        if wiring.index is not None and wiring.oversample > 1:
            click.echo(_CAUTION.format(index=wiring.index))
        command = _check_command(name)
        click.echo(f"searches with search_pipeline={name} are reranked; try: {command}")


@opensearch.command()
@_cluster_options
@click.option("--index", help="Index whose mapping and searches are checked.")
@click.option("--query", help="Query to search --index for.")
@click.option(
    "--search",
    type=click.Path(path_type=Path),
    help="File with a search body (JSON) as your application sends it, instead of --query.",
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
    """Test each part and print each error with its remedy. Exit status 1 if anything is wrong."""
    from qtr_rerank.opensearch.check import check as check_parts

    if (query is not None or search is not None) and index is None:
        raise click.UsageError("--query and --search need --index")
    body = _read_body(search) if search is not None else None
    ok = True
    with _api(url, user, ca, dry_run=False) as api:
        for finding in check_parts(api, name, index, query, body):
            click.echo(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.what}")
            if not finding.ok:
                ok = False
                click.echo(f"       remedy: {finding.remedy}")
    if not ok:
        ctx.exit(1)


@opensearch.command()
@_cluster_options
@click.option(
    "--dry-run", is_flag=True, help="Print the requests that change anything, and send none."
)
def remove(url: str | None, user: str | None, ca: str | None, name: str, dry_run: bool) -> None:
    """Delete what `install` made, and restore what it changed."""
    from qtr_rerank.opensearch.install import remove as remove_wiring

    with _api(url, user, ca, dry_run) as api:
        remove_wiring(api, name)
    if not api.changes:
        click.echo(f"{name!r} is not installed; nothing was changed")


@contextmanager
def _api(url: str | None, user: str | None, ca: str | None, dry_run: bool) -> Iterator[Api]:
    from qtr_rerank.environment import Settings
    from qtr_rerank.opensearch.api import Api

    settings = Settings.from_environment().opensearch
    options = {"url": url, "user": user, "ca_file": ca}
    settings = replace(settings, **{key: value for key, value in options.items() if value})
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
        raise DataError(f"{path} is not a JSON object; expected a search body")
    return body


def _check_command(name: str) -> str:
    option = "" if name == "qtr_rerank" else f" --name {name}"
    return f"qtr opensearch check{option} --index INDEX --query QUERY"
