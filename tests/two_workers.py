"""Which tests run in one worker where pytest-xdist runs several; tests/conftest.py asks it.

A costly fixture of the session (the OpenSearch node, the browser) or of a module is then set up
once. Not `--dist loadgroup`: it writes a test's group into its id, which pytest 9.2 does not allow.
"""

from __future__ import annotations

import functools
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).resolve().parent
NODE = "opensearch_settings"
# These start first, so that none of them ends alone.
LONGEST = (NODE, "test_experiment_homedepot", "test_training", "test_experiment_sst2")


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped.
    """Hands out whole groups of tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group(TESTS.parent / nodeid.partition("::")[0])


@functools.cache
def group(file: Path) -> str:
    """Files that use the OpenSearch node, files of one folder below tests/, or the file alone."""
    if NODE in file.read_text(encoding="utf-8"):
        return NODE
    return file.stem if file.parent == TESTS else file.parent.name


def place(file: Path) -> int:
    """The position of the file's group in the run's order."""
    return LONGEST.index(group(file)) if group(file) in LONGEST else len(LONGEST)
