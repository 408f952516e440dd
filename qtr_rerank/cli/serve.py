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
    help="0 takes a free one.",
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
@click.option("--concurrency", default=2, show_default=True, help="Requests scored at once.")
@click.option("--queue", default=64, show_default=True, help="Requests that may wait; then: 429.")
@click.option(
    "--batch",
    default=256,
    show_default=True,
    help="Requests that wait are scored together, so many documents at most; 1: each alone.",
)
@click.option(
    "--cache",
    default=50_000,
    show_default=True,
    help="Titles whose features each model keeps, for texts that come again; 0: none.",
)
@click.option("--threads", default=1, show_default=True, help="Of each request.")
@click.option(
    "--timeout-ms",
    default=10_000.0,
    show_default=True,
    help="Past it, what is not scored keeps its order. X-QTR-Timeout-Ms asks for less.",
)
@click.option(
    "--max-body", default=32, show_default=True, help="Largest body, in MiB; beyond it: 413."
)
@click.option(
    "--max-documents", default=100_000, show_default=True, help="Of one request; beyond it: 413."
)
@click.option(
    "--api-keys",
    type=click.Path(path_type=Path),
    help="File of API keys, one a line; or set QTR_API_KEYS to keys, apart by commas.",
)
@click.option("--log-queries", is_flag=True, help="Write the queries into the log.")
def serve(
    host: str,
    port: int,
    models: tuple[str, ...],
    index: Path | None,
    id_prefix: str,
    concurrency: int,
    queue: int,
    batch: int,
    cache: int,
    threads: int,
    timeout_ms: float,
    max_body: int,
    max_documents: int,
    api_keys: Path | None,
    log_queries: bool,
) -> None:
    """Rerank over HTTP, as Cohere, Jina and TEI do.

    \b
    curl localhost:8123/v2/rerank -d '{"query": "usb cable", "documents": ["Mug", "USB-C cable"]}'

    A client of theirs needs another base URL, no more. The page at / shows the models and has a
    form to try them; /openapi.json describes the routes.
    """
    from qtr_rerank.environment import api_keys_from
    from qtr_rerank.serve.app import create_app
    from qtr_rerank.serve.logs import log_to_stderr
    from qtr_rerank.serve.run import listen, run
    from qtr_rerank.serve.service import RerankService
    from qtr_rerank.serve.settings import MEGABYTE, ServeSettings

    settings = ServeSettings(
        models=_named(models) or DEFAULT_MODELS,
        index=index,
        id_prefix=id_prefix,
        threads=threads,
        concurrency=concurrency,
        queue=queue,
        batch=batch,
        cache=cache,
        timeout_ms=timeout_ms,
        body_bytes=max_body * MEGABYTE,
        documents=max_documents,
        api_keys=api_keys_from(api_keys),
        log_queries=log_queries,
    )
    log_to_stderr()
    service = RerankService(settings)
    service.warm()
    listener = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}"
    click.echo(f"{', '.join(service.models)} ready on {address}; Ctrl-C stops it", err=True)
    click.echo(address)
    run(create_app(service), listener, settings)


DEFAULT_MODELS = tuple((name, name) for name in ("match", "bert-bilstm", "bert2dnn", "twin"))


def _named(models: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """NAME=MODEL, or a model whose name is the last part of its folder."""
    pairs = []
    for model in models:
        name, separator, artifact = model.partition("=")
        pairs.append((name, artifact) if separator else (Path(model).name, model))
    return tuple(pairs)
