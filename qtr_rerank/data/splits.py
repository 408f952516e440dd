"""Titles: split judged queries into training and development, the same on every machine."""

from __future__ import annotations

import hashlib
from typing import Literal

from qtr_rerank.text import words

Split = Literal["train", "dev"]
DEV_SHARE = 0.3


def split_of(query: str, dev_share: float = DEV_SHARE) -> Split:
    """Where a query belongs. Near-twins fall together, so that dev queries are truly unseen."""
    point = int.from_bytes(hashlib.sha256(query_key(query).encode()).digest()[:8]) / 2**64
    return "dev" if point < dev_share else "train"


def query_key(query: str) -> str:
    """What near-twins share: `laptop`, `Laptops` and `lap top` have one key."""
    return "".join(word.removesuffix("s") for word in words(query))
