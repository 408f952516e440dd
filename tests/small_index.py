"""A small index of the sample shop, built with the shipped models, for the search tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from indexer.job import IndexReport, IndexSettings, build_index
from qtr_rerank.data.sample import sample_catalog
from qtr_rerank.records import Product
from qtr_rerank.runtime.scorer import Scorer

MODELS = ("twin", "match", "bert-bilstm", "bert2dnn")


def small_catalog(products: int = 300) -> list[Product]:
    """Products of all departments of the sample shop."""
    shop = sample_catalog()
    return shop[:: len(shop) // products][:products]


def write_catalog(path: Path, products: Iterable[Product]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(product.to_dict()) + "\n" for product in products)
    return path


def build_small_index(
    folder: Path, products: Iterable[Product], models: Iterable[str] = MODELS
) -> IndexReport:
    catalog = write_catalog(folder.with_name(folder.name + ".jsonl"), products)
    return build_index(
        IndexSettings(catalog=catalog, index=folder, batch=128),
        [Scorer.load(name) for name in models],
    )
