"""Judge: everything that `qtr judge` works on, from its files to the session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.evaluate.qrels import Qrels, merge_qrels, read_qrels
from qtr_rerank.evaluate.runs import Run, read_run
from qtr_rerank.judge.agreement import agreements
from qtr_rerank.judge.catalog import Catalog
from qtr_rerank.judge.comparison import Comparison
from qtr_rerank.judge.drawing import ORDERS, Drawing
from qtr_rerank.judge.exchange import read_ratings, write_book, write_pairs
from qtr_rerank.judge.judgment_file import Graded, JudgmentFile, read_graded
from qtr_rerank.judge.pool import Pair, Pool, QueryTexts, Ratings, check_scale, pooled
from qtr_rerank.judge.session import Session, is_shared
from qtr_rerank.judge.standing import agreement_text, standing_text
from qtr_rerank.trec import from_trec_id


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """The files and options of one judge. `texts` are the queries by TREC id, None where each id
    is its query; the others are the options of `qtr judge`.
    """

    runs: Sequence[Path]
    index: Path
    out: Path
    qrels: Sequence[Path] = ()
    judge: str = "me"
    others: Sequence[Path] = ()
    overlap: float = 0.1
    order: str = "drawn"
    depth: int = 10
    texts: Mapping[str, str] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.judge.strip() or len(self.judge.splitlines()) != 1:
            raise SettingsError(f"the judge is {self.judge!r}; expected a name on one line")
        if self.order not in ORDERS:
            raise SettingsError(f"the order is {self.order!r}; expected one of {', '.join(ORDERS)}")
        read = (*self.qrels, *self.others, *self.runs)
        same = next((path for path in read if path.resolve() == self.out.resolve()), None)
        if same is not None:
            raise SettingsError(
                f"-o is {self.out}, which is read here, too; give your judgments a file of their "
                "own"
            )


class Work:
    """The pool of some runs, and the files of its judges. `Work.prepare` makes it."""

    def __init__(self, settings: JudgeSettings, catalog: Catalog) -> None:
        self._settings = settings
        self.catalog = catalog
        runs = [read_run(path) for path in settings.runs]
        self._names = _names(runs)
        self._ratings: Ratings = {}
        warning = ""
        if settings.qrels:
            qrels = merge_qrels([read_qrels(path) for path in settings.qrels])
            self._ratings = qrels.ratings
            _check_shared(runs, qrels)
            warning = check_scale(qrels.name, qrels.ratings)
        self._pool = pooled(
            runs, self._ratings, catalog.holds, depth=settings.depth, seed=settings.seed
        )
        self.texts = QueryTexts(self._pool.queries, settings.texts)
        self._others = _read_others(settings)
        self.warnings = tuple(filter(None, (warning, _unknown(self._pool, settings.index))))

    @classmethod
    @contextmanager
    def prepare(cls, settings: JudgeSettings) -> Iterator[Work]:
        """Read and check all files but the output. Raises QtrError."""
        catalog = Catalog(settings.index)
        try:
            yield cls(settings, catalog)
        finally:
            catalog.close()

    def session(self) -> Session:
        """A session that writes the output file. Raises DataError where that cannot be resumed."""
        settings = self._settings
        file = JudgmentFile(settings.out, settings.judge, self.texts)
        try:
            return Session(
                self._pool,
                self._ratings,
                file,
                _last_grades(self._others.values()),
                order=settings.order,
                overlap=settings.overlap,
                seed=settings.seed,
            )
        except BaseException:
            file.close()
            raise

    def standing(self) -> str:
        """How the comparison stands by all judges' files, and how far the judges agree."""
        judges = self._judges()
        comparison = self._comparison()
        open_pairs = set(self._pool.open)
        left = sum(pair.document not in comparison.grades[pair.query] for pair in open_pairs)
        judged = len(open_pairs) - left
        parts = [
            standing_text(self._names, comparison, self._drawing()),
            f"{judged} of {len(open_pairs)} pairs judged: {self._settings.out}",
        ]
        if len(judges) > 1:
            parts.append(agreement_text(agreements(judges)))
        return "\n".join(parts)

    def add(self, path: Path) -> str:
        """Add the judge's grades in a CSV from elsewhere. Raises DataError before any is added."""
        session = self.session()
        try:
            known = {graded.pair: graded.rating for graded in session.graded}
            imported = read_ratings(path, self._settings.judge, self.texts, self._pool.open, known)
            for graded in imported.graded:
                session.judge(graded.pair, graded.rating)
        finally:
            session.close()
        left_out = {
            "judged before": imported.known,
            "not pairs of these runs, or in the qrels": imported.outside,
            "without a rating": imported.empty,
        }
        notes = "".join(f"; {count:,} {why}" for why, count in left_out.items() if count)
        return f"{len(imported.graded):,} grades added from {path}{notes}\n"

    def write_pairs(self, path: Path) -> int:
        """Write the pairs that are left for the judge, most useful first; returns their number."""
        settings = self._settings
        comparison = self._comparison()
        own, *others = self._judges().values()
        judged = {graded.pair for graded in own}
        by_others = {graded.pair for rows in others for graded in rows}
        left = [
            pair
            for pair in self._pool.open
            if pair not in judged
            and (pair not in by_others or is_shared(pair, settings.overlap, settings.seed))
        ]
        drawing = self._drawing()
        if settings.order == "useful":
            useful = comparison.usefulness()
            left.sort(key=lambda pair: (-useful.get(pair, 0.0), drawing.place[pair]))
        else:
            left.sort(key=drawing.place.__getitem__)
        pairs = sorted(left, key=lambda pair: pair not in by_others)
        write_pairs(path, pairs, self.texts, self.catalog)
        return len(pairs)

    def write_book(self, path: Path) -> int:
        """Write the grades of all judges; returns the number of judges."""
        judges = self._judges()
        write_book(path, judges, self.texts)
        return len(judges)

    def _drawing(self) -> Drawing:
        return Drawing(Comparison(self._pool, self._ratings), self._settings.seed)

    def _comparison(self) -> Comparison:
        """The comparison by all judges' grades; this judge's hold where another's differ."""
        comparison = Comparison(self._pool, self._ratings)
        own, *others = self._judges().values()
        for pair, rating in _last_grades([*others, own]).items():
            comparison.judge(pair, rating)
        return comparison

    def _judges(self) -> dict[str, list[Graded]]:
        """The grades of each judge, this one first."""
        own: list[Graded] = []
        if self._settings.out.exists():
            _, own = read_graded(self._settings.out)
        return {self._settings.judge: own, **self._others}


def _check_shared(runs: Sequence[Run], qrels: Qrels) -> None:
    for run in runs:
        if not run.rankings.keys() & qrels.ratings.keys():
            raise DataError(
                f"{run.path} has no query of {qrels.name}: its ids look like "
                f"{next(iter(run.rankings))!r}, theirs like {next(iter(qrels.ratings))!r}; give "
                "qrels with the same query ids, or none"
            )


def _names(runs: Sequence[Run]) -> list[str]:
    names = [run.name for run in runs]
    # Files with the same name in several folders: only their paths are unique.
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def _read_others(settings: JudgeSettings) -> dict[str, list[Graded]]:
    found: dict[str, list[Graded]] = {}
    for path in settings.others:
        judge, graded = read_graded(path)
        if judge in (settings.judge, *found):
            raise SettingsError(
                f"{path} holds judgments of {judge!r}, as another file here; give each judge one "
                "file, and yourself another name by --judge"
            )
        if judge:
            found[judge] = graded
    return found


def _last_grades(files: Iterable[Sequence[Graded]]) -> dict[Pair, int]:
    """The grade of each pair: that of the last file, as in `evaluate.qrels.merge_qrels`."""
    return {graded.pair: graded.rating for rows in files for graded in rows}


def _unknown(pool: Pool, index: Path) -> str:
    if not pool.unknown:
        return ""
    first = from_trec_id(pool.unknown[0].document)
    return (
        f"{len(pool.unknown):,} pairs are left out: {index} does not hold their products, such as "
        f"{first!r}; they stay unjudged"
    )
