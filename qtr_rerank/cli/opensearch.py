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
        click.option("--url", help="Of OpenSearch; or OPENSEARCH_URL.  [default: 127.0.0.1:9200]"),
    ):
        command = option(command)
    return command


@opensearch.command()
@_cluster
@click.option(
    "--server",
    required=True,
    help="The rerank server as OpenSearch's nodes see it, such as http://10.0.0.5:8123.",
)
@click.option("--model", default="match", show_default=True, help="Of the server's.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    help="What is read of each hit, repeatable; several are joined with nothing between.  "
    "[default: title, or id with --ids]",
)
@click.option("--ids", is_flag=True, help="The field holds ids of the server's --index.")
@click.option(
    "--oversample", default=10.0, show_default=True, help="So many times --size are reranked."
)
@click.option(
    "--prior", default=2.0, show_default=True, help="How much the first order counts; 0: nothing."
)
@click.option("--index", help="Make the pipeline this index's (or alias's) default.")
@click.option("--dry-run", is_flag=True, help="Print the requests, and send none that changes.")
def install(
    url: str | None,
    user: str | None,
    ca: str | None,
    name: str,
    server: str,
    model: str,
    fields: tuple[str, ...],
    ids: bool,
    oversample: float,
    prior: float,
    index: str | None,
    dry_run: bool,
) -> None:
    """Make connector, model and search pipeline, or bring them up to date.

    A second call changes nothing. The server's API key, where it asks for one, is the first of
    QTR_API_KEYS. Searches then say search_pipeline=NAME, unless --index makes it their default, and
    ext.rerank.query_context.query_text.
    """
    from qtr_rerank.opensearch.install import install as make
    from qtr_rerank.opensearch.wiring import Wiring
    from qtr_rerank.settings import api_keys_from

    keys = api_keys_from(None)
    wiring = Wiring(
        server=server,
        name=name,
        model=model,
        fields=fields or (("id",) if ids else ("title",)),
        ids=ids,
        oversample=oversample,
        prior=prior,
        index=index,
        api_key=keys[0] if keys else None,
    )
    with _api(url, user, ca, dry_run) as api:
        changes = make(api, wiring)
    if not changes:
        click.echo("all is there already; nothing was changed")
    elif not dry_run:
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
    from qtr_rerank.opensearch.api import Api
    from qtr_rerank.settings import Settings

    settings = Settings.from_environment().opensearch
    given = {"url": url, "user": user, "ca_file": ca}
    settings = replace(settings, **{key: value for key, value in given.items() if value})
    api = Api(settings, click.echo, dry_run)
    try:
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
