"""The commands behind the figures on pages, on a few products of the sample shop."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from experiments import cascade, icecat, zero_shot
from qtr_rerank.data.icecat import ADDED_JUDGMENTS
from qtr_rerank.data.judgments import read_judgments
from qtr_rerank.data.splits import split_of
from qtr_rerank.evaluate.pair_measures import auc
from qtr_rerank.runtime.scorer import Scorer
from tests.small_index import small_catalog

PRODUCTS = small_catalog(60)
# Pairs of a title used as a query and a judged title: itself, and another.
PAIRS = [(place, other) for place in range(0, 60, 3) for other in (place, (place + 7) % 60)]
# Any words on the development side of the split will do.
DEVELOPMENT = [product.title for product in PRODUCTS if split_of(product.title) == "dev"][:4]
UNANSWERED = next(name for name in map(str, range(1000)) if split_of(name) == "dev")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """icecat/ and homedepot/ as in QTR_DATA_DIR, with products of the sample shop."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "icecat").mkdir()
    rows = ({"id": product.id, "title": product.title} for product in PRODUCTS)
    (folder / "icecat" / "products.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    _write(
        folder / "icecat" / "judgments.csv",
        ["query", "docid", "rating"],
        (
            (query, product.id, 3 if product.title == query else 0)
            for query in [*DEVELOPMENT, UNANSWERED]
            for product in PRODUCTS
        ),
    )
    (folder / "homedepot").mkdir()
    titles = [product.title for product in PRODUCTS]
    _write(
        folder / "homedepot" / "products.csv", ["product_uid", "product_title"], enumerate(titles)
    )
    _write(
        folder / "homedepot" / "judgments.csv",
        ["id", "product_uid", "product_title", "search_term", "relevance"],
        (
            (number, other, titles[other], titles[place], 3 if place == other else 1)
            for number, (place, other) in enumerate(PAIRS)
        ),
    )
    return folder


def _write(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _report(command: Any, out: Path, *words: object) -> Any:
    result = CliRunner().invoke(command, [*map(str, words), "-o", str(out)])
    assert result.exit_code == 0, result.output
    return json.loads(out.read_text())


def test_icecat_and_cascade_measure_the_same_search(data: Path, tmp_path: Path) -> None:
    report = _report(icecat.main, tmp_path / "icecat.json", data / "icecat", "--work", tmp_path)
    assert report["queries"] == len(DEVELOPMENT) + 1
    reranked = report["full catalog"]["reranked"]
    # Each query is a title's own words; the query without a relevant product is left out.
    assert reranked["R@100"] == 1.0
    assert reranked["RR@10"] == 1.0
    assert report["judged lists"]["match"]["nDCG@10"] == 1.0
    (compared,) = _report(
        cascade.main, tmp_path / "cascade.json", tmp_path / "index", tmp_path / "qrels.csv"
    )
    assert len(compared) == 1 + len(cascade.cascades())
    (shipped,) = (figures for name, figures in compared.items() if name.endswith("as shipped"))
    assert shipped == reranked
    assert compared["retrieval alone"] == report["full catalog"]["lexical + dense"]
    # Every product of each query is judged, so nothing is open.
    assert reranked["Judged@10"] == 1.0
    assert reranked["nDCG@10, at least"] == reranked["nDCG@10"] == reranked["nDCG@10, at most"]
    assert reranked["nDCG@10, 95 % low"] <= reranked["nDCG@10"] <= reranked["nDCG@10, 95 % high"]
    assert reranked["queries"] == len(DEVELOPMENT)
    assert report["full catalog, published judgments"] == report["full catalog"]


def test_full_catalog_is_measured_by_the_added_judgments_too(data: Path, tmp_path: Path) -> None:
    added = next(one for one in read_judgments(ADDED_JUDGMENTS) if split_of(one.query) == "dev")
    folder = tmp_path / "icecat"
    folder.mkdir()
    products = (data / "icecat" / "products.jsonl").read_text()
    found = {"id": added.product_id, "title": added.query}
    (folder / "products.jsonl").write_text(products + json.dumps(found) + "\n")
    query, (first, second) = added.query, PRODUCTS[:2]
    published_rows = [(query, first.id, 3), (query, second.id, 0)]
    _write(folder / "judgments.csv", ["query", "docid", "rating"], published_rows)
    report = _report(icecat.main, tmp_path / "icecat.json", folder, "--work", tmp_path / "work")
    of_query = [one for one in read_judgments(ADDED_JUDGMENTS) if one.query == query]
    assert report["judged pairs"] == 2
    assert report["pairs with the added judgments"] == 2 + len(of_query)
    by_both, published = (
        report[name]["reranked"] for name in ("full catalog", "full catalog, published judgments")
    )
    assert by_both["Judged@10"] > published["Judged@10"]
    assert published["nDCG@10, at least"] < published["nDCG@10, at most"]


def test_cascade_names_missing_arguments(tmp_path: Path) -> None:
    result = CliRunner().invoke(cascade.main, [str(tmp_path)])
    assert result.exit_code == 2
    assert "1 paths; expected pairs of an index and its judgments" in result.output
    result = CliRunner().invoke(cascade.main, [str(tmp_path), str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert str(tmp_path) in result.output


def test_zero_shot_measures_every_shipped_model_on_all_pairs(data: Path, tmp_path: Path) -> None:
    report = _report(
        zero_shot.main, tmp_path / "zero.json", "--data", data, "--work", tmp_path / "work"
    )
    assert (report["pairs"], report["queries"]) == (40, 20)
    assert set(report["rows"]) == {"BM25, title", "match", "bert-bilstm", "bert2dnn", "twin"}
    titles = [product.title for product in PRODUCTS]
    scores = Scorer.load("match").score_pairs(
        [titles[place] for place, _ in PAIRS], [titles[other] for _, other in PAIRS]
    )
    relevant = np.array([place == other for place, other in PAIRS])
    assert report["rows"]["match"]["AUC(3)"] == round(float(auc(scores, relevant)), 4)
    assert report["recall"][-1]["recall@100"] == 1.0
