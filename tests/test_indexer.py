"""The indexing job: complete, resumed, refused, replacing an index."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from indexer.__main__ import index as index_command
from indexer.job import IndexSettings, build_index
from qtr_rerank.cli.index import index as qtr_index_command
from qtr_rerank.errors import (
    ArtifactError,
    CatalogIndexError,
    DataError,
    QtrError,
    SettingsError,
)
from qtr_rerank.records import Product
from qtr_rerank.retrieve.dense_faiss import FaissDense
from qtr_rerank.retrieve.lexical_tantivy import TantivyLexical
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.runtime.scorer import Scorer
from qtr_rerank.runtime.title_store import TitleStore
from tests.small_index import small_catalog, write_catalog

ROOT = Path(__file__).resolve().parent.parent
PRODUCTS = small_catalog(100)
BATCH = 16


class InterruptedHereError(Exception):
    """Interrupts a job in a test."""


@pytest.fixture(scope="module")
def scorers() -> list[Scorer]:
    return [Scorer.load(name) for name in ("twin", "bert2dnn")]


@pytest.fixture
def job(tmp_path: Path) -> IndexSettings:
    catalog = write_catalog(tmp_path / "shop.jsonl", PRODUCTS)
    return IndexSettings(catalog=catalog, index=tmp_path / "index", batch=BATCH)


def stop_at(products: int) -> Callable[[int], None]:
    def on_progress(done: int) -> None:
        if done >= products:
            raise InterruptedHereError

    return on_progress


def outcome(folder: Path) -> dict[str, bytes]:
    """Every file except Tantivy's, whose names are random; `found` compares those."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and (file.suffix in {".npy", ".faiss"} or file.parent.name != "tantivy")
    }


def found(folder: Path) -> list[object]:
    lexical = TantivyLexical.open(folder / "tantivy")
    queries = ["blue mug", "wireless headphones", "running shoes 42"]
    return [lexical.search(query, 50) for query in queries]


def test_index_holds_every_product(job: IndexSettings, scorers: list[Scorer]) -> None:
    report = build_index(job, scorers)
    folder = job.index
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "index.json",
        "store",
        "tantivy",
        "titles.faiss",
    ]
    assert (report.products, report.bad_rows, report.resumed) == (100, 0, 0)
    assert report.bytes == sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    manifest = IndexManifest.load(folder)
    assert manifest.count == 100
    assert manifest.models == {scorer.name: scorer.fingerprint for scorer in scorers}
    store = TitleStore.open(folder / "store")
    assert store.ids(range(100)) == [product.id for product in PRODUCTS]
    lexical = TantivyLexical.open(folder / "tantivy")
    assert lexical.products(store.ids(range(100))) == PRODUCTS
    assert len(FaissDense.open(folder / "titles.faiss")) == 100


def test_stored_features_are_those_of_the_models(job: IndexSettings, scorers: list[Scorer]) -> None:
    build_index(job, scorers)
    store = TitleStore.open(job.index / "store")
    titles = [product.title for product in PRODUCTS]
    for scorer in scorers:
        stored = store.features(scorer.name)
        expected = scorer.encode_titles(titles)
        assert set(stored) == set(expected)
        for name, rows in expected.items():
            assert stored[name].dtype == rows.dtype
            np.testing.assert_allclose(stored[name], rows, atol=1e-5)
    dense = FaissDense.open(job.index / "titles.faiss")
    query = np.ascontiguousarray(store.features("twin")["vector"][42])
    best = [position for position, _ in dense.search(query, 3)]
    assert titles[42] in [titles[position] for position in best]


@pytest.mark.parametrize("stop", [1, 3 * BATCH, len(PRODUCTS)])
def test_resumed_job_writes_the_same_index(
    job: IndexSettings, scorers: list[Scorer], stop: int
) -> None:
    unbroken = replace(job, index=job.index.with_name("unbroken"))
    build_index(unbroken, scorers)
    with pytest.raises(InterruptedHereError):
        build_index(job, scorers, stop_at(stop))
    assert not job.index.exists()
    report = build_index(job, scorers)
    assert report.resumed == min(-(-stop // BATCH) * BATCH, len(PRODUCTS))
    assert outcome(job.index) == outcome(unbroken.index)
    assert found(job.index) == found(unbroken.index)
    assert sorted(entry.name for entry in job.index.parent.iterdir()) == [
        "index",
        "shop.jsonl",
        "unbroken",
    ]


def test_job_may_be_interrupted_twice(job: IndexSettings, scorers: list[Scorer]) -> None:
    for stop in (BATCH, 4 * BATCH):
        with pytest.raises(InterruptedHereError):
            build_index(job, scorers, stop_at(stop))
    assert build_index(job, scorers).resumed == 4 * BATCH


@pytest.mark.parametrize("change", ["catalog", "batch", "models"])
def test_unfinished_job_with_other_input_is_not_resumed(
    job: IndexSettings, scorers: list[Scorer], change: str
) -> None:
    with pytest.raises(InterruptedHereError):
        build_index(job, scorers, stop_at(3 * BATCH))
    if change == "catalog":
        write_catalog(job.catalog, [*PRODUCTS[1:], PRODUCTS[0]])
    if change == "batch":
        job = replace(job, batch=BATCH * 2)
    if change == "models":
        scorers = scorers[:1]
    assert build_index(job, scorers).resumed == 0
    titles = TantivyLexical.open(job.index / "tantivy").products(
        TitleStore.open(job.index / "store").ids([0])
    )
    assert titles == [PRODUCTS[1 if change == "catalog" else 0]]


def test_killed_job_is_resumed(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "shop.jsonl", small_catalog(1000))
    command = [sys.executable, "-m", "indexer", str(catalog), "--models", "twin,bert2dnn"]
    command += ["--batch", "8", "--threads", "1", "--index"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    # The job kills itself: on a busy machine it could end before this process sees how far it is.
    killing = (
        "import os, signal; from indexer import __main__ as command\n"
        "def kill(encoded):\n    if encoded >= 200: os.kill(os.getpid(), signal.SIGKILL)\n"
        "command._progress = kill; command.main()"
    )
    arguments = [sys.executable, "-c", killing, *command[3:], str(tmp_path / "killed")]
    assert subprocess.run(arguments, env=environment, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()

    for name in ("killed", "unbroken"):
        done = subprocess.run(
            [*command, str(tmp_path / name)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("encoded by an earlier, interrupted run" in done.stdout) == (name == "killed")
        assert "1,000 products indexed" in done.stdout
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "unbroken")
    assert found(tmp_path / "killed") == found(tmp_path / "unbroken")


def test_new_index_replaces_the_old_one(job: IndexSettings, scorers: list[Scorer]) -> None:
    build_index(job, scorers)
    opened = TantivyLexical.open(job.index / "tantivy")
    write_catalog(job.catalog, PRODUCTS[:10])
    assert build_index(job, scorers).products == 10
    assert IndexManifest.load(job.index).count == 10
    assert opened.products([PRODUCTS[50].id]) == [PRODUCTS[50]]
    assert sorted(entry.name for entry in job.index.parent.iterdir()) == ["index", "shop.jsonl"]


def test_failed_job_leaves_the_old_index(job: IndexSettings, scorers: list[Scorer]) -> None:
    build_index(job, scorers)
    before = outcome(job.index)
    job.catalog.write_text('{"no": "product"}\n')
    with pytest.raises(DataError):
        build_index(job, scorers)
    assert outcome(job.index) == before
    # No checkpoint was written, so there is nothing to resume.
    assert not job.index.with_name(f"{job.index.name}.building").exists()


def test_index_moved_aside_by_a_killed_job_is_restored(
    job: IndexSettings, scorers: list[Scorer]
) -> None:
    build_index(job, scorers)
    before = outcome(job.index)
    job.index.rename(job.index.with_name(".index.old"))
    job.catalog.write_text("")
    with pytest.raises(DataError):
        build_index(job, scorers)
    assert outcome(job.index) == before


def test_second_job_on_the_same_index_is_refused(job: IndexSettings, scorers: list[Scorer]) -> None:
    def meanwhile(done: int) -> None:
        with pytest.raises(CatalogIndexError, match="another job is writing"):
            build_index(job, scorers)

    assert build_index(job, scorers, meanwhile).products == 100


def test_folder_that_is_no_index_is_not_replaced(job: IndexSettings, scorers: list[Scorer]) -> None:
    job.index.mkdir()
    (job.index / "thesis.txt").write_text("years of work")
    with pytest.raises(CatalogIndexError, match="is not an index"):
        build_index(job, scorers)
    assert (job.index / "thesis.txt").read_text() == "years of work"


def test_empty_folder_is_replaced(job: IndexSettings, scorers: list[Scorer]) -> None:
    job.index.mkdir()
    assert build_index(job, scorers).products == 100


def test_bad_rows_are_set_aside_and_reported(
    job: IndexSettings, scorers: list[Scorer], tmp_path: Path
) -> None:
    with job.catalog.open("a") as file:
        file.write('{"id": "no-title"}\nnot json\n' + json.dumps(PRODUCTS[3].to_dict()) + "\n")
    report = build_index(replace(job, rejects=tmp_path / "rejects.jsonl"), scorers)
    assert (report.products, report.bad_rows) == (100, 3)
    assert "shop.jsonl, line 101" in report.first_bad[0]
    rejects = (tmp_path / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejects] == [101, 102, 103]


def test_columns_can_be_mapped(job: IndexSettings, scorers: list[Scorer], tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("number,label,id\n1,Blue mug,x\n2,Red mug,y\n")
    mapped = replace(job, catalog=tmp_path / "shop.csv", columns={"id": "number", "title": "label"})
    build_index(mapped, scorers)
    [product] = TantivyLexical.open(job.index / "tantivy").products(["2"])
    assert product == Product(id="2", title="Red mug", extra={"id": "y"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "solr"}, "engine is 'solr'"),
        ({"engine": "opensearch"}, "--alias"),
        ({"alias": "shop"}, "only for engine opensearch"),
        ({"format": "xml"}, "format is 'xml'"),
        ({"format": "icecat", "columns": {"id": "x"}}, "fixed columns"),
        ({"batch": 0}, "batch is 0"),
    ],
)
def test_unusable_settings_are_refused(
    job: IndexSettings, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(job, **changes)  # type: ignore[arg-type]


def test_retriever_must_be_one_of_the_models(job: IndexSettings, scorers: list[Scorer]) -> None:
    with pytest.raises(SettingsError, match="'twin' is not among the models \\['bert2dnn'\\]"):
        build_index(job, scorers[1:])


def run_command(*arguments: object) -> Result:
    return CliRunner().invoke(index_command, [str(each) for each in arguments])


def test_qtr_index_is_the_same_command() -> None:
    assert qtr_index_command is index_command


def test_command_prints_a_summary(job: IndexSettings) -> None:
    with job.catalog.open("a") as file:
        file.write('{"id": "no-title"}\n')
    done = run_command(job.catalog, "--index", job.index, "--models", "twin", "--threads", 1)
    assert done.exit_code == 0, done.output
    assert "100 products indexed in" in done.output
    assert "1 rows set aside" in done.output
    assert "line 101" in done.output
    assert "titles/s" in done.output
    assert "MiB on disk" in done.output


def test_models_may_be_folders(job: IndexSettings, scorers: list[Scorer]) -> None:
    folder = scorers[0].artifact.path
    done = run_command(job.catalog, "--index", job.index, "--models", folder)
    assert done.exit_code == 0, done.output
    assert IndexManifest.load(job.index).model_folders == {"twin": str(folder)}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["nowhere.jsonl"], DataError, "nowhere.jsonl"),
        (["{empty}"], DataError, "empty.jsonl"),
        (["{binary}"], DataError, "binary.jsonl"),
        (["{catalog}", "--models", "twin,no-such"], ArtifactError, "no-such"),
        (["{catalog}", "--models", "bert2dnn"], SettingsError, "retriever 'twin'"),
        (["{catalog}", "--models", "twin", "--column", "title"], SettingsError, "FIELD=COLUMN"),
        (
            ["{catalog}", "--models", "twin", "--column", "x=y"],
            SettingsError,
            "fields of a product",
        ),
        (["{catalog}", "--models", "twin", "--format", "xml"], SettingsError, "'xml'"),
    ],
)
def test_bad_input_is_explained(
    job: IndexSettings,
    tmp_path: Path,
    arguments: list[str],
    error: type[QtrError],
    message: str,
) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)) * 10)
    names = {"catalog": job.catalog} | {
        name: tmp_path / f"{name}.jsonl" for name in ("empty", "binary")
    }
    filled = [argument.format(**names) for argument in arguments]
    done = run_command(*filled, "--index", job.index)
    assert isinstance(done.exception, error), done.output
    assert message in str(done.exception)
    assert not job.index.exists()


def test_error_is_one_line_on_stderr(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "indexer", "nowhere.csv", "--index", "x", "--models", "twin"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("indexer: nowhere.csv")
    assert len(done.stderr.splitlines()) == 1
