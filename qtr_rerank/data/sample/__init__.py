"""Titles: the generated sample shop, for the demo, the tests and training.

The data files (`vocabulary.toml`, `departments/`, `queries.toml`) say what the shop sells and what
its customers type; `reader` and `queries` read them, `generate` makes the products, `judge` the
grades, `query_generator` queries for training, `write` the files of `qtr sample`.

To add a kind of product, add a [[kind]] table to a department's file; to add a department, add a
file and its name in `vocabulary.toml`. Either changes the generated catalog, and its checksum in
`tests/test_sample_catalog.py`.
"""

from __future__ import annotations

from qtr_rerank.data.sample.generate import sample_catalog
from qtr_rerank.data.sample.judge import Constraint, Intent, JudgedQuery, grade
from qtr_rerank.data.sample.queries import QUERY_KINDS, sample_judgments
from qtr_rerank.data.sample.query_generator import GeneratedQuery, generated_queries
from qtr_rerank.data.sample.reader import shop
from qtr_rerank.data.sample.write import SamplePaths, write_sample

__all__ = [
    "QUERY_KINDS",
    "Constraint",
    "GeneratedQuery",
    "Intent",
    "JudgedQuery",
    "SamplePaths",
    "generated_queries",
    "grade",
    "sample_catalog",
    "sample_judgments",
    "shop",
    "write_sample",
]
