"""`make test-lowest`: the tests of what `pip install qtr-rerank` brings, without any extra.

A test that needs a package of an extra is skipped there, and only there: `make test` has all
extras, and a missing package fails. Loaded by `pytest -p tests.base_install`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OWN = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def _missing(error: BaseException | None) -> str | None:
    """The package of an extra that `error`, or what caused it, did not find."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = error.name.partition(".")[0]
            return None if package in OWN else package
        error = error.__cause__ or error.__context__
    return None


class BaseModule(pytest.Module):
    """A test file; all of it is skipped where its imports need an extra."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return list(super().collect())
        except self.CollectError as error:
            if (package := _missing(error)) is None:
                raise
            pytest.skip(f"needs {package}, which is in an extra", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> BaseModule:
    """Collect every test file as a `BaseModule`."""
    return BaseModule.from_parent(parent, path=module_path)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs OpenSearch, a browser or an installation: they need extras."""
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        needs_more = any(map(item.get_closest_marker, ("opensearch", "browser", "installs")))
        (left_out if needs_more else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip a test that meets a missing package while it runs."""
    report = yield
    if call.excinfo is not None and (package := _missing(call.excinfo.value)) is not None:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"needs {package}, which is in an extra")
    return report
