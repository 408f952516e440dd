"""Titles: the sample shop that the project draws itself, for the demo, the tests and training."""

from __future__ import annotations

from qtr_rerank.data.sample.generate import KINDS, sample_catalog
from qtr_rerank.data.sample.judge import Constraint, Intent, JudgedQuery, grade
from qtr_rerank.data.sample.queries import (
    QUERY_KINDS,
    GeneratedQuery,
    generated_queries,
    sample_judgments,
)
from qtr_rerank.data.sample.write import SamplePaths, write_sample

__all__ = [
    "KINDS",
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
    "write_sample",
]
