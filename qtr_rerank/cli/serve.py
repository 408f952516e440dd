"""`qtr serve`: the rerank server."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    default=8123,
    type=click.IntRange(0, 65535),
    show_default=True,
    help="0 takes a free port.",
)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL",
    help="A model by name or folder, repeatable; the first is the default. NAME is what requests "
    "call it, as in rerank-v3.5=match.  [default: match, bert-bilstm, bert2dnn, twin]",
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    help="Documents may be ids of this index's products.",
)
@click.option(
    "--id-prefix", default="id:", show_default=True, help="Texts that begin with it are ids."
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    help="Processes, each with its own queue and cache. /metrics sums them.",
)
@click.option(
    "--concurrency", default=2, show_default=True, help="Requests that a worker scores at once."
)
@click.option(
    "--queue",
    default=64,
    show_default=True,
    help="Requests that may wait in each worker; others get a 429.",
)
@click.option(
    "--cache",
    default=50_000,
    show_default=True,
    help="Titles whose features each model caches; 0: none.",
)
@click.option("--threads", default=1, show_default=True, help="Threads that score one request.")
@click.option(
    "--timeout-ms",
    default=10_000.0,
    show_default=True,
    help="Documents not scored by then keep their order. X-QTR-Timeout-Ms asks for less.",
)
@click.option(
    "--max-body", default=32, show_default=True, help="Largest body in MiB; larger ones get a 413."
)
@click.option(
    "--max-documents",
    default=100_000,
    show_default=True,
    help="Most documents in a request; more get a 413.",
)
@click.option(
    "--api-keys",
    type=click.Path(path_type=Path),
    help="File of API keys, one a line. Or set QTR_API_KEYS to keys separated by commas.",
)
@click.option("--log-queries", is_flag=True, help="Write the queries into the log.")
def serve(
    host: str,
    port: int,
    models: tuple[str, ...],
    index: Path | None,
    id_prefix: str,
    workers: int,
    concurrency: int,
    queue: int,
    cache: int,
    threads: int,
    timeout_ms: float,
    max_body: int,
    max_documents: int,
    api_keys: Path | None,
    log_queries: bool,
) -> None:
    """Rerank over HTTP, in the formats of Cohere, Jina and TEI.

    \b
    curl localhost:8123/v2/rerank -d '{"query": "usb cable", "documents": ["Mug", "USB-C cable"]}'

    Their clients only need another base URL. The page at / shows the models and has a form to try
    them; /openapi.json describes the routes.
    """
    from qtr_rerank.environment import api_keys_from
    from qtr_rerank.serve.rerank_server import run_server
    from qtr_rerank.serve.server_settings import MEGABYTE, ServerSettings

    settings = ServerSettings(
        models=_named(models) or DEFAULT_MODELS,
        index=index,
        id_prefix=id_prefix,
        workers=workers,
        threads=threads,
        concurrency=concurrency,
        queue=queue,
        cache=cache,
        timeout_ms=timeout_ms,
        max_body_bytes=max_body * MEGABYTE,
        max_documents=max_documents,
        api_keys=api_keys_from(api_keys),
        log_queries=log_queries,
    )

    def announce(address: str) -> None:
        names = ", ".join(name for name, _ in settings.models)
        click.echo(f"{names} ready on {address}; Ctrl-C stops it", err=True)
        click.echo(address)

    run_server(settings, host, port, announce)


DEFAULT_MODELS = tuple((name, name) for name in ("match", "bert-bilstm", "bert2dnn", "twin"))


def _named(models: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """NAME=MODEL, or a model whose name is the last part of its folder."""
    pairs = []
    for model in models:
        name, separator, artifact = model.partition("=")
        pairs.append((name, artifact) if separator else (Path(model).name, model))
    return tuple(pairs)
