"""Readers of public data sets, on small files in the published formats."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from qtr_rerank.data.esci import read_esci, read_esci_judgments
from qtr_rerank.data.homedepot import read_homedepot, read_homedepot_judgments
from qtr_rerank.data.icecat import (
    ADDED_JUDGMENTS,
    read_graded_icecat,
    read_icecat,
    read_icecat_judgments,
)
from qtr_rerank.data.judgments import read_judgments
from qtr_rerank.data.wands import parse_features, read_wands, read_wands_judgments
from qtr_rerank.environment import Settings
from qtr_rerank.errors import DataError
from qtr_rerank.records import Judgment, Product

ICECAT = {
    "id": "10",
    "title": "Lumo L5 notebook",
    "name": "L5",
    "supplier": "Lumo",
    "price": 10995,
    "date_released": "2008-12-19T00:00:00Z",
    "img_thumb": "http://i/10_thumb.jpg",
}
ICECAT_ATTRIBUTES = {
    "t_product_type": "Notebook",
    "n_weight": 2.5,
    "b_touchscreen": False,
    "t_colour": "Red",
    "b_colour": True,
}
ICECAT_PRODUCT = Product(
    "10",
    "Lumo L5 notebook",
    "Lumo",
    "Notebook",
    109.95,
    "",
    # Two attributes share the name colour: each keeps its prefix.
    {
        "product_type": "Notebook",
        "weight": 2.5,
        "touchscreen": False,
        "t_colour": "Red",
        "b_colour": True,
    },
    "http://i/10_thumb.jpg",
    {"name": "L5", "date_released": "2008-12-19T00:00:00Z"},
)


def table(
    path: Path, rows: Sequence[Sequence[object]], delimiter: str = ",", encoding: str = "utf-8"
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)


def test_icecat_is_read_repacked(tmp_path: Path) -> None:
    row = {**ICECAT, "attributes": ICECAT_ATTRIBUTES}
    (tmp_path / "products.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    assert list(read_icecat(tmp_path)) == [ICECAT_PRODUCT]


def test_icecat_is_read_as_published(tmp_path: Path) -> None:
    flat = {f"attr_{name}": value for name, value in ICECAT_ATTRIBUTES.items()}
    path = tmp_path / "icecat-products-w_price-19k-20201127.json"
    path.write_text(json.dumps([{**ICECAT, **flat}, {**ICECAT, "id": "11"}]))
    first, second = read_icecat(tmp_path)
    assert first == ICECAT_PRODUCT
    assert (second.category, second.attributes) == ("", {})


@pytest.mark.parametrize(
    ("fields", "column", "reason"),
    [({"price": 109.95}, "price", "cents"), ({"price": "-5"}, "price", "negative")],
)
def test_icecat_rows_with_a_bad_price_are_set_aside(
    tmp_path: Path, fields: dict[str, object], column: str, reason: str
) -> None:
    rows = [{**ICECAT, "id": str(n)} for n in range(2)] + [{**ICECAT, "id": "9", **fields}]
    path = tmp_path / "products.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reader = read_icecat(path)
    assert len(list(reader)) == 2
    assert [(row.line, row.column) for row in reader.bad_rows] == [(3, column)]
    assert reason in reader.bad_rows[0].reason


def test_icecat_category_is_empty_where_type_is_a_number(tmp_path: Path) -> None:
    row = {**ICECAT, "attributes": {"t_product_type": "1"}}
    (tmp_path / "products.jsonl").write_text(json.dumps(row))
    assert [product.category for product in read_icecat(tmp_path)] == [""]


def kaggle(folder: Path) -> None:
    table(
        folder / "train.csv",
        [
            ["id", "product_uid", "product_title", "search_term", "relevance"],
            [2, 100001, "Angle 90\xb0", "angle bracket", 3],
            [3, 100001, "Angle 90\xb0", "l bracket", 2.5],
            [9, 100002, "Deck paint", "deck over", "2.33"],
        ],
        encoding="latin-1",
    )
    table(
        folder / "test.csv",
        [
            ["id", "product_uid", "product_title", "search_term"],
            [1, 100003, "Caf\xe9 chair", "chair"],
            [4, 100001, "Angle 90\xb0", "angle"],
        ],
        encoding="latin-1",
    )
    table(
        folder / "product_descriptions.csv",
        [
            ["product_uid", "product_description"],
            [100001, "Bends,\nat \xbd inch"],
            [100009, "of no product with a title"],
        ],
        encoding="latin-1",
    )
    table(
        folder / "attributes.csv",
        [
            ["product_uid", "name", "value"],
            ["100001", "Bullet01", "Versatile"],
            ["100002.0", "MFG Brand Name", "BEHR"],
            ["", "", ""],
            ["100009", "Color", "Red"],
            ["", "Color", "Red"],
        ],
        encoding="latin-1",
    )


def test_home_depot_is_read_in_kaggle_layout(tmp_path: Path) -> None:
    kaggle(tmp_path)
    reader = read_homedepot(tmp_path)
    assert list(reader) == [
        Product(
            "100001",
            "Angle 90°",
            description="Bends,\nat ½ inch",
            attributes={"Bullet01": "Versatile"},
        ),
        Product("100002", "Deck paint", "BEHR"),
        Product("100003", "Café chair"),
    ]
    assert [(row.file, row.line, row.column) for row in reader.bad_rows] == [
        (str(tmp_path / "attributes.csv"), 6, "product_uid")
    ]
    assert read_homedepot_judgments(tmp_path) == [
        Judgment("angle bracket", "100001", 3.0),
        Judgment("l bracket", "100001", 2.5),
        Judgment("deck over", "100002", 2.33),
    ]


def test_home_depot_is_read_repacked(tmp_path: Path) -> None:
    table(tmp_path / "products.csv", [["product_uid", "product_title"], [1, "Angle 90°"]])
    table(
        tmp_path / "judgments.csv",
        [
            ["id", "product_uid", "product_title", "search_term", "relevance"],
            [2, 1, "Angle 90°", "angle", 3],
        ],
    )
    assert list(read_homedepot(tmp_path)) == [Product("1", "Angle 90°")]
    assert read_homedepot_judgments(tmp_path) == [Judgment("angle", "1", 3.0)]


def test_home_depot_pair_without_title_is_set_aside(tmp_path: Path) -> None:
    kaggle(tmp_path)
    with (tmp_path / "test.csv").open("ab") as stream:
        stream.write(b"7,100004,,chair\n")
    reader = read_homedepot(tmp_path)
    assert len(list(reader)) == 3
    first = reader.bad_rows[0]
    assert (first.file, first.line, first.column) == (
        str(tmp_path / "test.csv"),
        4,
        "product_title",
    )


WANDS_COLUMNS = (
    "product_id\tproduct_name\tproduct_class\tcategory hierarchy\tproduct_description\t"
    "product_features\trating_count\taverage_rating\treview_count\n"
)


def wands(
    folder: Path, labels: str = "0\t0\t4\tExact\n1\t0\t5\tPartial\n2\t7\t4\tIrrelevant\n"
) -> None:
    (folder / "product.csv").write_text(
        WANDS_COLUMNS
        + '4\t"27.5 "" wide chair"\tAccent Chairs\tFurniture / Chairs\tsoft\t'
        + "color:red|legs : wood| : walnut|color:blue|broken\t15.0\t4.5\t\n"
        + "5\tsalon chair\t\t\t\t\t\t\t\n"
    )
    (folder / "query.csv").write_text(
        "query_id\tquery\tquery_class\n0\tsalon chair\tMassage Chairs\n7\towl\t\n"
    )
    (folder / "label.csv").write_text("id\tquery_id\tproduct_id\tlabel\n" + labels)


def test_wands_is_read_as_published(tmp_path: Path) -> None:
    wands(tmp_path)
    assert list(read_wands(tmp_path)) == [
        Product(
            "4",
            '27.5 " wide chair',
            category="Accent Chairs",
            description="soft",
            attributes={"color": "red|blue|broken", "legs": "wood|walnut"},
            extra={
                "category hierarchy": "Furniture / Chairs",
                "rating_count": 15.0,
                "average_rating": 4.5,
                "review_count": "",
            },
        ),
        Product(
            "5",
            "salon chair",
            extra={
                "category hierarchy": "",
                "rating_count": "",
                "average_rating": "",
                "review_count": "",
            },
        ),
    ]
    assert read_wands_judgments(tmp_path) == [
        Judgment("salon chair", "4", 2.0),
        Judgment("salon chair", "5", 1.0),
        Judgment("owl", "4", 0.0),
    ]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("0\t3\t4\tExact\n", r"label\.csv, line 2, column 'query_id': '3': no such id"),
        ("0\t0\t4\tGood\n", r"column 'label': 'Good': expected one of Exact, Partial, Irrelevant"),
        ("0\t0\t\tExact\n", r"column 'product_id': '': the product_id is missing"),
        ("0\t0\t4\n", "3 columns where the header has 4"),
    ],
)
def test_bad_wands_label_is_reported(tmp_path: Path, label: str, message: str) -> None:
    wands(tmp_path, label)
    with pytest.raises(DataError, match=message):
        read_wands_judgments(tmp_path)


def test_feature_without_name_extends_value_before_it() -> None:
    assert parse_features("") == {}
    assert parse_features("lost|a:b:c||d:") == {"a": "b:c"}


def esci(folder: Path) -> None:
    product = {
        "product_id": "B1",
        "product_title": "Desk lamp",
        "product_description": None,
        "product_bullet_point": "Bright\nSmall",
        "product_brand": "Lumo",
        "product_color": "Red",
        "product_locale": "us",
    }
    spanish = {"product_title": "Lámpara", "product_color": None, "product_locale": "es"}
    bare = {"product_id": "B2", "product_color": None}
    parquet(
        folder / "shopping_queries_dataset_products.parquet",
        [product, {**product, **spanish}, {**product, **bare}, {**product, "product_title": None}],
    )
    example = {
        "example_id": 0,
        "query": "desk lamp",
        "query_id": 3,
        "product_id": "B1",
        "product_locale": "us",
        "esci_label": "E",
        "small_version": 0,
        "large_version": 1,
        "split": "train",
    }
    parquet(
        folder / "shopping_queries_dataset_examples.parquet",
        [
            example,
            {**example, "product_id": "B2", "esci_label": "S", "small_version": 1},
            {**example, "product_id": "B3", "esci_label": "C", "split": "test"},
            {**example, "product_id": "B4", "esci_label": "I", "split": "test"},
            {**example, "product_locale": "es", "query": "lámpara"},
        ],
    )


def test_esci_is_read_for_one_locale(tmp_path: Path) -> None:
    esci(tmp_path)
    reader = read_esci(tmp_path)
    first, second = reader
    assert first == Product(
        "B1",
        "Desk lamp",
        "Lumo",
        attributes={"color": "Red"},
        extra={"product_bullet_point": "Bright\nSmall", "product_locale": "us"},
    )
    assert (second.id, second.attributes) == ("B2", {})
    assert [(row.line, row.column) for row in reader.bad_rows] == [(4, "product_title")]
    assert [product.title for product in read_esci(tmp_path, locale="es")] == ["Lámpara"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [("B1", 3.0), ("B2", 2.0), ("B3", 1.0), ("B4", 0.0)]),
        ({"split": "train"}, [("B1", 3.0), ("B2", 2.0)]),
        ({"split": "test"}, [("B3", 1.0), ("B4", 0.0)]),
        ({"small": True}, [("B2", 2.0)]),
        ({"locale": "es"}, [("B1", 3.0)]),
    ],
)
def test_esci_labels_become_ratings(
    tmp_path: Path, options: dict[str, Any], expected: list[tuple[str, float]]
) -> None:
    esci(tmp_path)
    judgments = read_esci_judgments(tmp_path, **options)
    assert [(judgment.product_id, judgment.rating) for judgment in judgments] == expected


def test_unknown_esci_settings_are_named(tmp_path: Path) -> None:
    esci(tmp_path)
    with pytest.raises(DataError, match="locale is 'uk'; expected one of us, es, jp"):
        read_esci(tmp_path, locale="uk")
    with pytest.raises(DataError, match="split is 'dev'; expected one of train, test"):
        read_esci_judgments(tmp_path, split="dev")


@pytest.mark.parametrize(
    "read",
    [
        read_icecat,
        read_icecat_judgments,
        read_homedepot,
        read_homedepot_judgments,
        read_wands,
        read_wands_judgments,
        read_esci,
        read_esci_judgments,
    ],
)
def test_empty_folder_error_lists_expected_files(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(DataError, match=r"has none of .*(csv|json|parquet)"):
        read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "query,docid,rating\nlamp,1,3\nsofa,2,0.5\nlamp,1,3\n",
        "rating,doc_id,search_term\n3,1,lamp\n0.5,2,sofa\n",
        "\ufeffQuery;Product_ID;Grade\r\nlamp;1;3\r\n\r\nsofa;2;0.5\r\n",
        "id,product_uid,search_term,relevance\n70,1,lamp,3\n71,2,sofa,0.5\n",
    ],
)
def test_judgments_are_read_by_usual_column_names(tmp_path: Path, content: str) -> None:
    path = tmp_path / "judgments.csv"
    path.write_text(content)
    assert read_judgments(path) == [Judgment("lamp", "1", 3.0), Judgment("sofa", "2", 0.5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("query,docid\nlamp,1\n", r"no column for rating .*\['query', 'docid'\]"),
        ("query,docid,rating\n", "has no judgments"),
        ("query,docid,rating\nlamp,1,high\n", "line 2, column 'rating': 'high': expected a finite"),
        ("query,docid,rating\nlamp,1,nan\n", "line 2, column 'rating': 'nan': expected a finite"),
        ("query,docid,rating\nlamp,1,\n", "line 2, column 'rating': ''"),
        ("query,docid,rating\n,1,2\n", "line 2, column 'query': '': the query is missing"),
        ("query,docid,rating\nlamp, ,2\n", "line 2, column 'docid': ' '"),
        ("query,docid,rating\nlamp,1\n", "line 2: 'lamp,1': 2 columns"),
        ('query,docid,rating\n"a\nb",1,2\nlamp,1,x\n', "line 4, column 'rating'"),
        ("query,docid,rating\nlamp,1,2\nlamp,1,3\n", "line 3.*was rated 2.0 in line 2"),
    ],
)
def test_bad_judgment_raises_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "judgments.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read_judgments(path)
    assert str(path) in str(error.value)


def test_real_icecat_has_no_bad_rows() -> None:
    data_dir = Settings.from_environment().data_dir
    if data_dir is None or not (data_dir / "icecat").is_dir():
        pytest.skip("QTR_DATA_DIR has no icecat: the real catalog was not read")
    reader = read_icecat(data_dir / "icecat")
    ids = {product.id for product in reader}
    assert (len(ids), reader.report.bad) == (19_406, 0)
    judgments = read_icecat_judgments(data_dir / "icecat")
    assert (len(judgments), len({judgment.query for judgment in judgments})) == (2_809, 105)
    graded = read_graded_icecat(data_dir / "icecat")
    assert (len(graded), len({one.query for one in graded})) == (2_809 + 1_493, 105)
    assert {one.product_id for one in graded} <= ids


def test_added_icecat_judgments_are_grades_of_97_queries() -> None:
    added = read_judgments(ADDED_JUDGMENTS)
    assert (len(added), len({one.query for one in added})) == (1_493, 97)
    assert {one.rating for one in added} == {0.0, 1.0, 2.0, 3.0}


def test_added_judgments_count_for_published_queries_and_replace_their_ratings(
    tmp_path: Path,
) -> None:
    first, *others = read_judgments(ADDED_JUDGMENTS)
    (tmp_path / "judgments.csv").write_text(
        f"query,docid,rating\n{first.query},{first.product_id},{3 - first.rating:g}\n"
        f"{first.query},no-such-product,1\n"
    )
    graded = read_graded_icecat(tmp_path)
    same_query = [one for one in others if one.query == first.query]
    assert same_query
    assert {(one.product_id, one.rating) for one in graded} == {
        (first.product_id, first.rating),
        ("no-such-product", 1.0),
        *((one.product_id, one.rating) for one in same_query),
    }
    assert {one.query for one in graded} == {first.query}
