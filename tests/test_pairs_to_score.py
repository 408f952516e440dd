"""Files of pairs: read in batches, written back with added columns."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank.data.pairs_to_score import PairReader, PairWriter
from qtr_rerank.data.rows import BadRow
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError

ROWS = [
    {"note": "a, b", "query": "lamp", "title": 'Desk "lamp"', "rank": "1"},
    {"note": "", "query": "501", "title": "line\nbreak", "rank": "2"},
    {"note": "é\r", "query": "sofa", "title": "Sofa", "rank": "3"},
]
FORMATS = ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "parquet"]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    columns = list(rows[0])
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[1]
    if kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)
        return path
    text = io.StringIO(newline="")
    if kind == "jsonl":
        text.writelines(json.dumps(row) + "\n" for row in rows)
    else:
        writer = csv.writer(text, delimiter="\t" if kind == "tsv" else ",")
        writer.writerow(columns)
        writer.writerows([row[name] for name in columns] for row in rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [dict(row) for batch in PairReader(path).batches(256) for row in batch.rows]


def score(source: Path, target: Path, size: int = 2) -> None:
    reader = PairReader(source)
    count = 0
    with PairWriter(target, reader) as writer:
        for batch in reader.batches(size):
            logits = np.arange(count, count + len(batch), dtype=np.float32)
            writer.write(batch, {"score": [0.5] * len(batch), "logit": logits.tolist()})
            count += len(batch)


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_rows_keep_their_columns_and_order_in_every_format(
    tmp_path: Path, source: str, target: str
) -> None:
    path, out = written(tmp_path / f"pairs.{source}", ROWS), tmp_path / f"out.{target}"
    score(path, out)
    rows = read_rows(out)
    assert [list(row) for row in rows] == [[*ROWS[0], "score", "logit"]] * 3
    assert [{name: row[name] for name in ROWS[0]} for row in rows] == ROWS
    assert [(float(row["score"]), float(row["logit"])) for row in rows] == [
        (0.5, 0.0),
        (0.5, 1.0),
        (0.5, 2.0),
    ]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted({path.name, out.name})


def test_batches_have_the_requested_size(tmp_path: Path) -> None:
    reader = PairReader(written(tmp_path / "p.csv", ROWS))
    assert reader.columns == ("note", "query", "title", "rank")
    batches = list(reader.batches(2))
    assert [batch.queries for batch in batches] == [("lamp", "501"), ("sofa",)]
    assert batches[0].titles == ('Desk "lamp"', "line\nbreak")
    with pytest.raises(ValueError, match="size is 0"):
        next(reader.batches(0))


@pytest.mark.parametrize("name", ["p.jsonl", "p.parquet"])
def test_values_keep_their_types(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, Any]] = [
        {"query": 501, "title": "jeans", "label": 2.5, "tags": ["a"], "seen": None},
        {"query": 502, "title": "shirt", "label": 1.0, "tags": [], "seen": None},
    ]
    reader = PairReader(written(tmp_path / name, rows))
    assert [batch.queries for batch in reader.batches(9)] == [("501", "502")]
    out = tmp_path / f"out-{name}"
    score(reader.path, out)
    assert [{key: row[key] for key in rows[0]} for row in read_rows(out)] == rows
    flat = tmp_path / "flat.csv"
    score(reader.path, flat)
    assert read_rows(flat)[0]["tags"] == '["a"]'


def test_parquet_columns_keep_their_schema(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "query": ["lamp"],
        "title": ["Lamp"],
        "day": pyarrow.array([1], pyarrow.date32()),
        "n": pyarrow.array([1], pyarrow.int8()),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "p.parquet")
    score(tmp_path / "p.parquet", tmp_path / "out.parquet")
    schema = parquet.read_schema(tmp_path / "out.parquet")
    assert [str(schema.field(name).type) for name in ("day", "n", "score")] == [
        "date32[day]",
        "int8",
        "double",
    ]


def test_no_rows_write_only_a_header(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("query,title\n")
    for name in ("out.csv", "out.parquet"):
        score(path, tmp_path / name)
        assert Table(tmp_path / name).columns == ("query", "title", "score", "logit")


def test_output_file_may_be_the_input_file(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", ROWS)
    score(path, path)
    assert [row["logit"] for row in read_rows(path)] == ["0.0", "1.0", "2.0"]


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path, out = written(tmp_path / "p.csv", ROWS), tmp_path / "out.csv.gz"
    out.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="model"), PairWriter(out, PairReader(path)):
        raise RuntimeError("the model failed")
    assert out.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 2


BAD = [
    (
        "query,title\nlamp,Lamp\n,Sofa\nrug,Rug\n",
        "line 3, column 'query': '': the query is missing",
    ),
    ("query,title\nlamp,Lamp\nsofa, \nrug,Rug\n", "line 3, column 'title': ' '"),
    ("query,title\nlamp,Lamp\nsofa\nrug,Rug\n", "line 3: 'sofa': 1 columns"),
    ('query,title\nlamp,"La\nmp"\n,Sofa\nrug,Rug\n', "line 4, column 'query'"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_bad_pair_raises_or_is_skipped_and_counted(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        list(PairReader(path).batches(10))
    skipped: list[BadRow] = []
    reader = PairReader(path, on_bad="skip", on_bad_row=skipped.append)
    assert [batch.queries for batch in reader.batches(10)] == [("lamp", "rug")]
    assert (reader.skipped, len(skipped)) == (1, 1)
    assert message in str(skipped[0])


def test_query_and_title_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("search_term,product_title\nlamp,Lamp\n")
    with pytest.raises(DataError, match="no column 'query', 'title'; its columns are"):
        PairReader(path)
    reader = PairReader(path, query_column="search_term", title_column="product_title")
    assert [batch.titles for batch in reader.batches(5)] == [("Lamp",)]


def test_unwritable_output_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("query,title,score\nlamp,Lamp,1\n")
    reader = PairReader(path)
    cases = [
        (tmp_path / "out.csv", ("score",), r"already has a column \['score'\]"),
        (tmp_path / "out.xls", ("logit",), "out.xls shows no format"),
        (tmp_path / "out.json", ("logit",), "name the file .jsonl"),
        (tmp_path / "out.parquet.gz", ("logit",), "leave off the .gz"),
    ]
    for target, added, message in cases:
        with pytest.raises(DataError, match=message):
            PairWriter(target, reader, added)
    with (
        pytest.raises(DataError, match="cannot be written"),
        PairWriter(tmp_path / "no" / "out.csv", reader, ("logit",)),
    ):
        pass


def test_json_rows_with_extra_columns_need_json_output(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"query": "a", "title": "b"}\n{"query": "a", "title": "b", "new": 1}\n')
    score(path, tmp_path / "out.jsonl")
    assert [row.get("new") for row in read_rows(tmp_path / "out.jsonl")] == [None, 1]
    with pytest.raises(DataError, match=r"the column 'new'.*\.jsonl"):
        score(path, tmp_path / "out.csv")


def test_added_columns_need_one_value_per_row(tmp_path: Path) -> None:
    reader = PairReader(written(tmp_path / "p.csv", ROWS))
    with PairWriter(tmp_path / "out.csv", reader, ("score",)) as writer:
        batch = next(reader.batches(2))
        with pytest.raises(ValueError, match="expected 2 values"):
            writer.write(batch, {"score": [1.0]})


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.csv"
        path.write_text("query,title\n" + "lamp,A desk lamp of brass\n" * rows)
        tracemalloc.start()
        try:
            score(path, tmp_path / "out.csv", size=256)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1_000)  # what is loaded on first use must not count
    assert peak(20_000) < 1.5 * peak(2_000)


CELL = st.text(st.characters(codec="utf-8"), max_size=12)
NAMED = CELL.filter(lambda text: text.strip())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"query": NAMED, "title": NAMED, "more": CELL}), min_size=1),
    st.sampled_from(["csv", "tsv", "jsonl", "csv.gz"]),
)
def test_any_text_is_unchanged_by_write_and_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], name: str
) -> None:
    folder = tmp_path_factory.mktemp("p")
    score(written(folder / "p.jsonl", rows), folder / f"out.{name}")
    found = read_rows(folder / f"out.{name}")
    assert [{key: row[key] for key in rows[0]} for row in found] == rows
