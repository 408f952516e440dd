"""`qtr index`: the same command as `python -m indexer`."""

from indexer.__main__ import index

__all__ = ["index"]
