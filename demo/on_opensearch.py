"""Page: the shop on a real OpenSearch, in one command: `make demo ENGINE=opensearch`.

Uses the node of OPENSEARCH_URL if it is set, else starts one and stops it at the end; loads the
catalog into it, and serves the same page.
"""

from __future__ import annotations

from pathlib import Path

import click

from demo.__main__ import explained, listen_options, serve_shop
from devtools.opensearch_node.node import named_or_local_node
from indexer.job import IndexSettings, build_index
from qtr_rerank.environment import opensearch_is_named
from qtr_rerank.runtime.scorer import Scorer

ALIAS = "qtr_demo"
MODELS = ("twin", "match")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--catalog", required=True, type=click.Path(path_type=Path))
@click.option("--index", "folder", required=True, type=click.Path(path_type=Path))
@listen_options
def serve(catalog: Path, folder: Path, host: str, port: int, threads: int) -> None:
    """Load a catalog into OpenSearch and serve the search page on it."""
    if not opensearch_is_named():
        click.echo("Starting OpenSearch (the first time it is downloaded) ...", err=True)
    with named_or_local_node() as engine:
        click.echo(f"OpenSearch is at {engine.url}", err=True)
        report = build_index(
            IndexSettings(
                catalog=catalog, index=folder, engine="opensearch", alias=ALIAS, opensearch=engine
            ),
            [Scorer.load(name) for name in MODELS],
        )
        click.echo(f"{report.products:,} products indexed in {folder}, engine opensearch")
        serve_shop(folder, host, port, threads)


def main() -> None:
    """Every expected error is one line on stderr and exit status 1."""
    explained(serve, "python -m demo.on_opensearch")


if __name__ == "__main__":
    main()
