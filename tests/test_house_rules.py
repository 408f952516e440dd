"""House rules that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("qtr_rerank", "indexer", "demo")
FOLDERS = (*PACKAGES, "devtools", "tests", "benchmarks", "experiments")

# Folders of one person's machine. Not after a word or a dot: URLs and relative paths may hold them.
MACHINE_PATH = re.compile(r"(?<![\w./~$}-])/(?:work|home|root|Users|tmp)/\w[\w./-]*")

# Raised and caught within qtr_rerank.data, where a reader turns them into a set-aside row.
INTERNAL_ERRORS = {"RowFaultError", "NotJsonError"}


def _modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _reads_environment(tree: ast.Module) -> Iterator[int]:
    ways = {"environ", "environb", "getenv"}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=attribute) if attribute in ways:
                yield node.lineno
            case ast.ImportFrom(module="os", names=names) if ways & {each.name for each in names}:
                yield node.lineno


def test_only_the_environment_module_reads_environment_variables() -> None:
    readers = {
        f"{_name(path)}:{line}"
        for path in _modules(*PACKAGES)
        for line in _reads_environment(_tree(path))
    }
    assert {place.partition(":")[0] for place in readers} == {"qtr_rerank/environment.py"}, readers


def test_every_module_says_its_place() -> None:
    silent = [_name(path) for path in _modules(*FOLDERS) if not ast.get_docstring(_tree(path))]
    assert silent == []


def test_every_public_exception_is_one_that_the_project_explains() -> None:
    parents = {
        node.name: [ast.unparse(base).rpartition(".")[2] for base in node.bases]
        for path in _modules(*PACKAGES)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ClassDef)
    }

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(parent) for parent in parents.get(name, [])))

    strangers = {
        name
        for name in parents
        if not name.startswith("_")
        and any(each.endswith(("Error", "Exception")) for each in ancestors(name))
        and "QtrError" not in ancestors(name)
    }
    assert strangers <= INTERNAL_ERRORS, strangers - INTERNAL_ERRORS


def test_internal_errors_are_nobodys_import_outside_the_readers() -> None:
    elsewhere = [
        _name(path)
        for path in _modules(*PACKAGES)
        if not path.is_relative_to(ROOT / "qtr_rerank" / "data")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom)
        and INTERNAL_ERRORS & {alias.name for alias in node.names}
    ]
    assert elsewhere == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which files are the project's own cannot be told")
    found = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if not name or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a model or a picture
        found += [f"{name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert found == []
