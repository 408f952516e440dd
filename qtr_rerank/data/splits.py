"""Splits judged queries into training and development, the same on every machine."""

from __future__ import annotations

import hashlib
from typing import Literal

from qtr_rerank.text import words

Split = Literal["train", "dev"]
DEV_SHARE = 0.3


def split_of(query: str, dev_share: float = DEV_SHARE) -> Split:
    """The split of a query. Near-duplicates share one, so that dev queries are truly unseen."""
    point = int.from_bytes(hashlib.sha256(query_key(query).encode()).digest()[:8]) / 2**64
    return "dev" if point < dev_share else "train"


def query_key(query: str) -> str:
    """A key that near-duplicates share: that of `laptop`, `Laptops` and `lap top` is the same."""
    return "".join(word.removesuffix("s") for word in words(query))
