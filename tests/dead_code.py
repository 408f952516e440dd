"""`make lint`: fails where a function, method, class, property or import is used nowhere.

Tests do not count as use: what only they call is dead. Variables and attributes are not looked at;
most of those that vulture names are fields of a format or settings of another library.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("qtr_rerank", "indexer", "demo", "experiments", "benchmarks", "devtools")
# What vulture finds, and we look at.
KINDS = {"function", "method", "class", "property", "import", "unreachable_code"}
# Called by a framework, which finds them by a decorator ...
DECORATORS = ["@*.route", "@*.get", "@*.post", "@*.command", "@*.errorhandler", "@*_validator"]
DECORATORS += ["@*.context_processor", "@*.after_request", "@*.before_request"]
# ... or by name: Python, click and gunicorn,
NAMES = ["__getattr__", "list_commands", "get_command", "load_config"]
# tests, which compare the docs' tables by it,
NAMES += ["between_marks"]
# and users of the library.
NAMES += ["rerank_ids", "rerank_many", "rerank_hits", "arerank"]


def unused() -> list[str]:
    """One line for each, with its place."""
    finder = Vulture(ignore_names=NAMES, ignore_decorators=DECORATORS)
    finder.scavenge([str(ROOT / folder) for folder in FOLDERS if (ROOT / folder).is_dir()])
    return [
        f"{Path(found.filename).relative_to(ROOT)}:{found.first_lineno}: {found.message}"
        for found in finder.get_unused_code()
        if found.typ in KINDS
    ]


if __name__ == "__main__":
    lines = unused()
    print("\n".join(lines or ["No dead code"]))
    sys.exit(bool(lines))
