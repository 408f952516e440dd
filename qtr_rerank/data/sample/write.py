"""Titles: writes the sample catalog and its judgments as files, for `qtr sample`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.data.sample.generate import sample_catalog
from qtr_rerank.data.sample.queries import sample_judgments
from qtr_rerank.records import Product


@dataclass(frozen=True, slots=True)
class SamplePaths:
    """The files that `write_sample` wrote."""

    catalog: Path
    judgments: Path
    queries: Path
    pairs: Path


def write_sample(folder: Path, seed: int = 7) -> SamplePaths:
    """Write `catalog.jsonl`, `judgments.csv` (query,docid,rating), `queries.csv` (query,kind) and
    `pairs.csv`, the judgments with titles (query,title,relevance).

    Creates the folder if needed and replaces files of these names. The bytes depend only on the
    seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    catalog = sample_catalog(seed)
    judged = sample_judgments(catalog)
    paths = SamplePaths(
        folder / "catalog.jsonl",
        folder / "judgments.csv",
        folder / "queries.csv",
        folder / "pairs.csv",
    )
    with paths.catalog.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_json_line(product) for product in catalog)
    _write_csv(
        paths.judgments,
        ("query", "docid", "rating"),
        ((one.query, docid, rating) for one in judged for docid, rating in one.ratings.items()),
    )
    _write_csv(
        paths.queries,
        ("query", "kind"),
        ((one.query, one.kind) for one in judged),
    )
    titles = {product.id: product.title for product in catalog}
    _write_csv(
        paths.pairs,
        ("query", "title", "relevance"),
        ((one.query, titles[id_], grade) for one in judged for id_, grade in one.ratings.items()),
    )
    return paths


def _json_line(product: Product) -> str:
    """A product as JSON, its extra fields at top level as in the exports of shops."""
    fields = product.to_dict()
    extra = fields.pop("extra")
    return json.dumps({**fields, **extra}, ensure_ascii=False) + "\n"


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
