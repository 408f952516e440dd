"""The comparison of both orders, and the bar of stage times."""

from __future__ import annotations

import pytest
from demo_fixtures import make_hit, make_product
from hypothesis import given
from hypothesis import strategies as st

from demo.comparison import compare, compared_hits, move
from demo.stage_times import ms_text, stage_times


@pytest.mark.parametrize(
    ("first", "final", "kind", "places"),
    [
        (3, 3, "same", 0),
        (9, 2, "up", 7),
        (2, 3, "down", 1),
        (37, 2, "new", 35),
        (20, 21, "out", 1),
        (21, 20, "new", 1),
    ],
)
def test_move_says_how_a_place_changed(first: int, final: int, kind: str, places: int) -> None:
    moved = move(first, final, shown=20)
    assert (moved.kind, moved.places) == (kind, places)
    assert kind == "same" or str(places) in moved.label


@given(st.permutations(range(1, 31)))
def test_comparison_shows_the_top_of_both_orders(firsts: list[int]) -> None:
    hits = [make_hit(f"p{first}", rank, first) for rank, first in enumerate(firsts, start=1)]
    products = {each.id: make_product(each.id) for each in compared_hits(hits, 20)}
    compared = compare(hits, products, 20)
    assert [row.place for row in compared.first] == list(range(1, 21))
    assert [row.place for row in compared.final] == list(range(1, 21))
    assert [row.product.id for row in compared.first] == [f"p{place}" for place in range(1, 21)]
    # As many come into the shown rows as leave them.
    out = sum(row.move.kind == "out" for row in compared.first)
    assert compared.entered == out == sum(row.move.kind == "new" for row in compared.final)


@given(
    st.dictionaries(st.sampled_from(["lexical", "dense", "bert2dnn", "total"]), st.floats(0, 1e4))
)
def test_the_time_bar_never_exceeds_100_percent(times_ms: dict[str, float]) -> None:
    bar = stage_times(times_ms)
    assert sum(segment.width for segment in bar.segments) <= 100.1
    assert [segment.name for segment in bar.segments] == [n for n in times_ms if n != "total"]


def test_stage_times_sum_up_retrieval_and_reranking() -> None:
    times = stage_times(
        {"lexical": 2.0, "dense": 1.1, "bert2dnn": 0.8, "bert-bilstm": 1.0, "total": 5.2}
    )
    assert times.sentence == "retrieved in 3.1 ms · reranked in 1.8 ms"
    assert times.total == "5.2 ms"
    assert stage_times({"lexical": 2.0, "total": 2.5}).sentence == "retrieved in 2.0 ms"


@pytest.mark.parametrize(("ms", "text"), [(0.314, "0.31 ms"), (3.14, "3.1 ms"), (31.4, "31 ms")])
def test_milliseconds_have_two_significant_digits(ms: float, text: str) -> None:
    assert ms_text(ms) == text
