"""Rerank: documents in any form a caller may have them, and what a model reads of each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from qtr_rerank.errors import DataError
from qtr_rerank.records import Product
from qtr_rerank.template import ProductText

Document = str | Product | Mapping[str, Any]


def listed(documents: Iterable[Document]) -> list[Document]:
    """The documents as a list. Raises DataError for what is one document, or none."""
    if isinstance(documents, str | bytes | Product | Mapping) or not isinstance(
        documents, Iterable
    ):
        raise DataError(
            f"the documents are {str(documents)[:80]!r}; expected a list of texts, Products or "
            "mappings"
        )
    return list(documents)


def text_of(document: Document, place: int, reads: ProductText) -> str:
    """What a model of template `reads` reads of the document at `place` (from 0).

    A text as it is; of a Product, or a mapping with `title`, what the template says; else the
    mapping's `text`. Raises DataError naming the place.
    """
    if isinstance(document, str):
        return document
    if isinstance(document, Product):
        return reads.render(document)
    if isinstance(document, Mapping):
        text = document.get("text")
        if "title" not in document and isinstance(text, str):
            return text
        fields: dict[str, Any] = {name: _written(document.get(name)) for name in reads.fields}
        has_title = document.get("title") is not None
        if has_title and None not in fields.values():
            return reads.render(Product(id="", **fields))
    raise DataError(
        f"document {place} is {str(document)[:80]!r}; expected a text, a Product, or a mapping "
        f"with 'text', or with 'title' and texts in what the model reads: {', '.join(reads.fields)}"
    )


def _written(value: Any) -> str | None:
    """A text or a number as text, nothing as the empty one; None for anything else."""
    if value is None or isinstance(value, str):
        return value or ""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return str(value) if is_number else None


def id_of(document: Document, place: int) -> str:
    """The document's own id, or its place where it has none."""
    if isinstance(document, Product):
        return document.id
    if isinstance(document, Mapping) and document.get("id") is not None:
        return str(document["id"])
    return str(place)


def signals_of(
    documents: Sequence[Document], names: Iterable[str]
) -> dict[str, list[float | None]]:
    """Each named signal of each document: a number of that key in a mapping, or in a Product's
    `extra`; None where there is none. Raises DataError where it is no number, and where no document
    has it, which is a name that was written wrongly.
    """
    found: dict[str, list[float | None]] = {}
    for name in names:
        values = [_signal(document, place, name) for place, document in enumerate(documents)]
        if documents and all(value is None for value in values):
            raise DataError(
                f"no document has a number {name!r}, which blend asks for; give it as a key of the "
                "mapping, or in Product.extra"
            )
        found[name] = values
    return found


def _signal(document: Document, place: int, name: str) -> float | None:
    holder = document.extra if isinstance(document, Product) else document
    value = holder.get(name) if isinstance(holder, Mapping) else None
    if value is None:
        return None
    if not isinstance(value, bool) and isinstance(value, int | float | np.number):
        with contextlib.suppress(OverflowError):
            return float(value)
    raise DataError(f"document {place} has {name!r} {str(value)[:80]!r}; expected a number")
