"""Reads lists of unlabelled titles or queries, from plain text or one column of a table."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Collection, Iterator
from pathlib import Path

from qtr_rerank.errors import DataError


def read_texts(path: Path, column: str, sources: Collection[str] = ()) -> Iterator[str]:
    """The texts of a column of a .tsv or .csv file, or the lines of a .txt file; `.gz` too.

    With `sources`, only rows whose column `source` is one of them. Empty texts are skipped.
    Raises DataError where the file or a column is missing.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; expected a .txt, .tsv or .csv file of texts")
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    opener = gzip.open if path.suffix == ".gz" else open
    with (
        opener(path, "rb") as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as lines,
    ):
        if kind == ".txt":
            yield from (line.strip() for line in lines if line.strip())
            return
        if kind not in (".tsv", ".csv"):
            raise DataError(f"{path} ends in {kind or 'no suffix'!r}; expected .txt, .tsv or .csv")
        # Tab-separated titles contain bare quotes (17" screens): they are plain text.
        rows = (
            csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            if kind == ".tsv"
            else csv.DictReader(lines)
        )
        for name in (column, *(["source"] if sources else [])):
            if name not in (rows.fieldnames or []):
                raise DataError(f"{path} has the columns {rows.fieldnames}, expected {name!r}")
        for row in rows:
            if (not sources or row["source"] in sources) and (row[column] or "").strip():
                yield row[column].strip()
