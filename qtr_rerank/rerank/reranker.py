"""Rerank: one student over the documents of one query, as a library call."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import CatalogIndexError, DataError, ScoringError
from qtr_rerank.records import Ranked
from qtr_rerank.rerank.blend import blended
from qtr_rerank.rerank.cascade import BLOCK, RETRIEVE, passed, prior_penalty
from qtr_rerank.rerank.documents import Document, id_of, listed, signals_of, text_of
from qtr_rerank.rerank.settings import RerankSettings
from qtr_rerank.rerank.title_cache import TitleCache
from qtr_rerank.runtime.id_table import Positions
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.runtime.session import Arrays
from qtr_rerank.runtime.title_store import TitleStore
from qtr_rerank.template import ProductText

__all__ = ["Document", "Reranker"]

_LOG = logging.getLogger(__name__)
# Of a logit. What is beyond depends on the titles that one was read with, and equal titles would
# not keep the order given.
_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Request:
    """A query and the titles to score for it, or where their stored features are: as `logits`
    takes them.
    """

    query: str
    titles: Sequence[str | None]
    positions: Positions | None = None


class Reranker:
    """A student ready to order documents. Safe to share between threads.

        Reranker.load("match").rerank("usb c cable", ["USB-C cable 2 m", "Phone case"])

    With an index, `rerank_ids` uses the stored title features: titles are not read again.
    """

    def __init__(
        self, scorer: Scorer, store: TitleStore | None = None, cache: TitleCache | None = None
    ) -> None:
        self.name = scorer.name
        self._scorer = scorer
        self._store = store
        self._cache = cache
        self._features = store.features(scorer.name) if store is not None else {}

    @classmethod
    def load(
        cls,
        name_or_folder: str | Path,
        *,
        index: str | Path | None = None,
        threads: int = 1,
        cache: int = 0,
    ) -> Reranker:
        """Load a model by name (see `qtr models`) or folder, and the stored titles of `index`.

        With `cache` what was read of so many titles is kept, and a title that comes again is not
        read again: some 2.5 kB each for `match`, less for the others.
        Raises ArtifactError for an unknown or damaged model, CatalogIndexError where the index
        was made with another model than this one.
        """
        reranker = cls(
            Scorer.load(name_or_folder, threads), cache=TitleCache(cache) if cache else None
        )
        return reranker if index is None else reranker.with_index(index)

    def with_index(self, index: str | Path) -> Reranker:
        """The same model with the stored titles of `index`.

        Raises CatalogIndexError where the index was made with another model than this one.
        """
        scorer = self._scorer
        made_with = IndexManifest.load(index).models.get(scorer.name)
        if made_with != scorer.fingerprint:
            raise CatalogIndexError(
                f"{index} was made with {scorer.name} {(made_with or 'not at all')[:12]}, this one "
                f"is {scorer.fingerprint[:12]}; index the catalog again"
            )
        return type(self)(scorer, TitleStore.open(Path(index) / "store"), self._cache)

    @property
    def reads(self) -> ProductText:
        """The template of what the model reads of a product."""
        return self._scorer.reads

    @property
    def scorer(self) -> Scorer:
        """The model itself."""
        return self._scorer

    @property
    def store(self) -> TitleStore | None:
        """The stored titles, where this reranker was loaded with an index."""
        return self._store

    def rerank(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None = None,
        *,
        min_score: float | None = None,
        prior: float = 0.0,
        blend: Mapping[str, float] | None = None,
        timeout_ms: float | None = None,
        fail_open: bool = False,
    ) -> list[Ranked]:
        """All documents, or the best `top_k`, best first; equal scores keep the given order.

        A document is a text, a `Product`, or a mapping with `title` (or `text`) and perhaps `id`,
        `brand` and `category`; it comes back as it was given in `Ranked.document`. Without an id,
        its place is its id. Of a product, or of a mapping with `title`, the model reads what its
        template says (`Scorer.reads`); a plain text, or `text`, it reads as it is.

        `prior` has the given order count, where it is one by relevance: so many logits are taken
        off for each e-fold of (place + 10); 2 is what the search of this package uses.
        `min_score` leaves out those of a lower `Ranked.score`. `blend` mixes in other signals of
        the documents (numbers by that key in a mapping or in `Product.extra`) with weights that add
        up to 1 at most: {"bm25": 0.2} is four fifths the model's probability, a fifth BM25 brought
        to 0..1 over these documents; `Ranked.score` is then the mixture, see `blended`.

        Past `timeout_ms` the documents not yet scored stay behind those that are, in the order
        given, and so do all of them where `fail_open` is set and the model fails: their
        `Ranked.stage` is "retrieve", their score 0, and `min_score` does not drop them.
        Raises DataError for a document that is none of these, naming the place, SettingsError for
        settings that cannot be met, and ScoringError where the model fails.
        """
        wishes = RerankSettings(top_k, min_score, prior, blend or {}, timeout_ms, fail_open)
        return self._rerank(query, documents, wishes, time.perf_counter())

    def _rerank(
        self, query: str, documents: Iterable[Document], wishes: RerankSettings, asked: float
    ) -> list[Ranked]:
        """`rerank`, asked for at that reading of `time.perf_counter`."""
        _require_query(query)
        documents = listed(documents)
        titles = [text_of(document, place, self.reads) for place, document in enumerate(documents)]
        ids = [id_of(document, place) for place, document in enumerate(documents)]
        signals = signals_of(documents, wishes.blend)
        logits = self._logits(query, titles, None, wishes, asked)
        scores = self.probabilities(logits)
        if wishes.blend:
            scores = blended(scores, signals, wishes.blend)
        return self._ranked(scores, logits, ids, documents, wishes)

    def rerank_ids(
        self,
        query: str,
        ids: Iterable[str],
        top_k: int | None = None,
        *,
        min_score: float | None = None,
        prior: float = 0.0,
        timeout_ms: float | None = None,
        fail_open: bool = False,
    ) -> list[Ranked]:
        """As `rerank`, for products of the index: one matrix product in place of reading titles.

        Raises UnknownIdError naming the first id that the index lacks, CatalogIndexError where
        this reranker was loaded without an index.
        """
        asked = time.perf_counter()
        wishes = RerankSettings(top_k, min_score, prior, {}, timeout_ms, fail_open)
        _require_query(query)
        ids = _id_list(ids)
        if self._store is None:
            raise CatalogIndexError(
                "rerank_ids needs stored titles; load with Reranker.load(name, index=FOLDER)"
            )
        positions = self._store.positions(ids)
        logits = self._logits(query, [None] * len(ids), positions, wishes, asked)
        return self._ranked(self.probabilities(logits), logits, ids, ids, wishes)

    def rerank_many(
        self,
        requests: Iterable[tuple[str, Iterable[Document]]],
        top_k: int | None = None,
        *,
        progress: Callable[[int], None] | None = None,
        min_score: float | None = None,
        prior: float = 0.0,
        blend: Mapping[str, float] | None = None,
        timeout_ms: float | None = None,
        fail_open: bool = False,
    ) -> list[list[Ranked]]:
        """`rerank` for each (query, documents), in their order; the settings hold for each.

        `progress` is called after each with the number done so far.
        """
        wishes = RerankSettings(top_k, min_score, prior, blend or {}, timeout_ms, fail_open)
        answers: list[list[Ranked]] = []
        for query, documents in requests:
            answers.append(self._rerank(query, documents, wishes, time.perf_counter()))
            if progress is not None:
                progress(len(answers))
        return answers

    async def arerank(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None = None,
        *,
        min_score: float | None = None,
        prior: float = 0.0,
        blend: Mapping[str, float] | None = None,
        timeout_ms: float | None = None,
        fail_open: bool = False,
    ) -> list[Ranked]:
        """`rerank` in a thread of asyncio's, so that the event loop goes on meanwhile."""
        # Here: it is a tenth of what importing this module takes.
        import asyncio

        wishes = RerankSettings(top_k, min_score, prior, blend or {}, timeout_ms, fail_open)
        # From now on: the thread may have to wait for its turn.
        asked = time.perf_counter()
        return await asyncio.to_thread(self._rerank, query, documents, wishes, asked)

    def logits(
        self,
        query: str,
        titles: Sequence[str | None],
        positions: Positions | None = None,
        *,
        deadline: float | None = None,
    ) -> NDArray[np.float32]:
        """Logits (titles,); NaN for what has no title, and for what a deadline left unscored.

        `positions` (titles,) say where the stored features of a document are, which are then used
        in place of its title; -1 where there are none. `deadline` is a reading of
        `time.perf_counter`. Documents are scored in the order given, a block at a time, and to four
        decimals. To a query without words all are alike, 0.
        """
        found = np.full(len(titles), np.nan, dtype=np.float32)
        if passed(deadline):
            return found
        stored = _positions(titles, positions)
        wanted = _readable(titles, stored)
        if not query.strip():
            found[wanted] = 0.0
            return found
        query_features = self._scorer.encode_queries([query])
        for start in range(0, len(wanted), BLOCK):
            if passed(deadline):
                break
            places = wanted[start : start + BLOCK]
            features = self._block(titles, places, stored[places])
            found[places] = self._scorer.score(query_features, features)
        return np.round(found, _DECIMALS)

    def logits_together(self, requests: Sequence[Request]) -> list[NDArray[np.float32]]:
        """`logits` of each of several small requests, whose texts are read together.

        A handful of titles hardly fills a graph's run: ten requests of ten documents take half the
        time of ten calls. All of them are in memory at once.
        """
        titles = [title for request in requests for title in request.titles]
        stored = np.concatenate([_positions(one.titles, one.positions) for one in requests])
        wanted = _readable(titles, stored)
        features = self._block(titles, wanted, stored[wanted])
        queries = self._scorer.encode_queries([request.query for request in requests])
        found = np.full(len(titles), np.nan, dtype=np.float32)
        ends = np.cumsum([len(request.titles) for request in requests])
        for place, (start, end) in enumerate(pairwise([0, *wanted.searchsorted(ends)])):
            if not requests[place].query.strip():
                found[wanted[start:end]] = 0.0
            elif start < end:
                query_features = {name: rows[place : place + 1] for name, rows in queries.items()}
                title_features = {name: rows[start:end] for name, rows in features.items()}
                found[wanted[start:end]] = self._scorer.score(query_features, title_features)
        return np.split(np.round(found, _DECIMALS), ends[:-1])

    def _block(
        self, titles: Sequence[str | None], places: Positions, positions: Positions
    ) -> Arrays:
        """Features of one block: stored ones where there are any, of the titles read now else."""
        kept = positions >= 0
        if kept.all():
            return {name: rows[positions] for name, rows in self._features.items()}
        texts = [titles[place] or "" for place in places[~kept].tolist()]
        encode = self._scorer.encode_titles
        read = encode(texts) if self._cache is None else self._cache.features(texts, encode)
        if not kept.any():
            return read
        mixed: Arrays = {}
        for name, rows in read.items():
            mixed[name] = np.empty((len(places), *rows.shape[1:]), dtype=rows.dtype)
            mixed[name][~kept] = rows
            mixed[name][kept] = self._features[name][positions[kept]]
        return mixed

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities of relevance; 0 where the logit is NaN."""
        # In 64 bits: in 32, neighbours may change places.
        probabilities = self._scorer.probabilities(logits.astype(np.float64))
        return np.where(np.isnan(logits), 0.0, probabilities)

    def _logits(
        self,
        query: str,
        titles: Sequence[str | None],
        positions: Positions | None,
        wishes: RerankSettings,
        asked: float,
    ) -> NDArray[np.float32]:
        """Logits less the prior's part; NaN for what was not scored."""
        try:
            logits = self.logits(query, titles, positions, deadline=wishes.deadline(asked))
        except ScoringError:
            if not wishes.fail_open:
                raise
            _LOG.exception("%s failed; the documents keep the order given", self.name)
            return np.full(len(titles), np.nan, dtype=np.float32)
        return with_prior(logits, wishes.prior)

    def _ranked(
        self,
        scores: NDArray[np.float64],
        logits: NDArray[np.float32],
        ids: Sequence[str],
        documents: Sequence[Any],
        wishes: RerankSettings,
    ) -> list[Ranked]:
        order = order_of(scores, logits)
        scored = ~np.isnan(logits)
        if wishes.min_score is not None:
            order = order[(scores[order] >= wishes.min_score) | ~scored[order]]
        return [
            Ranked(
                id=ids[place],
                index=place,
                rank=rank,
                score=float(scores[place]) if scored[place] else 0.0,
                logit=float(logits[place]) if scored[place] else 0.0,
                first_rank=place + 1,
                first_score=0.0,
                stage=self.name if scored[place] else RETRIEVE,
                document=documents[place],
            )
            for rank, place in enumerate(order[: wishes.top_k].tolist(), start=1)
        ]


def _positions(titles: Sequence[str | None], positions: Positions | None) -> Positions:
    return np.full(len(titles), -1, dtype=np.int64) if positions is None else positions


def _readable(titles: Sequence[str | None], positions: Positions) -> Positions:
    """Places of what has stored features, or a title."""
    has_title = np.fromiter((title is not None for title in titles), dtype=bool, count=len(titles))
    places: Positions = np.flatnonzero((positions >= 0) | has_title)
    return places


def with_prior(logits: NDArray[np.float32], prior: float) -> NDArray[np.float32]:
    """Logits (documents,) less what a prior takes off for the place that each was given in."""
    if prior == 0.0:
        return logits
    less = logits - prior * prior_penalty(len(logits))
    return np.maximum(less, np.finfo(np.float32).min).astype(np.float32)


def order_of(scores: NDArray[np.float64], logits: NDArray[np.float32]) -> Positions:
    """Places (documents,) by falling score, what has no logit (NaN) last; ties as they were given.

    Equal scores go by their logits: probabilities saturate at 1.0 and would tie.
    """
    unscored = np.isnan(logits)
    order: Positions = np.lexsort(
        (-np.nan_to_num(logits), -np.where(unscored, 0.0, scores), unscored)
    )
    return order


def _require_query(query: str) -> None:
    if not isinstance(query, str):
        raise DataError(f"the query is {query!r}; expected a text")


def _id_list(ids: Iterable[str]) -> list[str]:
    if isinstance(ids, str | Mapping) or not isinstance(ids, Iterable):
        raise DataError(f"the ids are {str(ids)[:80]!r}; expected a list of them")
    given = list(ids)
    for place, one in enumerate(given):
        if not isinstance(one, str):
            raise DataError(f"id {place} is {one!r}; expected a text, as in the catalog")
    return given
