"""Page: a search engine as a shop: result pages, departments, suggested searches."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from demo.comparison import compared_hits
from demo.home_page import Department, Suggestion, departments, suggestions
from demo.page_request import DEPTH, PageRequest
from demo.pagination import page_count
from demo.product_view import currency_of
from demo.sorting import good_hits, sorted_hits
from qtr_rerank.records import Facets, FacetValue, Filters, Product, Ranked, SearchResult

# Candidates of the first stage. The side-by-side view follows a product down to the last of them.
CANDIDATES = 1000
# How many of the best hits decide which facet values come first.
BEST = 36
# The query and the number of products for the home page of a catalog without departments.
SHELF_QUERY = "classic set with best finish"
SHELF = 12
# A catalog may have thousands of categories; the home page shows departments of the largest.
MAX_CATEGORIES = 150


class ShopRetrieval(Protocol):
    """The candidates of one query; `qtr_rerank.search.Retrieval` is one."""

    def first(self, k: int) -> SearchResult: ...

    def reranked(self, k: int) -> SearchResult: ...

    def facets(self) -> Facets: ...


class ShopEngine(Protocol):
    """The part of a search engine that the shop uses; `qtr_rerank.SearchEngine` has it."""

    @property
    def engine(self) -> str: ...

    def retrieve(
        self, query: str, filters: Filters | None = None, *, candidates: int = 1000
    ) -> ShopRetrieval: ...

    def products(self, ids: Sequence[str]) -> list[Product]: ...

    def __len__(self) -> int: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ResultPage:
    """One page of search results.

    `hits` are those on this page, out of `sorted_count` that can be paged through. `best` are the
    most relevant products. `products` maps the id of every product that the page shows.
    """

    result: SearchResult
    sorted_count: int
    hits: tuple[Ranked, ...]
    best: tuple[Product, ...]
    products: Mapping[str, Product]
    facets: Facets


class Shop:
    """An engine, with the departments and suggested searches that are read from it once.

    Safe to share between threads, as the engine is.
    """

    def __init__(
        self,
        engine: ShopEngine,
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
        """The departments if they were read before. For error pages: never calls the engine."""
        return self._departments or ()

    def departments(self) -> tuple[Department, ...]:
        """The departments, largest first. Raises what the engine raises."""
        if self._departments is None:
            with self._lock:
                if self._departments is None:
                    self._departments = self._read_departments()
        return self._departments

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Searches to try, for the home page."""
        if self._given is not None:
            return self._given
        return suggestions(self.departments(), self._brands)

    def shelf(self) -> tuple[Product, ...]:
        """A few products for the home page of a catalog without departments; else none."""
        if self.departments():
            return ()
        shelf = self.engine.retrieve(SHELF_QUERY, candidates=SHELF).first(SHELF)
        return tuple(self._products(shelf.hits).values())

    def product(self, product_id: str) -> Product:
        """One product. Raises UnknownIdError."""
        return self.engine.products([product_id])[0]

    def search(self, request: PageRequest, *, last_page: bool = True) -> ResultPage:
        """Search, sort and cut out one page: hits and facets come from one retrieval.

        A page beyond the end becomes the last one if `last_page`, else it is empty.
        """
        comparing = request.view == "compare"
        filters = self.filters(request)
        # Without a query, search for the category names: every product of a category carries its
        # name.
        words = request.query or " ".join(filters.categories or filters.brands)
        retrieval = self.engine.retrieve(words, filters=filters, candidates=CANDIDATES)
        if comparing:
            result = retrieval.reranked(CANDIDATES)
        elif request.stage == "rerank":
            result = retrieval.reranked(DEPTH)
        else:
            result = retrieval.first(DEPTH)
        hits = result.hits[:DEPTH]
        products: dict[str, Product] = {}
        if request.sort != "best":
            # Every product of a department belongs there; those of a query may match poorly.
            hits = good_hits(hits) if request.query else hits
            products = self._products(hits)
            hits = sorted_hits(hits, products, request.sort)
        page = min(request.page, page_count(len(hits), request.size)) if last_page else request.page
        on_page = hits[(page - 1) * request.size : page * request.size]
        best = result.hits[:BEST]
        compared = compared_hits(result.hits) if comparing else ()
        missing = [hit for hit in (*on_page, *best, *compared) if hit.id not in products]
        products |= self._products(missing)
        return ResultPage(
            result=result,
            sorted_count=len(hits),
            hits=on_page,
            best=tuple(products[hit.id] for hit in best),
            products=products,
            facets=retrieval.facets(),
        )

    def filters(self, request: PageRequest) -> Filters:
        """The engine's filters: a department without a category means all of its categories."""
        if not request.department or request.filters.categories:
            return request.filters
        department = next(each for each in self.departments() if each.name == request.department)
        return replace(request.filters, categories=department.categories)

    def _products(self, hits: Sequence[Ranked]) -> dict[str, Product]:
        ids = list(dict.fromkeys(hit.id for hit in hits))
        return dict(zip(ids, self.engine.products(ids), strict=True)) if ids else {}

    def _read_departments(self) -> tuple[Department, ...]:
        """Read the size of each category and one of its products, to show its picture."""
        catalog = self.engine.retrieve("").facets()
        categories: list[tuple[FacetValue, Product]] = []
        for value in catalog.categories[:MAX_CATEGORIES]:
            in_category = Filters(categories=(value.value,))
            best = self.engine.retrieve(value.value, filters=in_category, candidates=1).first(1)
            categories += [(value, product) for product in self._products(best.hits).values()]
        self._brands = tuple(value.value for value in catalog.brands)
        self.currency = currency_of(product for _, product in categories)
        return departments(categories)
