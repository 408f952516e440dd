"""Retrieve: a product's search fields and their boosts, for both lexical engines. No I/O.

An engine stores `search_fields(product)` at indexing time, parses a query with `query_words` and
`codes`, and multiplies each field's BM25 by its boost.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qtr_rerank.records import AttributeValue, Product
from qtr_rerank.text import normalise, words

# Tuned on half of Icecat's judged queries, by nDCG@10 over the full catalog: title 3 instead of 2
# loses 0.02, no attributes and description 0.08; description 0.25 to 1 makes no difference.
FIELD_BOOSTS: Mapping[str, float] = MappingProxyType(
    {
        "title": 2.0,
        "codes": 3.0,
        "brand": 2.0,
        "category": 2.0,
        "attributes": 1.0,
        "description": 0.5,
    }
)

# Longer queries are truncated. Lucene refuses more than 1,024 clauses, and the later words of a
# pasted page hardly change the result.
MAX_QUERY_WORDS = 64
MAX_QUERY_CHARACTERS = 1024

# Shorter words with digits are sizes and counts (`1/2`, `43.2`). Without punctuation they would
# become other numbers.
_MIN_CODE_CHARACTERS = 5


def search_fields(product: Product) -> dict[str, str]:
    """The normalised text of a product for each field of FIELD_BOOSTS.

    `codes` holds the part numbers of title and attributes, separated by spaces.
    """
    attributes = attributes_text(product)
    return {
        "title": normalise(product.title),
        "codes": " ".join(codes(f"{product.title} {attributes}")),
        "brand": normalise(product.brand),
        "category": normalise(product.category),
        "attributes": attributes,
        "description": normalise(product.description),
    }


def attributes_text(product: Product) -> str:
    """Attributes as normalised text: name and value, or only the name if the value is true.

    False attributes are left out: a headset that is not wireless must not match "wireless".
    """
    parts = []
    for name, value in product.attributes.items():
        if value is False:
            continue
        label = name.replace("_", " ")
        parts.append(label if value is True else f"{label} {_value_text(value)}")
    return normalise(" ".join(parts))


def codes(text: str) -> list[str]:
    """The distinct part numbers of a text without their punctuation, in order.

    Titles and queries write one part number in several ways: `DV7-1211EA` and `dv71211ea` both give
    `dv71211ea`. A part number is a word with a digit and at least five letters or digits.
    """
    compact = ("".join(filter(str.isalnum, word)) for word in words(text))
    return list(
        dict.fromkeys(
            word
            for word in compact
            if len(word) >= _MIN_CODE_CHARACTERS and any(map(str.isdigit, word))
        )
    )


def query_words(query: str) -> list[str]:
    """The distinct normalised words of a query, in order, up to the engines' limits."""
    distinct = dict.fromkeys(words(query[: MAX_QUERY_CHARACTERS * 4]))
    kept: list[str] = []
    characters = 0
    for word in distinct:
        characters += len(word)
        if len(kept) == MAX_QUERY_WORDS or characters > MAX_QUERY_CHARACTERS:
            break
        kept.append(word)
    return kept


def _value_text(value: AttributeValue) -> str:
    # Shoppers write `39`, not the `39.0` of a whole number that was read as a float.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
