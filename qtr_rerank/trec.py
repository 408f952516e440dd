"""Search -> measure: the ids that stand in TREC run and qrels files, one form for both.

TREC's columns are split at white space, so an id may hold none. `qtr search --run` writes ids
through these functions, and `qtr evaluate` maps its qrels through the same ones: they meet.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

# White space (Unicode's), controls, the byte order mark that readers strip, lone surrogates
# (no UTF-8), and '%' itself, so that the encoding can be undone.
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ufeff\ud800-\udfff%]")
# No encoded id is a bare '%' (it would have become '%25'), so it can stand for the empty one.
_EMPTY = "%"


def trec_id(identifier: str) -> str:
    """`identifier` as one TREC column: never empty, no white space; `from_trec_id` undoes it."""
    return _UNSAFE.sub(_percent, identifier) or _EMPTY


def from_trec_id(column: str) -> str:
    """The identifier that `trec_id` wrote as `column`."""
    if column == _EMPTY:
        return ""
    return unquote_to_bytes(column.encode("utf-8", "surrogatepass")).decode(
        "utf-8", "surrogatepass"
    )


def trec_query_id(query: str) -> str:
    """The id of a query that has no `qid`: the query itself, outer and repeated space dropped.

    Two queries that differ in more than space never share an id.
    """
    return trec_id(" ".join(query.split()))


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))
