"""Page: one search engine as a shop: a request's products, its departments, searches to try."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from demo import view
from demo.home import Department, Suggestion, departments, suggestions
from demo.orders import compared_hits
from demo.request import DEPTH, PageRequest
from qtr_rerank.records import Facets, FacetValue, Filters, Product, Ranked, SearchResult

# How deep the first stage goes; the side-by-side view follows a product that far down.
CANDIDATES = 1000
# How many of the best hits say which facet values fit.
BEST = 36
# What a shop without departments puts on its home page, and how much of it.
SHELF_QUERY = "classic set with best finish"
SHELF = 12
# A catalog may have thousands of categories; a shop window has room for its largest.
MAX_CATEGORIES = 150


class Storefront(Protocol):
    """What the page needs of a search engine; `qtr_rerank.SearchEngine` is one."""

    @property
    def engine(self) -> str: ...

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        filters: Filters | None = None,
        stage: str = "rerank",
        candidates: int = 1000,
    ) -> SearchResult: ...

    def products(self, ids: Sequence[str]) -> list[Product]: ...

    def facets(self, query: str, filters: Filters | None = None) -> Facets: ...

    def __len__(self) -> int: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What one request found: `shown` is its page of the `ordered` hits that can be paged through,
    `best` the most relevant products, and `products` has every product that is named.
    """

    result: SearchResult
    ordered: int
    shown: tuple[Ranked, ...]
    best: tuple[Product, ...]
    products: Mapping[str, Product]
    facets: Facets


class Shop:
    """An engine with what its shop window needs, read once: departments and searches to try.

    Safe to share between threads, as the engine is.
    """

    def __init__(
        self,
        engine: Storefront,
        name: str,
        suggestions: Sequence[Suggestion] | None = None,
    ) -> None:
        self.engine = engine
        self.name = name
        self._given = None if suggestions is None else tuple(suggestions)
        self._departments: tuple[Department, ...] | None = None
        self._brands: tuple[str, ...] = ()
        self.currency = ""
        self._lock = threading.Lock()

    @property
    def known_departments(self) -> tuple[Department, ...]:
        """The departments if they were read before; a page about a fault asks for nothing."""
        return self._departments or ()

    def departments(self) -> tuple[Department, ...]:
        """The departments, largest categories first. Raises what the engine raises."""
        if self._departments is None:
            with self._lock:
                if self._departments is None:
                    self._departments = self._read_departments()
        return self._departments

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Searches for a newcomer to try."""
        if self._given is not None:
            return self._given
        return suggestions(self.departments(), self._brands)

    def shelf(self) -> tuple[Product, ...]:
        """A few products for the home page of a catalog without departments; else none."""
        if self.departments():
            return ()
        hits = self.engine.search(SHELF_QUERY, SHELF, stage="retrieve", candidates=SHELF).hits
        return tuple(self._products(hits).values())

    def product(self, product_id: str) -> Product:
        """One product. Raises UnknownIdError."""
        return self.engine.products([product_id])[0]

    def find(self, asked: PageRequest, *, last_page: bool = True) -> Found:
        """Search, sort and cut one page. With `last_page`, a page beyond the end is the last one;
        without, it is empty.
        """
        comparing = asked.view == "compare"
        filters = self.filters(asked)
        # To browse is to search for the names of the categories: their products all carry them.
        words = asked.query or " ".join(filters.categories or filters.brands)
        result = self.engine.search(
            words,
            CANDIDATES if comparing else DEPTH,
            filters=filters,
            stage="rerank" if comparing else asked.stage,
            candidates=CANDIDATES,
        )
        hits = result.hits[:DEPTH]
        products: dict[str, Product] = {}
        if asked.sort != "best":
            # A department has nothing in it that does not belong there.
            hits = view.good_hits(hits) if asked.query else hits
            products = self._products(hits)
            hits = view.in_order(hits, products, asked.sort)
        page = min(asked.page, view.page_count(len(hits), asked.size)) if last_page else asked.page
        shown = hits[(page - 1) * asked.size : page * asked.size]
        best = result.hits[:BEST]
        compared = compared_hits(result.hits) if comparing else ()
        missing = [hit for hit in (*shown, *best, *compared) if hit.id not in products]
        products |= self._products(missing)
        return Found(
            result=result,
            ordered=len(hits),
            shown=shown,
            best=tuple(products[hit.id] for hit in best),
            products=products,
            facets=self.engine.facets(words, filters),
        )

    def filters(self, asked: PageRequest) -> Filters:
        """What the engine is to keep to: a department stands for all its categories."""
        if not asked.department or asked.filters.categories:
            return asked.filters
        inside = next(each for each in self.departments() if each.name == asked.department)
        return replace(asked.filters, categories=inside.categories)

    def _products(self, hits: Sequence[Ranked]) -> dict[str, Product]:
        ids = list(dict.fromkeys(hit.id for hit in hits))
        return dict(zip(ids, self.engine.products(ids), strict=True)) if ids else {}

    def _read_departments(self) -> tuple[Department, ...]:
        """One look at each category: its size, and a product to stand in its window."""
        whole = self.engine.facets("")
        windows: list[tuple[FacetValue, Product]] = []
        for value in whole.categories[:MAX_CATEGORIES]:
            inside = Filters(categories=(value.value,))
            hits = self.engine.search(
                value.value, 1, filters=inside, stage="retrieve", candidates=1
            ).hits
            windows += [(value, product) for product in self._products(hits).values()]
        self._brands = tuple(value.value for value in whole.brands)
        self.currency = view.currency_of(product for _, product in windows)
        return departments(windows)
