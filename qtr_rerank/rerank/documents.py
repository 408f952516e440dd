"""Rerank: the documents of a call, in each form that callers have, and the text a model reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from qtr_rerank.errors import DataError
from qtr_rerank.records import Product
from qtr_rerank.template import ProductText

Document = str | Product | Mapping[str, Any]


def require_documents(documents: Iterable[Document]) -> list[Document]:
    """The documents as a list. Raises DataError for a single document, or no iterable."""
    if isinstance(documents, str | bytes | Product | Mapping) or not isinstance(
        documents, Iterable
    ):
        raise DataError(
            f"the documents are {str(documents)[:80]!r}; expected a list of texts, Products or "
            "mappings"
        )
    return list(documents)


def require_ids(ids: Iterable[str]) -> list[str]:
    """The ids as a list. Raises DataError for a single id, and for an id that is no text."""
    if isinstance(ids, str | Mapping) or not isinstance(ids, Iterable):
        raise DataError(f"the ids are {str(ids)[:80]!r}; expected a list of ids")
    given = list(ids)
    for place, one in enumerate(given):
        if not isinstance(one, str):
            raise DataError(f"id {place} is {one!r}; expected a text, as in the catalog")
    return given


def text_of(document: Document, place: int, reads: ProductText) -> str:
    """The text that a model of template `reads` reads of the document at `place` (from 0).

    A text is returned unchanged. The template renders a Product or a mapping with `title`; any
    other mapping gives its `text`. Raises DataError naming the place.
    """
    if isinstance(document, str):
        return document
    if isinstance(document, Product):
        return reads.render(document)
    if isinstance(document, Mapping):
        text = document.get("text")
        if "title" not in document and isinstance(text, str):
            return text
        fields: dict[str, Any] = {name: _as_text(document.get(name)) for name in reads.fields}
        has_title = document.get("title") is not None
        if has_title and None not in fields.values():
            return reads.render(Product(id="", **fields))
    raise DataError(
        f"document {place} is {str(document)[:80]!r}; expected a text, a Product, or a mapping "
        f"with 'text', or with 'title' and texts in what the model reads: {', '.join(reads.fields)}"
    )


def _as_text(value: Any) -> str | None:
    """A text or a number as text, None as the empty text; None for anything else."""
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
    """Each named signal of each document: the number under that key in a mapping, or in a
    Product's `extra`; None where there is none. Raises DataError where it is no number, and where
    no document has it: the name must be misspelt then.
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
