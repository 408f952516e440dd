"""qtr_rerank: product search reranking on one CPU core. The few public names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qtr_rerank.errors import QtrError
from qtr_rerank.records import Candidate, Filters, Product, Ranked, SearchResult

if TYPE_CHECKING:
    from qtr_rerank.rerank.reranker import Reranker
    from qtr_rerank.search import SearchEngine

__version__ = "0.1.0"
__all__ = [
    "Candidate",
    "Filters",
    "Product",
    "QtrError",
    "Ranked",
    "Reranker",
    "SearchEngine",
    "SearchResult",
    "__version__",
]

# Loaded on first use: `import qtr_rerank` must not wait for numpy and onnxruntime.
_LAZY = {"Reranker": "qtr_rerank.rerank.reranker", "SearchEngine": "qtr_rerank.search"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
