"""The records that flow from catalog to page. They are frozen: each step makes new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AttributeValue = str | float | int | bool


@dataclass(frozen=True, slots=True)
class Product:
    """One catalog entry.

    `price` is in units of the catalog's currency (not cents), None where it is unknown.
    `image` is a URL, or `kind:NAME` for a picture that the demo draws by kind of product.
    `extra` keeps every field of the source that has no place of its own (rating, currency, ...).
    """

    id: str
    title: str
    brand: str = ""
    category: str = ""
    price: float | None = None
    description: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    image: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `Product.from_dict` reads it back unchanged."""
        return {
            "id": self.id,
            "title": self.title,
            "brand": self.brand,
            "category": self.category,
            "price": self.price,
            "description": self.description,
            "attributes": dict(self.attributes),
            "image": self.image,
            "extra": dict(self.extra),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Product:
        """The inverse of `to_dict`. Raises KeyError where id or title is missing."""
        return cls(
            id=str(fields["id"]),
            title=str(fields["title"]),
            brand=fields.get("brand") or "",
            category=fields.get("category") or "",
            price=fields.get("price"),
            description=fields.get("description") or "",
            attributes=dict(fields.get("attributes") or {}),
            image=fields.get("image") or "",
            extra=dict(fields.get("extra") or {}),
        )


@dataclass(frozen=True, slots=True)
class Judgment:
    """How relevant a product is for a query, on the source's own scale (higher is better)."""

    query: str
    product_id: str
    rating: float


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a search. Empty tuples and None mean no restriction; prices are inclusive."""

    brands: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None

    def __bool__(self) -> bool:
        return bool(
            self.brands
            or self.categories
            or self.price_min is not None
            or self.price_max is not None
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product fetched by retrieval, before any reranking.

    `score` and `rank` (from 1) are those of its list: one retriever's own, or the
    fused one's. `sources` holds the rank that each retriever gave it ("lexical", "dense").
    """

    id: str
    score: float
    rank: int
    sources: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One reranked document.

    `score` is in 0..1 and never rises from a rank to the next. It is the probability of
    relevance (calibrated on held-out pairs) after everything else that counts: the prior of the
    first order, a blend with other signals. A document that no model scored keeps its first score
    (0 where there is none), capped by the score above it.

    `explain` says what each signal said by itself, by name: the model's own probability
    ("match"), what the first order took off its logit ("prior"), words ("bm25", "lexical_rank"),
    vectors ("cosine", "dense_rank"), blended signals, and "first_rank". A signal that does not
    know the document is left out.

    `logit` is what the documents of one stage were sorted on: the model's, less the prior; 0.0
    where no model scored. `stage` names the model that decided this rank, or is "retrieve".
    `first_rank` (from 1) and `first_score` are those of the first order. `index` is the position
    (from 0) in the given list, `document` the object at that position.
    """

    id: str
    index: int
    rank: int
    score: float
    logit: float
    first_rank: int
    first_score: float
    stage: str
    document: Any = None
    explain: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a facet and the number of candidates that carry it."""

    value: str
    count: int
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Facets:
    """Counts over a query's candidates. A field's own selection does not narrow its counts."""

    brands: tuple[FacetValue, ...] = ()
    categories: tuple[FacetValue, ...] = ()
    price_min: float | None = None
    price_max: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of one search.

    `hits` are the best `k`, in final order; `candidates` is how many were retrieved; `times_ms`
    maps each stage to its wall time in milliseconds. `degraded` says that time ran out: scored
    documents come first, the others follow in their first order.
    """

    query: str
    hits: tuple[Ranked, ...]
    candidates: int
    times_ms: Mapping[str, float]
    engine: str
    degraded: bool = False
