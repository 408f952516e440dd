"""Catalog readers: formats, column mappings, prices, and rows that are set aside."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtr_rerank.data.catalog_reader import read_catalog
from qtr_rerank.data.column_mapping import ColumnMapping
from qtr_rerank.data.prices import parse_price
from qtr_rerank.data.rows import BadRow
from qtr_rerank.data.tables import Table
from qtr_rerank.errors import DataError
from qtr_rerank.records import Product

GOOD = b"id,title\n1,lamp\n2,sofa\n"


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def set_aside(path: Path, **options: Any) -> tuple[list[str], list[BadRow]]:
    """(ids read, rows set aside), ignoring the error after too many bad rows."""
    bad: list[BadRow] = []
    reader = read_catalog(path, on_bad_row=bad.append, **options)
    ids: list[str] = []
    try:
        ids.extend(product.id for product in reader)
    except DataError:
        ids = [""] * reader.report.good
    return ids, bad


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", GOOD),
        ("c.csv.gz", gzip.compress(GOOD)),
        ("zipped-without-saying.csv", gzip.compress(GOOD)),
        ("c.csv", GOOD.replace(b"\n", b"\r\n")),
        ("bom.csv", b"\xef\xbb\xbf" + GOOD),
        ("c.tsv", GOOD.replace(b",", b"\t")),
        ("tabs.csv", GOOD.replace(b",", b"\t")),
        ("semicolons.csv", GOOD.replace(b",", b";")),
        ("empty-lines.csv", b"\n" + GOOD.replace(b"\n", b"\n\n")),
        ("no-last-newline.csv", GOOD.rstrip()),
        ("sniffed-csv", GOOD),
        ("c.jsonl", b'{"id": 1, "title": "lamp"}\n\n{"id": "2", "title": "sofa"}'),
        ("c.JSONL", b'\xef\xbb\xbf{"id": 1, "title": "lamp"}\r\n{"id": "2", "title": "sofa"}\r\n'),
        ("sniffed-jsonl", b'{"id": 1, "title": "lamp"}\n{"id": 2, "title": "sofa"}\n'),
        ("c.json", b'[\n{"id": 1,\n "title": "lamp"},\n{"id": 2, "title": "sofa"}\n]\n'),
        ("sniffed-json.gz", gzip.compress(b'[{"id":1,"title":"lamp"},{"id":2,"title":"sofa"}]')),
    ],
)
def test_every_format_reads_the_same_products(tmp_path: Path, name: str, content: bytes) -> None:
    reader = read_catalog(write(tmp_path, name, content))
    assert list(reader) == [Product("1", "lamp"), Product("2", "sofa")]
    assert (reader.report.good, reader.report.bad) == (2, 0)


@pytest.mark.parametrize("name", ["c.parquet", "sniffed-parquet"])
def test_parquet_types_become_those_of_a_product(tmp_path: Path, name: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = {
        "product_id": [7.0, 8.0],
        "name": ["lamp", "sofa"],
        "price": [Decimal("12.50"), None],
        "attributes": pyarrow.array(
            [[("colour", "red")], None], pyarrow.map_(pyarrow.string(), pyarrow.string())
        ),
        "seen": pyarrow.array([0, None], pyarrow.date32()),
        "tags": [["a", "b"], []],
    }
    parquet.write_table(pyarrow.table(rows), tmp_path / name)
    first, second = read_catalog(tmp_path / name)
    assert first == Product(
        "7",
        "lamp",
        price=12.5,
        attributes={"colour": "red"},
        extra={"seen": "1970-01-01", "tags": ["a", "b"]},
    )
    assert (second.price, second.attributes) == (None, {})
    json.dumps(first.to_dict())


def test_usual_column_names_are_known_and_other_columns_kept(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "c.csv",
        "Product UID,Product Title,vendor,category hierarchy,price,product_description,img,stars\n"
        '9,Desk lamp,Lumo,Home / Light,"€1.299,50",Bright,http://i/9.jpg,4.5\n',
    )
    assert list(read_catalog(path)) == [
        Product(
            "9",
            "Desk lamp",
            "Lumo",
            "Home / Light",
            1299.5,
            "Bright",
            image="http://i/9.jpg",
            extra={"stars": "4.5", "currency": "€"},
        )
    ]


def test_mapping_overrides_usual_names(tmp_path: Path) -> None:
    path = write(tmp_path, "c.csv", "id,title,code,vendor\n1,long,A1,Lumo\n")
    mapping = ColumnMapping(id="code", brand="title", title="vendor")
    assert list(read_catalog(path, mapping=mapping)) == [
        Product("A1", "Lumo", "long", extra={"id": "1"})
    ]


def test_likeliest_of_two_matching_columns_wins(tmp_path: Path) -> None:
    path = write(tmp_path, "c.csv", "name,title,supplier,brand,id\nN,T,S,B,1\n")
    assert list(read_catalog(path)) == [
        Product("1", "T", "B", extra={"name": "N", "supplier": "S"})
    ]


def test_json_lists_of_text_become_text(tmp_path: Path) -> None:
    row = {"id": 1, "title": "t", "categories": ["Home", "Light"], "images": ["a.jpg", "b.jpg"]}
    (product,) = read_catalog(write(tmp_path, "c.jsonl", json.dumps(row)))
    assert (product.category, product.image) == ("Home / Light", "a.jpg")


def test_attributes_are_read_from_json_object_or_json_text(tmp_path: Path) -> None:
    attributes = {"colour": "red", "watt": 7, "dimmable": True, "sizes": [1, 2], "none": None}
    expected = {"colour": "red", "watt": 7, "dimmable": True, "sizes": "[1, 2]"}
    text = io.StringIO()
    csv.writer(text).writerows([["id", "title", "attributes"], [1, "t", json.dumps(attributes)]])
    for name, content in (
        ("c.jsonl", json.dumps({"id": 1, "title": "t", "attributes": attributes})),
        ("c.csv", text.getvalue()),
    ):
        (product,) = read_catalog(write(tmp_path, name, content))
        assert product.attributes == expected


# (content, line, column, value, part of the reason)
BAD_CSV = [
    (b"1,lamp\n2\n3,sofa\n", 3, "", "2", "1 columns where the header has 2"),
    (b"1,lamp\n2,sofa,red\n3,rug\n", 3, "", "2,sofa,red", "3 columns"),
    (b"1,lamp\n,sofa\n", 3, "id", "", "id is missing"),
    (b"1,lamp\n2, \n", 3, "title", " ", "title is missing"),
    (b"1,lamp\n1,sofa\n", 3, "id", "1", "the id of line 2 again"),
    (b"1,lamp\n2,so\xff\xfea\n", 3, "title", "so\\udcff\\udcfea", "not UTF-8 text"),
    (b'1,"lamp\nof two\r\nlines"\n,sofa\n', 5, "id", "", "id is missing"),
    (b'1,"la"mp\n2,sofa\n', 2, "", '1,"la"mp', "not readable as CSV"),
    (b'1,"lamp\n2,sofa\n3,rug\n', 2, "", '1,"lamp', "not readable as CSV"),
]


@pytest.mark.parametrize(("rows", "line", "column", "value", "reason"), BAD_CSV)
@pytest.mark.parametrize("zipped", [False, True])
def test_bad_csv_row_is_reported_and_others_are_read(
    tmp_path: Path, rows: bytes, line: int, column: str, value: str, reason: str, zipped: bool
) -> None:
    content = b"id,title\n" + rows
    name = "c.csv.gz" if zipped else "c.csv"
    path = write(tmp_path, name, gzip.compress(content) if zipped else content)
    ids, bad = set_aside(path)
    assert ids
    assert [(row.file, row.line, row.column, row.value) for row in bad] == [
        (str(path), line, column, value)
    ]
    assert reason in bad[0].reason
    assert str(bad[0]).startswith(f"{path}, line {line}")


BAD_JSON = [
    ('{"id": 2, "title": "so', "", "bad JSON"),
    ('["id", 2]', "", "not a JSON object"),
    ('{"title": "sofa"}', "id", "id is missing"),
    ('{"id": null, "title": "sofa"}', "id", "id is missing"),
    ('{"id": true, "title": "sofa"}', "id", "expected text for the id"),
    ('{"id": 2, "title": ""}', "title", "title is missing"),
    ('{"id": 2, "title": {"en": "sofa"}}', "title", "expected text for the title"),
    ('{"id": 2, "title": "\\ud83d sofa"}', "title", "no meaning in JSON"),
    ('{"id": 2, "title": "sofa", "price": NaN}', "price", "no meaning in JSON"),
    ('{"id": 2, "title": "sofa", "price": -1}', "price", "negative"),
    ('{"id": 2, "title": "sofa", "price": "free"}', "price", "expected a number"),
    ('{"id": 2, "title": "sofa", "price": [1]}', "price", "expected a number"),
    ('{"id": 2, "title": "sofa", "attributes": "{red"}', "attributes", "bad JSON"),
    ('{"id": 2, "title": "sofa", "attributes": ["red"]}', "attributes", "a JSON object"),
    ('{"id": 2, "title": "sofa", "brand": ["a", 1]}', "brand", "expected text"),
    ("[" * 100_000, "", "bad JSON"),
    ('{"id": 2, "title": "sofa", "stock": 1' + "0" * 5000 + "}", "", "bad JSON"),
]


@pytest.mark.parametrize(("text", "column", "reason"), BAD_JSON)
def test_bad_json_row_is_reported_and_others_are_read(
    tmp_path: Path, text: str, column: str, reason: str
) -> None:
    lines = '{"id": 1, "title": "lamp"}\n' + text + '\n{"id": 3, "title": "rug"}\n'
    ids, bad = set_aside(write(tmp_path, "c.jsonl", lines))
    assert ids == ["1", "3"]
    assert [(row.line, row.column) for row in bad] == [(2, column)]
    assert reason in bad[0].reason


def test_json_array_row_is_reported_by_its_first_line(tmp_path: Path) -> None:
    content = '[\n {"id": 1,\n  "title": "lamp"},\n\n {"id": "",\n  "title": "sofa"}]'
    ids, bad = set_aside(write(tmp_path, "c.json", content))
    assert (ids, [row.line for row in bad]) == (["1"], [5])


@pytest.mark.parametrize(
    "content", ['[{"id": 1, "title": "lamp"}', '[{"id": 1}, {"id": }]', "[1 2", "{}"]
)
def test_truncated_json_array_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"c\.json"):
        list(Table(write(tmp_path, "c.json", content)))


def test_tsv_without_quoting_is_read_verbatim(tmp_path: Path) -> None:
    path = write(
        tmp_path, "c.tsv", 'id\ttitle\n1\t"Masks" on a wall\n2\t17" screen\n3\t"a ""b"""\n'
    )
    assert [product.title for product in read_catalog(path)] == [
        '"Masks" on a wall',
        '17" screen',
        'a "b"',
    ]


def test_bad_rows_are_counted_and_written_and_first_ones_kept(tmp_path: Path) -> None:
    rows = "".join(f"{n},lamp\n" for n in range(60)) + ",sofa\n" * 50
    rejects = tmp_path / "rejects.jsonl"
    reader = read_catalog(write(tmp_path, "c.csv", "id,title\n" + rows), rejects=rejects)
    assert len(list(reader)) == 60
    assert (reader.report.bad, len(reader.bad_rows)) == (50, 20)
    written = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert len(written) == 50
    assert written[0]["line"] == 62
    assert written[0]["row"] == ",sofa\n"
    assert "60 products, 50 rows set aside" in reader.report.summary()


def test_each_reading_has_its_own_report(tmp_path: Path) -> None:
    reader = read_catalog(write(tmp_path, "c.csv", GOOD + b",none\n"))
    next(iter(reader))
    assert len(list(reader)) == len(list(reader)) == 2
    assert (reader.report.good, reader.report.bad) == (2, 1)


UNUSABLE = [
    ("c.csv", "id,title\n", "no product"),
    ("c.csv", "", "is empty"),
    ("c.csv", "id,title\n,\n,\n1,lamp\n", "2 rows cannot be used and 1 can"),
    (
        "c.csv",
        "code,text\n1,lamp\n",
        "no column for id and title.*'code', 'text'.*--column id=NAME --column title=NAME",
    ),
    ("c.csv", "id,title,id\n1,lamp,2\n", r"names \['id'\] twice"),
    ("c.csv", b"id,tit\xffle\n1,lamp\n", "header.*UTF-8"),
    ("c.jsonl", '{"text": "lamp"}\n', "id is missing"),
    ("c.parquet", "PAR1 not really", "Parquet"),
    ("c.csv.gz", gzip.compress(GOOD * 50)[:-12], "cannot be read"),
    ("c.csv.gz", gzip.compress(GOOD)[:12] + b"\0\0\0\0\0\0", "cannot be read"),
    ("c.txt", "just words\n", "format of .* is not clear"),
]


@pytest.mark.parametrize(("name", "content", "message"), UNUSABLE)
def test_file_that_is_not_a_catalog_raises_with_reason(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list(read_catalog(write(tmp_path, name, content)))


def test_missing_file_format_or_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "c.csv", GOOD)
    with pytest.raises(DataError, match=r"absent\.csv"):
        read_catalog(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="unknown format 'xls'; expected one of csv, json"):
        read_catalog(path, format="xls")
    with pytest.raises(DataError, match=r"no column 'maker'.*'id', 'title'"):
        read_catalog(path, mapping=ColumnMapping(brand="maker"))
    with pytest.raises(DataError, match="more than one field"):
        ColumnMapping(id="a", title="a")


def test_mapped_column_missing_from_all_json_rows_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "c.jsonl", '{"id": 1, "title": "lamp"}\n')
    with pytest.raises(DataError, match=r"no row has the column 'maker'"):
        list(read_catalog(path, mapping=ColumnMapping(brand="maker")))


PRICES = [
    (None, None, ""),
    ("", None, ""),
    (0, 0.0, ""),
    (12.99, 12.99, ""),
    (Decimal("12.99"), 12.99, ""),
    ("12.99", 12.99, ""),
    (" 1e3 ", 1000.0, ""),
    ("1,299.00", 1299.0, ""),
    ("1,299", 1299.0, ""),
    ("1,29,999.50", 129999.5, ""),
    ("$12.99", 12.99, "$"),
    ("US$ 1,299", 1299.0, "US$"),
    ("12,99 €", 12.99, "€"),
    ("1.299,00 €", 1299.0, "€"),
    ("1.299.000 Ft", 1299000.0, "Ft"),
    ("1\u202f299,00 EUR", 1299.0, "EUR"),
    ("CHF 1'299.50", 1299.5, "CHF"),
    ("12,-", 12.0, ""),
    ("0,125", 0.125, ""),
]


@pytest.mark.parametrize(("written", "amount", "currency"), PRICES)
def test_prices_are_parsed_in_the_forms_shops_use(
    written: object, amount: float | None, currency: str
) -> None:
    assert parse_price(written) == (amount, currency)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (-1, "negative"),
        ("-12.99", "negative"),
        ("-$5", "negative"),
        ("$-5", "negative"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        (10**400, "finite"),
        ("nan", "expected a number"),
        ("free", "expected a number"),
        ("12.99 - 15.99", "expected a number|grouped"),
        ("12 pcs", "currency"),
        ("$5 USD", "currency"),
        ("99¢", "currency"),
        ("12 99", "grouped"),
        ("12,34,5", "grouped"),
        ("1.299 €", "ambiguous"),
        (True, "expected a number"),
    ],
)
def test_invalid_price_is_refused_with_reason(written: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_price(written)


# Any text but lone surrogates, which UTF-8 files cannot contain.
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAMED = TEXT.filter(lambda text: text.strip())
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SCALAR = TEXT | st.integers() | NUMBER | st.booleans()
PRODUCTS = st.lists(
    st.builds(
        Product,
        id=NAMED,
        title=NAMED,
        brand=TEXT,
        category=TEXT,
        price=st.none() | st.floats(0, 1e12),
        description=TEXT,
        attributes=st.dictionaries(TEXT, SCALAR, max_size=3),
        image=TEXT,
        extra=st.dictionaries(TEXT, SCALAR | st.none() | st.lists(SCALAR, max_size=2), max_size=3),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda product: product.id,
)


@settings(max_examples=60, deadline=None)
@given(PRODUCTS)
def test_products_written_as_json_lines_are_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, products: list[Product]
) -> None:
    lines = "".join(json.dumps(p.to_dict(), ensure_ascii=False) + "\n" for p in products)
    path = write(tmp_path_factory.mktemp("c"), "c.jsonl", lines)
    assert list(read_catalog(path)) == products


@settings(max_examples=60, deadline=None)
@given(PRODUCTS, st.sampled_from([",", "\t"]))
def test_products_written_as_csv_are_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, products: list[Product], delimiter: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(products[0].to_dict())
    for product in products:
        cells = product.to_dict().values()
        writer.writerow([json.dumps(c) if isinstance(c, dict) else c for c in cells])
    path = write(tmp_path_factory.mktemp("c"), "c.csv", text.getvalue())
    assert list(read_catalog(path)) == products


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=12), max_size=6), st.sampled_from(["c.csv", "c.tsv", "c.jsonl"]))
def test_any_bytes_give_a_product_or_a_bad_row(
    tmp_path_factory: pytest.TempPathFactory, junk: list[bytes], name: str
) -> None:
    if name == "c.jsonl":
        header, good = b"", b'{"id": "1", "title": "lamp"}\n'
    else:
        delimiter = b"," if name == "c.csv" else b"\t"
        header, good = delimiter.join([b"id", b"title"]) + b"\n", b"1" + delimiter + b"lamp\n"
    content = header + good + b"".join(line + b"\n" for line in junk)
    ids, bad = set_aside(write(tmp_path_factory.mktemp("c"), name, content))
    assert ids[:1] in (["1"], [""])
    read = set(range(1, content.count(b"\n") + content.count(b"\r") + 2))
    assert {row.line for row in bad} <= read
