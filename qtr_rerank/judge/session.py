"""Judge: which pair comes next, and what happens to it. Knows no HTTP."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from qtr_rerank.errors import DataError
from qtr_rerank.judge.comparison import Comparison
from qtr_rerank.judge.drawing import Drawing, chance, state_of
from qtr_rerank.judge.judgment_file import Graded, JudgmentFile
from qtr_rerank.judge.pool import Pair, Pool, Ratings

# A judge stays with a query while its best pair has at least this share of the usefulness of the
# best of all. On Icecat this costs no more pairs, and a quarter of the changes of query
# (experiments/judging.py).
STAY = 0.25


@dataclass(frozen=True, slots=True)
class Progress:
    """`judged` counts all grades of the file, `left` the pairs that can still be judged.

    `state` is that of the comparison: "settled" if no grade can turn the order of any two runs,
    "likely settled" if the estimates of all others are clear, else "open".
    """

    judged: int
    left: int
    state: str


class Session:
    """One judge's work on one pool. Safe to share between threads.

    Grades of `others` count for the comparison, unless this judge grades the pair, too. Of the
    pairs that others graded, this judge gets the share `overlap`, first of all: the agreement of
    the judges is measured on them. It is the same share for every judge with the same `seed`.
    """

    def __init__(
        self,
        pool: Pool,
        ratings: Ratings,
        file: JudgmentFile,
        others: Mapping[Pair, int] | None = None,
        *,
        order: str = "drawn",
        overlap: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Resume what `file` holds. Raises DataError if it is not of this pool."""
        self._order = order
        self._file = file
        self._lock = threading.Lock()
        self._actions: list[tuple[str, Pair]] = []
        self._skipped: dict[Pair, None] = {}
        self._others = others or {}
        self._pairs = frozenset(pool.open)
        _check_belongs(file, pool, ratings)
        self.comparison = Comparison(pool, ratings)
        self._drawing = Drawing(self.comparison, seed)
        for pair, rating in self._others.items():
            self.comparison.judge(pair, rating)
        self._open = {
            pair for pair in pool.open if pair not in self._others or is_shared(pair, overlap, seed)
        }
        for graded in file.graded:
            self._take(graded)
        self._current = self._choose(file.graded[-1].pair.query if file.graded else None)

    @property
    def current(self) -> Pair | None:
        """The pair to judge now; None where all are judged."""
        return self._current

    @property
    def progress(self) -> Progress:
        """How far the judge is."""
        with self._lock:
            state = state_of(self.comparison, self._drawing)
            return Progress(len(self._file.graded), len(self._open), state)

    @property
    def graded(self) -> list[Graded]:
        """All grades in the file."""
        return self._file.graded

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo: a skip, or any grade of the file."""
        return bool(self._actions or self._file.graded)

    def judge(self, pair: Pair, rating: int) -> bool:
        """Keep a grade and go on. Returns False for a pair that is not open: it is judged already,
        or not of the pool.
        """
        with self._lock:
            if pair not in self._open:
                return False
            graded = Graded(pair, rating)
            self._file.append(graded)
            self._take(graded)
            self._skipped.pop(pair, None)
            self._actions.append(("judged", pair))
            self._current = self._choose(pair.query)
            return True

    def skip(self, pair: Pair) -> bool:
        """Leave a pair for later: it comes again after all others. False as in `judge`."""
        with self._lock:
            if pair not in self._open:
                return False
            self._skipped.pop(pair, None)
            self._skipped[pair] = None
            self._actions.append(("skipped", pair))
            self._current = self._choose(pair.query)
            return True

    def undo(self) -> Pair | None:
        """Take back the last skip or grade, also one of an earlier session, and show that pair.

        Returns the pair; None where there is nothing to undo.
        """
        with self._lock:
            if not self.can_undo:
                return None
            kind, pair = self._actions.pop() if self._actions else ("judged", None)
            if kind == "skipped" and pair is not None:
                self._skipped.pop(pair, None)
            else:
                pair = self._file.drop_last().pair
                self._give_back(pair)
            self._current = pair if pair in self._open else self._choose(None)
            return pair

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, graded: Graded) -> None:
        self._open.discard(graded.pair)
        self.comparison.judge(graded.pair, graded.rating)

    def _give_back(self, pair: Pair) -> None:
        # The file may hold grades for runs that are not given now.
        self._open |= {pair} & self._pairs
        if pair in self._others:
            self.comparison.judge(pair, self._others[pair])
        else:
            self.comparison.withdraw(pair)

    def _choose(self, query: str | None) -> Pair | None:
        waiting = self._open - self._skipped.keys()
        if not waiting:
            return next(iter(self._skipped), None)
        # The judges' agreement is measured first.
        waiting = waiting & self._others.keys() or waiting
        if self._order == "useful":
            return next_useful(self.comparison, self._drawing, waiting, query)
        return min(waiting, key=self._drawing.place.__getitem__)


def _check_belongs(file: JudgmentFile, pool: Pool, ratings: Ratings) -> None:
    """Raise DataError where the grades in `file` are of other runs or beside other qrels."""
    graded = file.graded
    twice = [one.pair for one in graded if one.pair.document in ratings.get(one.pair.query, {})]
    if twice:
        raise DataError(
            f"{file.path} rates {len(twice)} of the pairs that the qrels rate, such as "
            f"{twice[0].document!r} for {twice[0].query!r}; it was made beside other qrels: give "
            "those, or another -o"
        )
    pairs = set(pool.open)
    if graded and not any(one.pair in pairs for one in graded):
        raise DataError(
            f"none of the {len(graded)} judgments in {file.path} is of these runs, such as "
            f"{graded[0].pair.document!r} for {graded[0].pair.query!r}; give the runs that it was "
            "made for, or another -o"
        )


def next_useful(
    comparison: Comparison, drawing: Drawing, waiting: Collection[Pair], query: str | None
) -> Pair:
    """The pair to judge after one of `query`: the most useful, or one of the same query that is
    nearly as useful (STAY). Equal ones are in the order of the drawing.
    """
    useful = comparison.usefulness()

    def worth(pair: Pair) -> tuple[float, int]:
        return useful.get(pair, 0.0), -drawing.place[pair]

    best = max(waiting, key=worth)
    near = max((pair for pair in waiting if pair.query == query), key=worth, default=None)
    if near is not None and worth(near)[0] >= STAY * worth(best)[0]:
        return near
    return best


def is_shared(pair: Pair, overlap: float, seed: int) -> bool:
    """Whether every judge gets the pair: the same pairs for all of them."""
    # Another number than the drawing's, so that the shared pairs are no earlier than others.
    return chance(pair, ~seed) < overlap
