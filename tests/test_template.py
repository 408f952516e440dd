"""Templates of the text that models read, from training pairs to reranker and index."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.job import IndexSettings, build_index
from qtr_rerank.artifact import SHIPPED, Artifact
from qtr_rerank.data.catalog_formats import product_texts
from qtr_rerank.data.training_pairs import (
    common_template,
    read_table,
    template_of,
    texts,
    with_column,
    with_template,
    write_table,
)
from qtr_rerank.errors import ArtifactError, DataError, SettingsError
from qtr_rerank.records import Judgment, Product
from qtr_rerank.rerank.reranker import Reranker
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.runtime.title_store import TitleStore
from qtr_rerank.teacher.transfer_pairs import TransferPairSettings
from qtr_rerank.teacher.write_pairs import write_judged_pairs, write_transfer_set
from qtr_rerank.template import FIELDS, ProductText
from tests.small_index import small_catalog, write_catalog

BRAND_FIRST = "{brand} {title}"

HOSE = Product(id="1", title="Garden hose  15 m", brand="Acme", category="Garden / Hoses")


@pytest.mark.parametrize(
    ("template", "product", "expected"),
    [
        ("{title}", HOSE, "Garden hose 15 m"),
        ("{brand} {title} {category}", HOSE, "Acme Garden hose 15 m Garden / Hoses"),
        ("{brand} {title} {category}", Product("2", "Mug"), "Mug"),
        ("{brand} {title}", Product("2", "Mug", brand="  "), "Mug"),
        ("{title} | {category}", HOSE, "Garden hose 15 m | Garden / Hoses"),
        ("{title} | {category}", Product("2", "Mug"), "Mug"),
        ("{brand}: {title}", Product("2", "Mug"), "Mug"),
        ("{title} ({brand})", HOSE, "Garden hose 15 m (Acme)"),
        ("{title} ({brand})", Product("2", "Mug"), "Mug"),
        ("product: {title}", Product("2", "Mug"), "product: Mug"),
        ("{title}", Product("2", "{brand}"), "{brand}"),
    ],
)
def test_product_is_rendered_by_template(template: str, product: Product, expected: str) -> None:
    assert ProductText(template).render(product) == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{brand}", "lacks the title"),
        ("{title} {colour}", "'colour'; expected one of title, brand, category"),
        ("{title} {}", "names the field ''"),
        ("{title!r}", "names the field 'title!r:'"),
        ("{title:>9}", "expected one of title, brand, category"),
        ("{title", "cannot be read"),
        ("", "lacks the title"),
    ],
)
def test_invalid_template_is_refused(template: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ProductText(template)


@given(*[st.text(max_size=12)] * 3, st.permutations(FIELDS))
def test_rendered_text_keeps_all_words_and_single_spaces(
    title: str, brand: str, category: str, order: list[str]
) -> None:
    template = " ".join(f"{{{field}}}" for field in order)
    product = Product("1", title, brand=brand, category=category)
    text = ProductText(template).render(product)
    values = {"title": title, "brand": brand, "category": category}
    assert text.split() == [word for field in order for word in values[field].split()]
    assert text == " ".join(text.split())


def test_template_is_kept_in_metadata_through_every_step(tmp_path: Path) -> None:
    write_table(with_template(pa.table({"title": ["a"]}), BRAND_FIRST), tmp_path / "pairs.parquet")
    table = read_table(tmp_path / "pairs.parquet", ["title"])
    for step in ("added", "replaced"):
        table = with_column(table.slice(0, 1), "label", [0.5])
        write_table(table, tmp_path / step / "part-00000.parquet")
        assert template_of(tmp_path / step) == BRAND_FIRST


def test_table_without_template_has_titles_only(tmp_path: Path) -> None:
    write_table(pa.table({"title": ["a"]}), tmp_path / "old.parquet")
    assert template_of(tmp_path / "old.parquet") == "{title}"


def test_tables_with_different_templates_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for path, template in zip(paths, ("{title}", BRAND_FIRST), strict=True):
        write_table(with_template(pa.table({"title": ["a"]}), template), path)
    with pytest.raises(DataError, match=r"one.parquet reads '{title}'.*two.parquet reads '{brand}"):
        common_template(paths)


def test_pairs_contain_the_rendered_text(tmp_path: Path) -> None:
    products = [replace(HOSE, id=str(n), title=f"Hose {n} m") for n in range(60)]
    read = product_texts(products, ProductText(BRAND_FIRST))
    judgments = [Judgment("hose", str(n), n % 3) for n in range(9)]
    write_judged_pairs(judgments, read, tmp_path / "judged.parquet", None, BRAND_FIRST)
    write_transfer_set(
        read.values(),
        ["hose"],
        tmp_path / "pairs.parquet",
        TransferPairSettings(generated_queries=5),
        reads=BRAND_FIRST,
    )
    for name in ("judged.parquet", "pairs.parquet"):
        titles = texts(read_table(tmp_path / name, ["title"]), "title")
        assert titles
        assert all(title.startswith("Acme Hose ") for title in titles)
        assert template_of(tmp_path / name) == BRAND_FIRST


def test_template_field_missing_from_all_products_is_an_error() -> None:
    products = [Product("1", "Mug"), Product("2", "Cup")]
    with pytest.raises(DataError, match="no product has a brand"):
        product_texts(products, ProductText(BRAND_FIRST))


@pytest.fixture
def brand_first(tmp_path: Path) -> Artifact:
    """A shipped model whose template begins with the brand."""
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED / "twin", folder)
    return Artifact.seal(folder, replace(Artifact.load(folder).config, reads=BRAND_FIRST))


def test_reranker_renders_products_and_keeps_texts(
    brand_first: Artifact,
) -> None:
    scorer = Scorer(brand_first)
    documents: list[Any] = [
        HOSE,
        {"title": HOSE.title, "brand": "Acme"},
        "Acme Garden hose 15 m",
        {"text": "Acme Garden hose 15 m"},
        {"title": HOSE.title, "brand": None},
        HOSE.title,
    ]
    hits = Reranker(scorer).rerank("acme hose", documents)
    logits = [hit.logit for hit in sorted(hits, key=lambda hit: hit.index)]
    assert logits[:4] == pytest.approx([logits[0]] * 4, abs=1e-4)
    assert logits[4] == pytest.approx(logits[5], abs=1e-4)
    assert logits[0] > logits[5] + 0.01
    with pytest.raises(DataError, match=r"document 0 .* brand, title"):
        Reranker(scorer).rerank("hose", [{"title": "Hose", "brand": ["Acme"]}])


def test_index_stores_the_rendered_text(brand_first: Artifact, tmp_path: Path) -> None:
    products = small_catalog(20)
    catalog = write_catalog(tmp_path / "shop.jsonl", products)
    scorer = Scorer(brand_first)
    build_index(IndexSettings(catalog=catalog, index=tmp_path / "index"), [scorer])
    stored = TitleStore.open(tmp_path / "index" / "store").features("twin")
    expected = scorer.encode_titles([f"{one.brand} {one.title}" for one in products])
    for name, rows in expected.items():
        np.testing.assert_allclose(stored[name], rows, atol=1e-3)


def test_artifact_with_invalid_template_is_refused(brand_first: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"'twin'.*'colour'"):
        replace(brand_first.config, reads="{title} {colour}")
