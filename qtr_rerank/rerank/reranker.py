"""Rerank: one student over the documents of one query, as a library call."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qtr_rerank.errors import CatalogIndexError, DataError, ScoringError
from qtr_rerank.records import Ranked
from qtr_rerank.rerank.documents import (
    Document,
    id_of,
    require_documents,
    require_ids,
    signals_of,
    text_of,
)
from qtr_rerank.rerank.kernel import Places, Ranking, first_order, reordered, score_titles
from qtr_rerank.rerank.rerank_settings import RerankSettings
from qtr_rerank.rerank.search_response import SearchResponse
from qtr_rerank.rerank.title_cache import TitleCache
from qtr_rerank.runtime.id_table import Positions
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.runtime.session import Arrays
from qtr_rerank.runtime.title_store import TitleStore
from qtr_rerank.template import ProductText

__all__ = ["Document", "Reranker"]

_LOG = logging.getLogger(__name__)

Response = TypeVar("Response", bound=Mapping[str, Any])


class Reranker:
    """A student ready to order documents. Safe to share between threads.

        Reranker.load("match").rerank("usb c cable", ["USB-C cable 2 m", "Phone case"])

    With an index, `rerank_ids` uses stored title features and reads no title.
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

        `cache` is the number of titles whose features are kept, so that a title that comes again
        is not encoded again; about 2.5 kB each for `match`, less for the other models.
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
        `brand` and `category`; `Ranked.document` is the same object. Without an id, its place is
        its id. The model's template (`Reranker.reads`) renders a product or a mapping with `title`;
        a plain text, or `text`, is read unchanged.

        `prior` makes the given order count, where it is one by relevance: so many logits are taken
        off for each e-fold of (place + 10). The search of this package uses 2.
        `min_score` drops documents of a lower `Ranked.score`. `blend` mixes in other signals of
        the documents (numbers by that key in a mapping or in `Product.extra`) with weights that add
        up to 1 at most: {"bm25": 0.2} is 0.8 times the model's probability plus 0.2 times BM25,
        scaled to 0..1 over these documents (see `blended`). `Ranked.score` is then the mixture.

        Documents not yet scored after `timeout_ms` stay behind the scored ones, in the order
        given; so do all documents where `fail_open` is set and the model fails. Their
        `Ranked.stage` is "retrieve", their score 0, and `min_score` does not drop them.
        Raises DataError for a document that is none of these, naming its place, SettingsError for
        options out of range, and ScoringError where the model fails.
        """
        options = RerankSettings(top_k, min_score, prior, blend or {}, timeout_ms, fail_open)
        return self._rerank(query, documents, options, time.perf_counter())

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
        """As `rerank`, for products of the index: stored features, so no title is read.

        Raises UnknownIdError naming the first id that the index lacks, CatalogIndexError where
        this reranker was loaded without an index.
        """
        started = time.perf_counter()
        options = RerankSettings(top_k, min_score, prior, {}, timeout_ms, fail_open)
        _require_query(query)
        ids = require_ids(ids)
        if self._store is None:
            raise CatalogIndexError(
                "rerank_ids needs stored titles; load with Reranker.load(name, index=FOLDER)"
            )
        positions = self._store.positions(ids)
        ranking = self._ranking(query, [None] * len(ids), positions, options, started)
        return ranking.hits(lambda places: _at(ids, places), options.top_k, documents=ids)

    def rerank_hits(
        self,
        query: str,
        response: Response,
        *,
        title: str | Sequence[str] = "title",
        prior: float = 0.0,
        timeout_ms: float | None = None,
        fail_open: bool = False,
    ) -> Response:
        """A search engine's response with its hits reordered and everything else as it was.

        `response` is the JSON of a search in OpenSearch or Elasticsearch (`hits.hits`) or Solr
        (`response.docs`); it is not changed. `title` names the field that the model reads, or
        several fields to join: in `_source` or `fields`, with dots for inner objects. Hits keep
        all of their own content, `_score` included. With an index, hits whose id it holds are
        scored from stored features. A hit without such a text stays behind the others.
        `prior`, `timeout_ms` and `fail_open` are those of `rerank`.
        Raises DataError where the response has another form, or no hit has such a text.
        """
        started = time.perf_counter()
        options = RerankSettings(None, None, prior, {}, timeout_ms, fail_open)
        _require_query(query)
        found = SearchResponse.read(response)
        positions = None if self._store is None else self._store.find(found.ids)
        titles = found.titles(title, required=positions is None or not (positions >= 0).any())
        ranking = self._ranking(query, titles, positions, options, started)
        return found.reordered(ranking.order.tolist())

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
        """`rerank` for each (query, documents), in their order; the options hold for each.

        `progress` is called after each one with the number done so far.
        """
        options = RerankSettings(top_k, min_score, prior, blend or {}, timeout_ms, fail_open)
        results: list[list[Ranked]] = []
        for query, documents in requests:
            results.append(self._rerank(query, documents, options, time.perf_counter()))
            if progress is not None:
                progress(len(results))
        return results

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
        """`rerank` in a thread of asyncio's pool, so that the event loop is not blocked."""
        # Imported here: asyncio is a tenth of this module's import time.
        import asyncio

        options = RerankSettings(top_k, min_score, prior, blend or {}, timeout_ms, fail_open)
        # The time-out counts from now: the call may have to wait for a free thread.
        started = time.perf_counter()
        return await asyncio.to_thread(self._rerank, query, documents, options, started)

    def logits(
        self,
        query: str,
        titles: Sequence[str | None],
        positions: Positions | None = None,
        *,
        deadline: float | None = None,
    ) -> NDArray[np.float32]:
        """Logits (titles,); NaN for None without stored features, and past the deadline.

        `positions` (titles,) are those of stored features, which are used instead of the title;
        -1 where there are none. `deadline` is a reading of `time.perf_counter`. Titles are scored
        in the order given, a block at a time. An empty query scores every title 0.
        """
        stored = _no_positions(len(titles)) if positions is None else positions
        readable = _readable(titles, stored)
        logits = np.full(len(titles), np.nan, dtype=np.float32)
        logits[readable] = score_titles(
            self._scorer,
            query,
            readable,
            lambda places: self._features_of(titles, stored, places),
            deadline,
        )
        return logits

    def _rerank(
        self, query: str, documents: Iterable[Document], options: RerankSettings, started: float
    ) -> list[Ranked]:
        """`rerank`, called at `started`, a reading of `time.perf_counter`."""
        _require_query(query)
        documents = require_documents(documents)
        titles = [text_of(document, place, self.reads) for place, document in enumerate(documents)]
        ids = [id_of(document, place) for place, document in enumerate(documents)]
        signals = signals_of(documents, options.blend)
        ranking = self._ranking(query, titles, None, options, started, signals)
        return ranking.hits(lambda places: _at(ids, places), options.top_k, documents=documents)

    def _ranking(
        self,
        query: str,
        titles: Sequence[str | None],
        positions: Positions | None,
        options: RerankSettings,
        started: float,
        signals: Mapping[str, Sequence[float | None]] | None = None,
    ) -> Ranking:
        stored = _no_positions(len(titles)) if positions is None else positions
        unreadable = np.ones(len(titles), dtype=np.bool_)
        unreadable[_readable(titles, stored)] = False
        first = first_order(len(titles), unreadable=unreadable)
        try:
            logits = self.logits(query, titles, stored, deadline=options.deadline(started))
        except ScoringError:
            if not options.fail_open:
                raise
            _LOG.exception("%s failed; the documents keep the order given", self.name)
            return first
        ranking = reordered(
            first,
            self._scorer,
            logits,
            prior=options.prior,
            blend=options.blend,
            signals=signals,
        )
        return ranking if options.min_score is None else ranking.at_least(options.min_score)

    def _features_of(
        self, titles: Sequence[str | None], positions: Positions, places: Places
    ) -> Arrays:
        """Title features (places, ...): stored ones where there are any, else encoded now."""
        rows = positions[places]
        stored = rows >= 0
        if stored.all():
            return {name: values[rows] for name, values in self._features.items()}
        texts = [titles[place] or "" for place in places[~stored].tolist()]
        encode = self._scorer.encode_titles
        encoded = encode(texts) if self._cache is None else self._cache.features(texts, encode)
        if not stored.any():
            return encoded
        mixed: Arrays = {}
        for name, values in encoded.items():
            mixed[name] = np.empty((len(places), *values.shape[1:]), dtype=values.dtype)
            mixed[name][~stored] = values
            mixed[name][stored] = self._features[name][rows[stored]]
        return mixed


def _no_positions(count: int) -> Positions:
    return np.full(count, -1, dtype=np.int64)


def _readable(titles: Sequence[str | None], positions: Positions) -> Places:
    """Places of the documents with stored features or a title."""
    has_title = np.fromiter((title is not None for title in titles), dtype=bool, count=len(titles))
    places: Places = np.flatnonzero((positions >= 0) | has_title)
    return places


def _at(ids: Sequence[str], places: Places) -> list[str]:
    return [ids[place] for place in places.tolist()]


def _require_query(query: str) -> None:
    if not isinstance(query, str):
        raise DataError(f"the query is {query!r}; expected a text")
