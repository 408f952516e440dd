"""The comparison of both orders, "why here?", and the bar of stage times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.comparison import compare, compared_hits, move
from demo.explanation import explain_final, explain_first, percent
from demo.stage_times import ms_text, stage_times
from tests.demo_fixtures import make_hit, make_product


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


def test_final_place_is_explained_by_every_part() -> None:
    hit = make_hit(
        rank=3,
        first_rank=5,
        probability=0.934,
        logit=1.42,
        parts={
            **{"prior": -1.2, "bm25": 12.34, "lexical_rank": 4},
            **{"cosine": 0.713, "dense_rank": 1017},
        },
    )
    assert {reason.part: reason.text for reason in explain_final(hit)} == {
        "Model": "93 % likely to match the query",
        "First stage": "place 5, which lowers the model’s score from 2.6 to 1.4",
        "Words": "place 4, BM25 score 12.3",
        "Meaning": "place 1,017, cosine 0.71",
    }
    assert explain_first(hit) == explain_final(hit)[2:]


def test_first_place_takes_nothing_off_the_model_score() -> None:
    hit = make_hit(first_rank=1, logit=-0.52, parts={"prior": 0.0})
    texts = {reason.part: reason.text for reason in explain_final(hit)}
    assert texts["First stage"] == "place 1, which takes nothing off the model’s score of −0.5"


def test_missing_parts_are_explained() -> None:
    unscored = make_hit(first_rank=1200, probability=None)
    assert {reason.part: reason.text for reason in explain_final(unscored)} == {
        "Model": "did not score this product, which keeps its place behind the scored ones",
        "First stage": "place 1,200",
        "Words": "not among the products found by words",
        "Meaning": "not among the products found by meaning",
    }


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "less than 1 %"),
        (0.01, "1 %"),
        (0.936, "94 %"),
        (0.99, "99 %"),
        (1.0, "more than 99 %"),
    ],
)
def test_percent_never_claims_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text


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
