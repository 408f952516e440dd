"""Reads TREC run files, as `qtr search --run` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.errors import DataError
from qtr_rerank.evaluate.input_rows import RowLocation, text_lines


@dataclass(frozen=True, slots=True)
class Run:
    """One system's results: the document ids of each TREC query id, best first."""

    name: str
    path: Path
    rankings: Mapping[str, tuple[str, ...]]


def read_run(path: Path, name: str | None = None) -> Run:
    """Read a TREC run: lines of `query-id Q0 document-id rank score tag`.

    Documents are ordered by score, highest first, as trec_eval orders them. Equal scores keep the
    order of the rank column, then that of the file: trec_eval would order them by document id,
    which is not the system's order. `name` defaults to the file's name without its ending.

    Raises DataError, with file, line, column and value, on malformed lines and on a document that
    is ranked twice for one query.
    """
    results: dict[str, dict[str, tuple[float, float]]] = {}
    for number, line in enumerate(text_lines(path), start=1):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 6:
            raise DataError(
                f"{path}, line {number}: {len(columns)} columns in {line.strip()!r}; TREC runs "
                "have six: query-id Q0 document-id rank score tag"
            )
        location = RowLocation(path, number)
        query_id, _, document_id, rank, score, _ = columns
        documents = results.setdefault(query_id, {})
        if document_id in documents:
            raise DataError(
                f"{path}, line {number}: document {document_id!r} is ranked a second time for "
                f"query {query_id!r}; a document may be ranked once"
            )
        documents[document_id] = (-location.number("score", score), location.number("rank", rank))
    if not results:
        raise DataError(f"{path} has no results; expected a TREC run")
    # The sort is stable, so equal score and rank keep the order of the file.
    rankings = {
        query_id: tuple(sorted(documents, key=documents.__getitem__))
        for query_id, documents in results.items()
    }
    return Run(name or path.name.removesuffix(".gz").rsplit(".", 1)[0], path, rankings)
