"""Detects a file's format from its name or first bytes, and opens text, gzipped or not."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO, Literal, cast

from qtr_rerank.errors import DataError

TableFormat = Literal["csv", "tsv", "jsonl", "json", "parquet"]

FORMATS: dict[str, TableFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}
DELIMITERS = ",\t;"


def known_format(name: str) -> TableFormat:
    """The format of that name. Raises DataError, which lists the formats."""
    if name not in FORMATS.values():
        known = ", ".join(sorted(set(FORMATS.values())))
        raise DataError(f"unknown format {name!r}; expected one of {known}")
    return cast(TableFormat, name)


def format_of_name(path: Path, format: str | None = None) -> TableFormat:
    """The given format, else that of the file's ending (before a `.gz`). Raises DataError."""
    found = known_format(format) if format is not None else _by_name(path)
    if found is None:
        raise DataError(
            f"the name of {path} shows no format; end it in one of {', '.join(FORMATS)}"
        )
    if found == "parquet" and path.suffix.lower() == ".gz":
        raise DataError(f"{path}: Parquet is compressed inside; leave off the .gz")
    return found


def _by_name(path: Path) -> TableFormat | None:
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return FORMATS.get(name.suffix.lower())


def detect_format(path: Path) -> TableFormat:
    """The format by the file's ending (before a `.gz`), else by its first bytes.

    Raises DataError where neither shows it.
    """
    named = _by_name(path)
    if named is not None:
        return named
    try:
        with _open_bytes(path) as stream:
            head = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if head.startswith(b"PAR1"):
        return "parquet"
    if head[:1] in (b"{", b"["):
        return "jsonl" if head[:1] == b"{" else "json"
    first = head.split(b"\n", 1)[0]
    if any(delimiter.encode() in first for delimiter in DELIMITERS):
        return "csv"
    raise DataError(
        f"the format of {path} is not clear from its name or content; "
        f"name it with one of {', '.join(FORMATS)} (.gz may follow), or give the format"
    )


def _open_bytes(path: Path) -> BinaryIO:
    """The file's bytes, decompressed where they begin with gzip's mark, whatever its name."""
    stream = path.open("rb")
    zipped = stream.read(2) == b"\x1f\x8b"
    stream.close()
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")


def open_text(path: Path, encoding: str, newline: str) -> io.TextIOWrapper:
    """A stream of the file's text, gzipped or not, without its byte order mark.

    Undecodable bytes become lone surrogates, so that one bad row does not stop the reading.
    """
    name = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    return io.TextIOWrapper(
        _open_bytes(path), encoding=name, errors="surrogateescape", newline=newline
    )
