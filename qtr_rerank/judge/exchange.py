"""Judge: CSV files for those who judge elsewhere: in a spreadsheet, or in Quepid.

Two forms, as Quepid has them (github.com/o19s/quepid):

- **ratings**: `query,docid,rating`. Quepid imports it into a case. `write_pairs` adds columns that
  describe the product; Quepid reads the three by name.
- **book**: `query,docid` and a column for each judge, by name, empty where the judge gave no
  rating. Quepid exports books like this.

Text that a spreadsheet would run as a formula gets a space in front, as in Quepid's export. Where
ids of queries are not the queries, a column `qid` comes first.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.atomic import replacing
from qtr_rerank.errors import DataError
from qtr_rerank.evaluate.input_rows import cell_text, table_rows
from qtr_rerank.judge.catalog import Catalog
from qtr_rerank.judge.judgment_file import Graded, rating_of
from qtr_rerank.judge.pool import Pair, QueryTexts
from qtr_rerank.trec import from_trec_id, trec_id, trec_query_id

_PRODUCT = ("title", "brand", "category", "price", "description", "image")
_KEYS = {"qid", "query", "docid"}
_FORMULA = ("=", "+", "-", "@")


def write_pairs(path: Path, pairs: Sequence[Pair], texts: QueryTexts, catalog: Catalog) -> None:
    """Write the pairs to be judged, with an empty rating: the ratings form."""
    products = catalog.products([from_trec_id(pair.document) for pair in pairs])
    rows = [
        [
            *_key(pair, texts),
            "",
            *(_plain(getattr(product, name)) for name in _PRODUCT),
        ]
        for pair, product in zip(pairs, products, strict=True)
    ]
    _write(path, [*_key_columns(texts), "rating", *_PRODUCT], rows)


def write_book(path: Path, judges: Mapping[str, Sequence[Graded]], texts: QueryTexts) -> None:
    """Write what each judge graded: the book form, ordered by query."""
    by_judge = {
        name: {graded.pair: graded.rating for graded in rows} for name, rows in judges.items()
    }
    pairs = sorted(
        {pair for rated in by_judge.values() for pair in rated},
        key=lambda pair: (pair.query, pair.document),
    )
    rows = [
        [*_key(pair, texts), *(str(rated.get(pair, "")) for rated in by_judge.values())]
        for pair in pairs
    ]
    _write(path, [*_key_columns(texts), *map(_plain, by_judge)], rows)


@dataclass(frozen=True, slots=True)
class Imported:
    """The grades of a file that are of the pool and new, and how many of its rows were not.

    `known` have a rating already; `outside` are no pair of the pool; `empty` have no rating.
    """

    graded: tuple[Graded, ...]
    known: int
    outside: int
    empty: int


def read_ratings(
    path: Path, judge: str, texts: QueryTexts, open_pairs: Sequence[Pair], known: Mapping[Pair, int]
) -> Imported:
    """The grades of `judge` in a file of either form.

    In the book form they are in the column `judge`, or in the only column of a judge. `known` are
    the grades that `judge` gave before.

    Raises DataError, with file, line, column and value: for a missing column, a rating that is no
    grade, two grades for one pair, and a file that has no pair of the pool.
    """
    columns, rows = table_rows(path)
    names = {name.strip().lower(): name for name in reversed(columns)}
    column = _rating_column(path, columns, judge)
    for key in ("query", "docid"):
        if key not in names and not (key == "query" and "qid" in names):
            raise DataError(
                f"{path} has no column {key!r}; its columns are {', '.join(map(repr, columns))}; "
                "expected query,docid,rating, or query,docid and a column for each judge"
            )
    ids = {trec_query_id(text): query for query, text in texts.texts.items()}
    wanted = set(open_pairs)
    found: dict[Pair, int] = {}
    empty = already = outside = 0
    for location, row in rows:
        cell = cell_text(row, column).strip()
        if not cell:
            empty += 1
            continue
        rating = rating_of(path, location.line, cell, column)
        if "qid" in names:
            query = trec_id(cell_text(row, names["qid"]))
        else:
            text = trec_query_id(cell_text(row, names["query"]))
            query = ids.get(text, text)
        pair = Pair(query, trec_id(cell_text(row, names["docid"]).strip()))
        before = known.get(pair, found.get(pair))
        if before is not None and before != rating:
            raise location.error(
                column,
                cell,
                f"differs from {judge}'s grade for this pair before, {before}; keep one",
            )
        if before is not None:
            already += 1
        elif pair in wanted:
            found[pair] = rating
        else:
            outside += 1
    if outside and not found and not already:
        raise DataError(
            f"none of the {outside} ratings in {path} is of a pair that the runs show and the "
            "qrels lack; give the runs that it was made for, with the same -k"
        )
    graded = tuple(Graded(pair, rating) for pair, rating in found.items())
    return Imported(graded, already, outside, empty)


def _rating_column(path: Path, columns: Sequence[str], judge: str) -> str:
    usual = {name.strip().lower(): name for name in reversed(columns)}
    if "rating" in usual:
        return usual["rating"]
    judges = [name for name in columns if name.strip().lower() not in {*_KEYS, *_PRODUCT}]
    for name in judges:
        if name.strip() == judge:
            return name
    if len(judges) == 1:
        return judges[0]
    listed = ", ".join(repr(name.strip()) for name in judges)
    raise DataError(
        f"{path} has no column 'rating' and no column of judge {judge!r}; "
        + (
            f"pass --judge for one of its judges: {listed}"
            if judges
            else "it has no judge's column"
        )
    )


def _key_columns(texts: QueryTexts) -> list[str]:
    return ["query", "docid"] if texts.are_ids else ["qid", "query", "docid"]


def _key(pair: Pair, texts: QueryTexts) -> list[str]:
    key = [
        _plain(texts.texts.get(pair.query, from_trec_id(pair.query))),
        from_trec_id(pair.document),
    ]
    return key if texts.are_ids else [from_trec_id(pair.query), *key]


def _plain(value: object) -> str:
    """One line of text that no spreadsheet runs."""
    text = " ".join(("" if value is None else str(value)).split())
    return f" {text}" if text.startswith(_FORMULA) else text


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    try:
        with (
            replacing(path) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="", errors="surrogatepass") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
