"""Page: the two orders side by side, and where the time went. Pure: no Flask, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from qtr_rerank.records import Product, Ranked

# How many rows the side-by-side view shows of each order.
COMPARED = 20
# The stages that fetch; all others rerank.
_RETRIEVAL = frozenset({"retrieve", "lexical", "encode", "dense", "fuse"})


@dataclass(frozen=True, slots=True)
class Move:
    """What reranking did to one product's place. `places` is never negative."""

    kind: str  # "up", "down", "same", "new" (came into the shown rows), "out" (left them)
    places: int
    label: str


@dataclass(frozen=True, slots=True)
class Place:
    """One row of an order: the product at a place, and where the other order has it."""

    place: int
    product: Product
    move: Move


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two orders side by side: `first` by retrieval, `final` after reranking.

    `moved` counts the final rows that stood elsewhere, `entered` those from below the shown rows.
    """

    first: tuple[Place, ...]
    final: tuple[Place, ...]
    moved: int
    entered: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One stage of the time bar; `start` and `width` are per cent of the whole."""

    name: str
    text: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Times:
    """Where the milliseconds of one request went."""

    segments: tuple[Segment, ...]
    total: str
    sentence: str


def move(first_rank: int, rank: int, shown: int) -> Move:
    """What changed between two places (from 1), where the first `shown` of each order are seen."""
    places = abs(first_rank - rank)
    count = f"{places} place{'' if places == 1 else 's'}"
    if first_rank == rank:
        return Move("same", 0, "same place")
    if rank < first_rank:
        if rank <= shown < first_rank:
            return Move("new", places, f"new here, up {count} from {first_rank}")
        return Move("up", places, f"up {count} from {first_rank}")
    if first_rank <= shown < rank:
        return Move("out", places, f"leaves this list, down {count} to {rank}")
    return Move("down", places, f"down {count}")


def compared_hits(hits: Sequence[Ranked], shown: int = COMPARED) -> tuple[Ranked, ...]:
    """The hits that the side-by-side view shows: the first of either order."""
    return (*hits[:shown], *sorted(hits, key=lambda hit: hit.first_rank)[:shown])


def compare(
    hits: Sequence[Ranked], products: Mapping[str, Product], shown: int = COMPARED
) -> Comparison:
    """Both orders of one reranked list. `hits` is the whole list, in final order; `products` need
    hold no more than those of `compared_hits`.
    """
    final = hits[:shown]
    first = sorted(hits, key=lambda hit: hit.first_rank)[:shown]

    def place(at: int, hit: Ranked) -> Place:
        return Place(at, products[hit.id], move(hit.first_rank, hit.rank, shown))

    return Comparison(
        first=tuple(place(hit.first_rank, hit) for hit in first),
        final=tuple(place(hit.rank, hit) for hit in final),
        moved=sum(hit.first_rank != hit.rank for hit in final),
        entered=sum(hit.first_rank > shown for hit in final),
    )


def deciding_stages(hits: Iterable[Ranked]) -> str:
    """The models that placed these hits, the best hit's first."""
    return ", ".join(dict.fromkeys(hit.stage for hit in hits))


def times(times_ms: Mapping[str, float]) -> Times:
    """The bar and the sentence of a request's stage times. "total" is the whole, not a stage."""
    stages = {name: max(0.0, ms) for name, ms in times_ms.items() if name != "total"}
    total = max(times_ms.get("total", 0.0), sum(stages.values()))
    segments: list[Segment] = []
    start = 0.0
    for name, ms in stages.items():
        width = 100 * ms / total if total else 0.0
        segments.append(Segment(name, ms_text(ms), round(start, 2), round(width, 2)))
        start += width
    retrieved = sum(ms for name, ms in stages.items() if name in _RETRIEVAL)
    reranked = sum(ms for name, ms in stages.items() if name not in _RETRIEVAL)
    parts = [f"retrieved in {ms_text(retrieved)}"]
    if any(name not in _RETRIEVAL for name in stages):
        parts.append(f"reranked in {ms_text(reranked)}")
    return Times(tuple(segments), ms_text(total), " · ".join(parts))


def ms_text(ms: float) -> str:
    """Milliseconds to the digit that says something: 0.31 ms, 3.1 ms, 31 ms."""
    digits = 2 if ms < 1 else 1 if ms < 10 else 0
    return f"{ms:.{digits}f} ms"
