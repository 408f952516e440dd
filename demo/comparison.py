"""Page: first-stage order and reranked order side by side. Pure: no Flask, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from demo.explanation import Reason, explain_final, explain_first
from qtr_rerank.records import Product, Ranked

# How many rows of each order the view shows.
COMPARED = 20


@dataclass(frozen=True, slots=True)
class Move:
    """How reranking changed one product's place. `places` is never negative.

    `kind` is "up", "down", "same", "new" (moved into the shown rows) or "out" (moved out of them).
    """

    kind: str
    places: int
    label: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an order: place, product, how far reranking moved it, and why it is here."""

    place: int
    product: Product
    move: Move
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two orders: `first` after retrieval, `final` after reranking.

    `moved` counts the final rows whose place changed, `entered` those that came from below the
    shown rows.
    """

    first: tuple[Row, ...]
    final: tuple[Row, ...]
    moved: int
    entered: int


def move(first_rank: int, rank: int, shown: int) -> Move:
    """The change between two places (from 1), if each order shows its first `shown` rows."""
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
    """The hits that the view shows: the first `shown` of either order."""
    return (*hits[:shown], *_first_order(hits, shown))


def compare(
    hits: Sequence[Ranked], products: Mapping[str, Product], shown: int = COMPARED
) -> Comparison:
    """Both orders of one reranked list.

    `hits` is the whole list in final order; `products` holds at least those of `compared_hits`.
    """

    def row(place: int, hit: Ranked, reasons: tuple[Reason, ...]) -> Row:
        return Row(place, products[hit.id], move(hit.first_rank, hit.rank, shown), reasons)

    final = hits[:shown]
    return Comparison(
        first=tuple(
            row(hit.first_rank, hit, explain_first(hit)) for hit in _first_order(hits, shown)
        ),
        final=tuple(row(hit.rank, hit, explain_final(hit)) for hit in final),
        moved=sum(hit.first_rank != hit.rank for hit in final),
        entered=sum(hit.first_rank > shown for hit in final),
    )


def deciding_stages(hits: Iterable[Ranked]) -> str:
    """The names of the models that ranked these hits, the best hit's first."""
    return ", ".join(dict.fromkeys(hit.stage for hit in hits))


def _first_order(hits: Sequence[Ranked], shown: int) -> list[Ranked]:
    return sorted(hits, key=lambda hit: hit.first_rank)[:shown]
