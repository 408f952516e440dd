"""Judge: one judge's grades in a CSV file, each on the disk before the next pair is shown.

    query,docid,rating,judge

A column `qid` comes first where the ids of the runs are not the queries. `qtr evaluate --qrels`
reads the file. A grade is one write at its end; undoing one cuts it off. So a killed process loses
nothing but a row that it was just writing, which is cut off when the file is opened again.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.errors import DataError
from qtr_rerank.judge.guidelines import RATINGS
from qtr_rerank.judge.pool import Pair, QueryTexts
from qtr_rerank.trec import from_trec_id, trec_id, trec_query_id

_COLUMNS = ("query", "docid", "rating", "judge")


@dataclass(frozen=True, slots=True)
class Graded:
    """A pair with its grade."""

    pair: Pair
    rating: int


def read_graded(path: Path) -> tuple[str, list[Graded]]:
    """The judge and the grades of a file that `qtr judge` wrote; ("", []) for one without rows.

    Raises DataError, with file, line, column and value, for a file of another kind.
    """
    judge, rows, _ = _read(path)
    return judge, [row for row, _ in rows]


class JudgmentFile:
    """One judge's file, open for writing. No second process can open it meanwhile."""

    def __init__(self, path: Path, judge: str, texts: QueryTexts) -> None:
        """Create the file, or resume it.

        Raises DataError if it holds another judge's grades or is no file of judgments, and if
        another process has it open.
        """
        self.path = path
        self._judge = judge
        self._texts = texts
        self._columns = _COLUMNS if texts.are_ids else ("qid", *_COLUMNS)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise DataError(
                f"{path} cannot be written: {error.strerror}; give -o a file in an existing folder"
            ) from error
        try:
            self._lock()
            self._rows = self._resume()
        except BaseException:
            os.close(self._file)
            raise

    @property
    def graded(self) -> list[Graded]:
        """All grades in the file, in the order in which they were given."""
        return [row for row, _ in self._rows]

    def append(self, graded: Graded) -> None:
        """Write a grade. It is on the disk when this returns."""
        self._write(self._line(graded))
        self._rows.append((graded, os.fstat(self._file).st_size))

    def drop_last(self) -> Graded:
        """Cut off the last grade and return it. Raises IndexError if there is none."""
        graded, _ = self._rows.pop()
        os.ftruncate(self._file, self._rows[-1][1] if self._rows else self._header_end)
        os.fsync(self._file)
        return graded

    def close(self) -> None:
        """Close the file. Nothing is left to write."""
        os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                f"another qtr judge writes {self.path}; end it, or give a file for each judge"
            ) from error

    def _resume(self) -> list[tuple[Graded, int]]:
        if not os.fstat(self._file).st_size:
            self._header_end = self._write(_csv_line(self._columns))
            return []
        judge, rows, complete = _read(self.path)
        if judge not in ("", self._judge):
            raise DataError(
                f"{self.path} holds the judgments of {judge!r}, not of {self._judge!r}; each judge "
                f"has a file: pass --judge {judge!r}, or another -o"
            )
        header = _header(self.path)
        if header != self._columns:
            raise DataError(
                f"{self.path} has the columns {','.join(header)}, and these runs need "
                f"{','.join(self._columns)}; it belongs to runs with other query ids: give "
                "another -o"
            )
        os.ftruncate(self._file, complete)
        os.fsync(self._file)
        self._header_end = len(_csv_line(self._columns))
        return rows

    def _line(self, graded: Graded) -> bytes:
        query = graded.pair.query
        cells = [
            self._texts.texts.get(query, from_trec_id(query)),
            from_trec_id(graded.pair.document),
            str(graded.rating),
            self._judge,
        ]
        return _csv_line(cells if self._texts.are_ids else [from_trec_id(query), *cells])

    def _write(self, line: bytes) -> int:
        os.write(self._file, line)
        os.fsync(self._file)
        return len(line)


def _csv_line(cells: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _header(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(next(csv.reader(file), []))


def _read(path: Path) -> tuple[str, list[tuple[Graded, int]], int]:
    """The judge, each grade with the position where its row ends, and the end of the last row.

    A last row without a line end was being written when the process ended: it is left out.
    """
    try:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1].decode("utf-8", "surrogatepass")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; give a readable file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}); give -o another file") from error
    lines = _Positions(whole)
    reader = csv.reader(lines)
    columns = tuple(next(reader, []))
    if columns not in (_COLUMNS, ("qid", *_COLUMNS)):
        raise DataError(
            f"{path} has the columns {','.join(columns) or 'of an empty line'}, not "
            f"{','.join(_COLUMNS)}: qtr judge did not write it; give another file"
        )
    judge, rows = "", []
    for cells in reader:
        graded, name = _graded(path, reader.line_num, columns, cells)
        if judge not in ("", name):
            raise DataError(
                f"{path}, line {reader.line_num}, column 'judge': {name!r} after {judge!r}; "
                "a file holds the judgments of one judge: split it"
            )
        judge = name
        rows.append((graded, lines.position))
    return judge, rows, lines.position


def _graded(
    path: Path, line: int, columns: Sequence[str], cells: Sequence[str]
) -> tuple[Graded, str]:
    row = dict(zip(columns, cells, strict=False))
    if len(cells) != len(columns):
        raise DataError(
            f"{path}, line {line}: {len(cells)} columns where the header has {len(columns)}"
        )
    query = trec_id(row["qid"]) if "qid" in row else trec_query_id(row["query"])
    return Graded(Pair(query, trec_id(row["docid"])), rating_of(path, line, row["rating"])), row[
        "judge"
    ]


def rating_of(path: Path, line: int, cell: str, column: str = "rating") -> int:
    """The cell as a grade. Raises DataError naming the place."""
    try:
        number = float(cell)
    except ValueError:
        number = -1.0
    if number not in RATINGS:
        raise DataError(
            f"{path}, line {line}, column {column!r}: {cell!r}; expected a grade, one of "
            f"{', '.join(map(str, RATINGS))}"
        )
    return int(number)


class _Positions:
    """Lines of a text; `position` is the number of bytes up to the end of the last one given."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.position = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.position += len(line.encode("utf-8", "surrogatepass"))
            yield line
