"""`make opensearch`, or `python -m devtools.opensearch_node`: a local node until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from devtools.opensearch_node.assemble import VERSION
from devtools.opensearch_node.launch import NodeSettings
from devtools.opensearch_node.node import LocalNode
from qtr_rerank.errors import QtrError


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--port", default=9200, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the data in this folder. Without it the data is deleted at the end.",
)
@click.option("--heap", default="1g", help="Java's heap, such as 512m.")
def main(port: int, data: Path | None, heap: str) -> None:
    """Run a local OpenSearch node until Ctrl-C; print its address when it is ready."""
    # SIGTERM stops the node in order, as Ctrl-C does. A shell that starts this in the background
    # may have set SIGINT to be ignored.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, signal.default_int_handler)
    try:
        with LocalNode(NodeSettings(port=port, data=data, heap=heap)) as node:
            click.echo(f"OpenSearch {VERSION} is ready; Ctrl-C stops it", err=True)
            click.echo(node.url)
            node.wait()
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    except QtrError as error:
        click.echo(f"qtr: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
