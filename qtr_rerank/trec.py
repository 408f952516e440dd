"""Ids in TREC run and qrels files, which have no white space.

`qtr search --run` writes ids with these functions and `qtr evaluate` encodes its qrels with them,
so that the ids of both match.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

# Unicode white space, control characters, the byte order mark that readers strip, lone surrogates
# (not valid in UTF-8), and '%' itself, so that decoding is unique.
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ufeff\ud800-\udfff%]")
# A '%' in an id becomes '%25', so a bare '%' is free to encode the empty id.
_EMPTY = "%"


def trec_id(identifier: str) -> str:
    """`identifier` as one TREC column: not empty, no white space; `from_trec_id` decodes it."""
    return _UNSAFE.sub(_percent, identifier) or _EMPTY


def from_trec_id(column: str) -> str:
    """The identifier that `trec_id` wrote as `column`."""
    if column == _EMPTY:
        return ""
    return unquote_to_bytes(column.encode("utf-8", "surrogatepass")).decode(
        "utf-8", "surrogatepass"
    )


def trec_query_id(query: str) -> str:
    """The id of a query without a `qid`: the query, with runs of white space as single spaces.

    Two queries share an id only if they differ in white space alone.
    """
    return trec_id(" ".join(query.split()))


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))
