"""The wheel, installed alone in a clean environment; and which modules an import loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from qtr_rerank.cli import COMMANDS
from tests.fresh_environment import install

pytestmark = pytest.mark.installs

ROOT = Path(__file__).resolve().parent.parent
MODELS = {"twin", "match", "bert-bilstm", "bert2dnn"}
HEAVY = ("torch", "transformers", "numpy", "onnxruntime", "faiss", "tantivy")
# Without these, an editable install or the source tree could hide what the wheel lacks.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {"PYTHONPATH", "VIRTUAL_ENV", "QTR_MODELS_DIR", "QTR_DATA_DIR"}
}


def _run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    finished = subprocess.run(
        list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def _loaded(code: str, candidates: tuple[str, ...]) -> list[str]:
    """Those of `candidates` that are in sys.modules after a new interpreter ran `code`."""
    report = f"import json, sys; print(json.dumps(sorted({set(candidates)!r} & set(sys.modules))))"
    probe = f"{code}\n{report}"
    loaded = json.loads(_run(sys.executable, "-c", probe, cwd=ROOT).splitlines()[-1])
    assert isinstance(loaded, list)
    return loaded


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _loaded("import qtr_rerank", HEAVY) == []


def test_the_list_of_commands_loads_nothing_heavy() -> None:
    code = "from qtr_rerank.cli import cli\ncli(['--help'], standalone_mode=False)"
    assert _loaded(code, HEAVY) == []


def test_help_lists_every_command() -> None:
    help_text = _run(
        sys.executable, "-c", "from qtr_rerank.cli import main; main()", "-h", cwd=ROOT
    )
    assert {line.split()[0] for line in help_text.splitlines() if line.strip()} >= set(COMMANDS)


def test_serving_never_loads_torch() -> None:
    """Imports every module that pyproject.toml forbids torch, and looks at sys.modules."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in contracts if "torch" in each.get("forbidden_modules", ()))
    code = f"""
import importlib, importlib.util, pkgutil
for name in {contract["source_modules"]!r}:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), name + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
"""
    assert _loaded(code, ("torch", "transformers")) == []


@dataclass(frozen=True)
class Installed:
    """A clean environment with the wheel and its dependencies, and an empty folder."""

    wheel: Path
    bin: Path
    folder: Path

    def run(self, command: str, *arguments: str | Path) -> str:
        return _run(self.bin / command, *arguments, cwd=self.folder, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir")
    _run(sys.executable, *build, folder, cwd=ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("clean")
    binaries = install(folder / "venv", wheel)
    return Installed(wheel, binaries, folder)


def test_wheel_contains_every_file_of_its_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    roots = {name.partition("/")[0] for name in names}
    assert roots == {"qtr_rerank", "indexer", next(r for r in roots if r.endswith(".dist-info"))}
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("qtr_rerank", "indexer")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not [name for name in names if "java" in name.lower() or "opensearch_node" in name]
    assert names >= sources, f"not in the wheel: {sorted(sources - names)}"
    assert {name.split("/")[2] for name in names if name.startswith("qtr_rerank/models/")} >= MODELS


def test_wheel_installs_neither_training_packages_nor_demo(installed: Installed) -> None:
    code = (
        "import importlib.util as u; "
        "names = ('torch', 'transformers', 'demo', 'devtools', 'tests'); "
        "print([name for name in names if u.find_spec(name)])"
    )
    assert installed.run("python", "-c", code).strip() == "[]"


def test_installed_wheel_indexes_and_searches_a_catalog(installed: Installed) -> None:
    listed = installed.run("qtr", "models")
    assert all(name in listed for name in MODELS), listed
    sample = installed.folder / "sample"
    installed.run("qtr", "sample", sample)
    index = installed.folder / "index"
    installed.run("python", "-m", "indexer", sample / "catalog.jsonl", "--index", index)
    output = json.loads(installed.run("qtr", "search", index, "red mug", "-k", "5", "--json"))
    assert "red mug" in json.dumps(output)
    assert len(output["hits"]) == 5


def test_installed_wheel_evaluates_a_run(installed: Installed) -> None:
    (installed.folder / "qrels.csv").write_text("query,docid,rating\nred mug,1,1\n")
    (installed.folder / "one.trec").write_text("red%20mug Q0 1 1 0.5 one\n")
    report = json.loads(
        installed.run("qtr", "evaluate", "one.trec", "--qrels", "qrels.csv", "--json")
    )
    assert report["runs"][0]["measures"]["nDCG@10"] == 1.0
