"""Reads judgments from tables or TREC qrels, with the ids that `qtr search --run` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.errors import DataError
from qtr_rerank.evaluate.input_rows import RowLocation, cell_text, column_of, table_rows, text_lines
from qtr_rerank.trec import from_trec_id, trec_id, trec_query_id

QUERY_COLUMNS = ("query", "search_term")
DOCUMENT_COLUMNS = ("docid", "doc_id", "product_id", "product_uid")
RATING_COLUMNS = ("rating", "relevance", "grade", "label")


@dataclass(frozen=True, slots=True)
class Qrels:
    """Ratings by TREC query id and document id, in the order of the file.

    Qrels that were merged also name the later files in `added`. `repeated` counts the pairs that
    were in more than one of the files, `rerated` those whose rating changed.
    """

    path: Path
    ratings: Mapping[str, Mapping[str, float]]
    added: tuple[Path, ...] = ()
    repeated: int = 0
    rerated: int = 0

    @property
    def name(self) -> str:
        """The file, or the files: `judgments.csv + judgments-added.csv`."""
        return " + ".join(map(str, (self.path, *self.added)))


def merge_qrels(files: Sequence[Qrels]) -> Qrels:
    """Judgments of several files as one, such as published ones and added ones.

    Where a pair is in more than one, the rating of the last file holds. Raises DataError where no
    query of a later file is in the earlier ones: then their ids are of two kinds.
    """
    ratings = {query: dict(rated) for query, rated in files[0].ratings.items()}
    repeated, rerated = set(), set()
    for later in files[1:]:
        if not ratings.keys() & later.ratings.keys():
            raise DataError(
                f"{later.path} has no query of the qrels before it: its first is "
                f"{from_trec_id(next(iter(later.ratings)))!r}, that of {files[0].path} is "
                f"{from_trec_id(next(iter(ratings)))!r}; give files with the same query ids"
            )
        for query, rated in later.ratings.items():
            before = ratings.setdefault(query, {})
            for document in before.keys() & rated.keys():
                repeated.add((query, document))
                if before[document] != rated[document]:
                    rerated.add((query, document))
            before.update(rated)
    return Qrels(
        files[0].path,
        ratings,
        tuple(later.path for later in files[1:]),
        len(repeated),
        len(rerated),
    )


def read_qrels(path: Path) -> Qrels:
    """Read judgments: TREC qrels (`query-id iteration document-id rating`), or a table.

    The first line shows which: TREC has four columns, the last one a number. A table (CSV, TSV,
    JSONL, Parquet) needs a query, a document and a rating (`query,docid,rating`, or the aliases
    above). A `qid` column holds the query's id; without one, the query itself is the id. Ratings
    may be fractions.

    Raises DataError, with file, line, column and value, on malformed lines and on a document
    that is rated twice for one query.
    """
    ratings: dict[str, dict[str, float]] = {}
    rows = _trec_rows(path) if _is_trec(path) else _table_rows(path)
    for location, query_id, document_id, rating in rows:
        rated = ratings.setdefault(query_id, {})
        if document_id in rated:
            raise DataError(
                f"{path}, line {location.line}: document {document_id!r} is rated a second time "
                f"for query {query_id!r}; keep one rating"
            )
        rated[document_id] = rating
    if not ratings:
        raise DataError(f"{path} has no judgments; expected at least one")
    return Qrels(path, ratings)


def _is_trec(path: Path) -> bool:
    if path.suffix in (".parquet", ".pq"):
        return False
    for line in text_lines(path):
        columns = line.split()
        if columns:
            return len(columns) == 4 and _is_number(columns[3])
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _trec_rows(path: Path) -> Iterator[tuple[RowLocation, str, str, float]]:
    for number, line in enumerate(text_lines(path), start=1):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 4:
            raise DataError(
                f"{path}, line {number}: {len(columns)} columns in {line.strip()!r}; TREC qrels "
                "have four: query-id iteration document-id rating"
            )
        location = RowLocation(path, number)
        query_id, _, document_id, rating = columns
        yield location, query_id, document_id, location.number("rating", rating)


def _table_rows(path: Path) -> Iterator[tuple[RowLocation, str, str, float]]:
    columns, rows = table_rows(path)
    remedy = "qrels are a table with query,docid,rating, or TREC's four columns"
    by_qid = "qid" in {name.strip().lower() for name in columns}
    query_column = column_of(path, columns, ("qid",) if by_qid else QUERY_COLUMNS, remedy)
    document_column = column_of(path, columns, DOCUMENT_COLUMNS, remedy)
    rating_column = column_of(path, columns, RATING_COLUMNS, remedy)
    to_id = trec_id if by_qid else trec_query_id
    for location, row in rows:
        query, document = cell_text(row, query_column), cell_text(row, document_column)
        if not query.strip():
            raise location.error(query_column, query, "is empty; each judgment needs its query")
        if not document.strip():
            raise location.error(
                document_column, document, "is empty; each judgment needs a document"
            )
        rating = location.number(rating_column, cell_text(row, rating_column))
        yield location, to_id(query), trec_id(document), rating
