"""Rerank: the JSON response of a search engine: its hits, their texts, and the hits in a new order.

OpenSearch and Elasticsearch keep hits in `hits.hits`, Solr in `response.docs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from qtr_rerank.errors import DataError

Response = TypeVar("Response", bound=Mapping[str, Any])

# Where hits are: the outer key, the key of their list, and the key of a hit's id.
_FORMATS = (("hits", "hits", "_id"), ("response", "docs", "id"))
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class SearchResponse(Generic[Response]):
    """A response and the hits in it, which are at `response[outer][inner]`."""

    response: Response
    outer: str
    inner: str
    hits: Sequence[Mapping[str, Any]]
    ids: list[str]

    @classmethod
    def read(cls, response: Response) -> SearchResponse[Response]:
        """Find the hits. Raises DataError where the response has neither form."""
        for outer, inner, id_key in _FORMATS:
            block = response.get(outer) if isinstance(response, Mapping) else None
            hits = block.get(inner) if isinstance(block, Mapping) else None
            if isinstance(hits, Sequence) and not isinstance(hits, str):
                for place, hit in enumerate(hits):
                    if not isinstance(hit, Mapping):
                        raise DataError(
                            f"hit {place} is {str(hit)[:_SHOWN]!r}; expected a JSON object"
                        )
                return cls(response, outer, inner, hits, [str(hit.get(id_key)) for hit in hits])
        raise DataError(
            f"the response is {str(response)[:_SHOWN]!r}; expected the JSON of a search, with "
            "hits.hits (OpenSearch, Elasticsearch) or response.docs (Solr)"
        )

    def titles(self, fields: str | Sequence[str], required: bool) -> list[str | None]:
        """The text of each hit in `fields`, joined by spaces; None where it has none of them.

        Raises DataError where texts are `required` and no hit has one.
        """
        names = [fields] if isinstance(fields, str) else list(fields)
        found = [_text(hit, names) for hit in self.hits]
        if required and found and all(text is None for text in found):
            raise DataError(
                f"no hit has a text in {', '.join(names) or 'no field'}; the first has "
                f"{', '.join(map(str, _source(self.hits[0])))[:_SHOWN] or 'no fields'}; name the "
                "field with title=, and let the search return it"
            )
        return found

    def reordered(self, order: Sequence[int]) -> Response:
        """A copy of the response with its hits in this order; nothing else differs."""
        block = {**self.response[self.outer], self.inner: [self.hits[place] for place in order]}
        copy: Any = {**self.response, self.outer: block}
        return copy  # type: ignore[no-any-return]


def _source(hit: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a hit: `_source`, else `fields`, else the hit itself, as in Solr."""
    for key in ("_source", "fields"):
        inner = hit.get(key)
        if isinstance(inner, Mapping):
            return inner
    return hit


def _text(hit: Mapping[str, Any], names: Sequence[str]) -> str | None:
    holders = [hit[key] for key in ("_source", "fields") if isinstance(hit.get(key), Mapping)]
    texts: list[str] = []
    for name in names:
        for holder in holders or [hit]:
            value = _as_text(_value(holder, name))
            if value is not None:
                texts.append(value)
                break
    return " ".join(texts) if texts else None


def _value(fields: Mapping[str, Any], name: str) -> Any:
    """The value of a field, by its whole name or along its dots."""
    if name in fields:
        return fields[name]
    inner: Any = fields
    for part in name.split("."):
        inner = inner.get(part) if isinstance(inner, Mapping) else None
    return inner


def _as_text(value: Any) -> str | None:
    """A text, a number, or a list of them (a multi-valued field) as one text; else None."""
    if isinstance(value, list):
        parts = [part for part in map(_as_text, value) if part is not None]
        return " ".join(parts) if parts else None
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else None
