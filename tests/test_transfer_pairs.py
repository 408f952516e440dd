"""Transfer pairs made from titles, judged pairs, and the query split."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtr_rerank.data.splits import split_of
from qtr_rerank.data.text_lists import read_texts
from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.records import Judgment
from qtr_rerank.teacher.coverage import Coverage
from qtr_rerank.teacher.transfer_pairs import (
    TransferPairSettings,
    generate_query,
    make_transfer_pairs,
    misspell,
)
from qtr_rerank.teacher.write_pairs import write_judged_pairs, write_transfer_set
from qtr_rerank.text import words

TITLES = [f"{brand} {thing} {size} cm" for brand in ("Acme", "Bolt") for thing in
          ("garden hose", "phone case", "steel kettle") for size in range(10, 40)]  # fmt: skip


def _search(query: str, k: int) -> Sequence[int]:
    query_words = set(words(query))
    scored = [
        (len(query_words & set(words(title))), -position) for position, title in enumerate(TITLES)
    ]
    return [-position for matches, position in sorted(scored, reverse=True)[:k] if matches]


def test_pairs_depend_only_on_the_seed() -> None:
    settings = TransferPairSettings(generated_queries=50)
    first = list(make_transfer_pairs(TITLES, ["kettle"], _search, settings))
    assert first == list(make_transfer_pairs(TITLES, ["kettle"], _search, settings))
    other = TransferPairSettings(generated_queries=50, seed=8)
    assert first != list(make_transfer_pairs(TITLES, ["kettle"], _search, other))


def test_pairs_are_distinct_and_given_queries_come_first() -> None:
    pairs = list(
        make_transfer_pairs(
            TITLES, ["kettle"], _search, TransferPairSettings(generated_queries=100)
        )
    )
    assert len({(pair.query, pair.title) for pair in pairs}) == len(pairs)
    assert pairs[0].query == "kettle"
    assert {pair.source for pair in pairs} == {"lexical", "random"}


def test_the_clean_query_has_no_misspelling() -> None:
    settings = TransferPairSettings(generated_queries=200, misspelling_rate=1.0)
    pairs = list(make_transfer_pairs(TITLES, [], _search, settings))
    changed = [pair for pair in pairs if pair.query != pair.clean_query]
    vocabulary = {word for title in TITLES for word in words(title)}
    assert len(changed) > len(pairs) / 2
    assert all(set(words(pair.clean_query)) <= vocabulary for pair in pairs)


@given(st.text(max_size=60), st.integers(0, 2**32), st.integers(1, 6))
def test_a_generated_query_consists_of_words_of_its_title(title: str, seed: int, most: int) -> None:
    query = generate_query(title, random.Random(seed), most)
    assert set(words(query)) <= set(words(title)) | {""}
    assert len(query.split()) <= most


@given(st.text(alphabet="abc ", max_size=40), st.integers(0, 2**32))
def test_a_misspelling_changes_one_word_by_at_most_one_letter(query: str, seed: int) -> None:
    misspelt = misspell(query, random.Random(seed))
    before, after = query.split(" "), misspelt.split(" ")
    differing = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(differing) <= 1
    assert all(abs(len(a) - len(b)) <= 1 for a, b in differing)


def test_rare_words_weigh_more_in_coverage() -> None:
    coverage = Coverage(TITLES)
    assert coverage("kettle", "Steel kettles") == 1.0
    assert coverage("kettle 10 cm", "hose 10 cm") > coverage("kettle 10 cm", "hose 11 cm") > 0.0
    assert coverage("kettle cm", "a kettle") > coverage("kettle cm", "5 cm")
    assert coverage("", "a kettle") == 0.0


def test_variants_of_a_query_are_on_the_same_side_of_the_split() -> None:
    assert split_of("laptop") == split_of("Laptops") == split_of("lap top")
    sides = [split_of(f"query {n}") for n in range(1000)]
    assert 0.25 < sides.count("dev") / 1000 < 0.35


def test_judged_pairs_are_scaled_and_split(tmp_path: Path) -> None:
    judgments = [Judgment(f"q{n}", "p1", float(n % 4)) for n in range(40)]
    judgments.append(Judgment("q1", "gone", 3.0))
    total = 0
    for split in ("train", "dev"):
        path = tmp_path / f"{split}.parquet"
        total += write_judged_pairs(judgments, {"p1": "A mug"}, path, split)
        table = read_table(path, ["query", "title", "label", "rating"])
        assert {split_of(query) for query in texts(table, "query")} == {split}
        ratings, labels = (table.column(name).to_pylist() for name in ("rating", "label"))
        assert labels == pytest.approx([rating / 3 for rating in ratings])
    assert total == 40


def test_a_transfer_set_has_a_coverage_column(tmp_path: Path) -> None:
    out = tmp_path / "pairs.parquet"
    rows = write_transfer_set(
        TITLES, ["garden hose"], out, TransferPairSettings(generated_queries=40)
    )
    table = read_table(out, ["query", "clean_query", "title", "source", "coverage"])
    assert table.num_rows == rows > 100
    assert all(0.0 <= value <= 1.0 for value in table.column("coverage").to_pylist())


def test_without_titles_a_transfer_set_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no titles"):
        write_transfer_set([], [], tmp_path / "pairs.parquet", TransferPairSettings())


@pytest.mark.parametrize(
    "fields", [{"misspelling_rate": 1.5}, {"generated_queries": -1}, {"max_query_words": 0}]
)
def test_impossible_settings_are_errors(fields: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(fields))):
        TransferPairSettings(**fields)  # type: ignore[arg-type]


def test_texts_are_selected_by_column_and_source(tmp_path: Path) -> None:
    path = tmp_path / "titles.tsv"
    path.write_text('source\ttitle\na\tScreen 17" wide\nb\tMug\na\t\n')
    assert list(read_texts(path, "title", ("a",))) == ['Screen 17" wide']
    assert list(read_texts(path, "title")) == ['Screen 17" wide', "Mug"]
    with pytest.raises(DataError, match="expected 'name'"):
        list(read_texts(path, "name"))
