"""Ids in TREC columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.trec import from_trec_id, trec_id, trec_query_id

any_text = st.text(st.characters(exclude_categories=[]))


@pytest.mark.parametrize(
    ("identifier", "column"),
    [
        ("3920564", "3920564"),
        ("usb-c", "usb-c"),
        ("a b", "a%20b"),
        ("100% wool", "100%25%20wool"),
        ("a%20b", "a%2520b"),
        ("", "%"),
        ("%", "%25"),
        ("crème", "crème"),
        ("a\u00a0b", "a%C2%A0b"),
        ("\ufeffa", "%EF%BB%BFa"),
        ("a\tb\nc", "a%09b%0Ac"),
    ],
)
def test_trec_id_encodes(identifier: str, column: str) -> None:
    assert trec_id(identifier) == column


@given(any_text)
def test_trec_id_round_trips(identifier: str) -> None:
    assert from_trec_id(trec_id(identifier)) == identifier


@given(any_text)
def test_trec_id_is_one_column(identifier: str) -> None:
    assert trec_id(identifier).split() == [trec_id(identifier)]
    trec_id(identifier).encode("utf-8")


@given(any_text, any_text)
def test_different_ids_have_different_columns(one: str, other: str) -> None:
    assert (trec_id(one) == trec_id(other)) == (one == other)


@given(any_text)
def test_query_ids_ignore_extra_white_space_only(query: str) -> None:
    assert trec_query_id(f"  {query}\n") == trec_query_id(query)
    assert from_trec_id(trec_query_id(query)) == " ".join(query.split())
