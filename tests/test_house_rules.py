"""Rules of this project that no linter checks."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("qtr_rerank", "indexer", "demo")
FOLDERS = (*PACKAGES, "devtools", "tests", "benchmarks", "experiments")

# Absolute paths of one machine. Not after a word or a dot: URLs and relative paths may hold them.
MACHINE_PATH = re.compile(r"(?<![\w./~$}-])/(?:work|home|root|Users|tmp)/\w[\w./-]*")

# A document that a text cites. Not a pattern (*.md), and no part of an address or of an f-string.
DOCUMENT = re.compile(r"(?<![\w./:*{}-])\w[\w./-]*\.md\b")
WRITTEN_BY_TESTS = {"page.md"}

# Files and folders allowed at the top of the repository.
TOP = {".ci", ".dockerignore", ".github", ".gitignore", *FOLDERS, "docs", "results"}
TOP |= {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"}
TOP |= {"Dockerfile", "Makefile", "docker-compose.yml", "pyproject.toml"}

# Raised and caught within qtr_rerank.data, where a reader turns them into a set-aside row.
INTERNAL_ERRORS = {"RowError", "NotJsonError"}


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


def test_every_module_has_a_docstring() -> None:
    silent = [_name(path) for path in _modules(*FOLDERS) if not ast.get_docstring(_tree(path))]
    assert silent == []


def test_every_public_exception_is_a_qtr_error() -> None:
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


def test_internal_errors_are_imported_only_by_readers() -> None:
    elsewhere = [
        _name(path)
        for path in _modules(*PACKAGES)
        if not path.is_relative_to(ROOT / "qtr_rerank" / "data")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom)
        and INTERNAL_ERRORS & {alias.name for alias in node.names}
    ]
    assert elsewhere == []


def _tracked() -> list[str]:
    """Names of the repository's files, and of new ones that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so the project's own files are not known")
    names = listed.stdout.decode().split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def _texts() -> Iterator[tuple[str, str]]:
    for name in _tracked():
        try:
            yield name, (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a model or a picture


def test_no_file_contains_a_path_of_one_machine() -> None:
    named = [
        f"{name}: {match[0]}" for name, text in _texts() for match in MACHINE_PATH.finditer(text)
    ]
    assert named == []


def test_every_document_that_is_cited_exists() -> None:
    files = set(_tracked())
    known = {name.rpartition("/")[2] for name in files}

    def exists(citing: str, cited: str) -> bool:
        beside = (ROOT / citing).parent / cited
        return cited in known or (ROOT / cited).is_file() or beside.is_file()

    dangling = [
        f"{name}: {match[0]}"
        for name, text in _texts()
        for match in DOCUMENT.finditer(text)
        if name != _name(Path(__file__))
        and match[0] not in WRITTEN_BY_TESTS
        and not exists(name, match[0])
    ]
    assert dangling == []


def test_only_known_files_are_at_the_top_of_the_repository() -> None:
    strangers = {name.partition("/")[0] for name in _tracked()} - TOP
    assert strangers == set(), "remove them, or add them to TOP if they belong there"


def test_every_module_is_on_a_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    linter = project["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in linter["contracts"] if each["type"] == "layers")
    placed = {name.strip() for layer in layers for name in re.split(r"[|:]", layer)}
    assert set(FOLDERS) <= set(linter["root_packages"])
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in _modules(*FOLDERS)
    }
    # The package itself only says what it exports.
    missing = {
        name
        for name in modules - {"qtr_rerank"}
        if not any(name == layer or name.startswith(f"{layer}.") for layer in placed)
    }
    assert missing == set(), "add them to the layers in pyproject.toml"


@pytest.mark.parametrize("text", ["DESIGN.md", "docs/none.md", "(see HTTP.md, part 2)"])
def test_a_cited_document_is_recognised(text: str) -> None:
    assert DOCUMENT.search(text)
