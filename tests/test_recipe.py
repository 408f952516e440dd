"""`qtr train CATALOG`: whole runs on a tiny catalog, with real training."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from qtr_rerank.artifact import Artifact
from qtr_rerank.cli import cli
from qtr_rerank.data.splits import query_key
from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.errors import DataError, QtrError, SettingsError
from qtr_rerank.records import Judgment, Product
from qtr_rerank.rerank.cascade import StageSettings
from qtr_rerank.runtime.manifest import IndexManifest
from qtr_rerank.search import SearchEngine
from tests.small_index import small_catalog, write_catalog

pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")
pytest.importorskip("transformers")

READS = "{brand} {title}"
THINGS = ("hose", "kettle", "lamp", "phone", "shoe", "desk", "mug", "tent", "drill", "piano")
COLOURS = ("red", "blue", "green", "black", "white")
# Accessories: irrelevant, but BM25 cannot tell.
EXTRAS = ("cover", "strap")
TINY = (
    *("--students", "bert2dnn", "--epochs", "4", "--size", "small"),
    "--set=pairs.generated_queries=60",
    "--set=teacher.weak_pairs=64",
    "--set=dense=false",
    "--set=held_out_queries=40",
    "--set=bert2dnn.batch=128",
    "--set=bert2dnn.student.dim=16",
)
# Train on the judges' labels alone: an untrained encoder does not become a teacher in seconds.
JUDGES = (
    "--set=bert2dnn.gold_share=1",
    "--set=bert2dnn.gold_repeats=16",
    "--set=bert2dnn.learning_rate=0.01",
)


@dataclass(frozen=True)
class Trained:
    """A shop and the result of `qtr train` on it."""

    arguments: tuple[str, ...]
    catalog: Path
    out: Path
    result: Result


def train(arguments: Iterable[object]) -> Result:
    logging.getLogger("qtr_rerank").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own
        return CliRunner().invoke(cli, ["train", *map(str, arguments)])


def refusal(kind: type[QtrError], arguments: Iterable[object]) -> str:
    result = train(arguments)
    assert isinstance(result.exception, kind), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def shop() -> tuple[list[Product], list[Judgment]]:
    """Things and their accessories; the judges want the thing in the query's colour."""
    products, judgments = [], []
    for colour, thing in product(COLOURS, THINGS):
        for extra in (None, *EXTRAS):
            title = f"{colour} {thing} {extra}" if extra else f"sturdy {colour} {thing} for years"
            id = f"{colour}-{thing}-{extra}"
            products.append(Product(id=id, title=title, brand="Acme", category="Things"))
            for wanted in COLOURS:
                rating = 0.0 if extra else 3.0 if wanted == colour else 1.0
                judgments.append(Judgment(f"{wanted} {thing}", id, rating))
    return products, judgments


def write_judgments(path: Path, judgments: Iterable[Judgment]) -> Path:
    rows = [f"{each.query},{each.product_id},{each.rating:g}\n" for each in judgments]
    path.write_text("query,docid,rating\n" + "".join(rows))
    return path


@pytest.fixture(scope="module")
def trained(encoder: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    products, judgments = shop()
    catalog = write_catalog(folder / "shop.jsonl", products)
    judged = write_judgments(folder / "judged.csv", [*judgments, Judgment("red hose", "gone", 3)])
    arguments = (
        *(str(catalog), "--judgments", str(judged), "--encoder", encoder, "--reads", READS),
        *(*TINY, *JUDGES),
    )
    out = folder / "models"
    result = train([*arguments, "--out", out])
    assert result.exit_code == 0, (result.output, result.exception)
    return Trained(arguments, catalog, out, result)


def test_trained_model_beats_bm25(trained: Trained) -> None:
    report = json.loads((trained.out / "report.json").read_text())
    (student,) = report["students"]
    assert student["ndcg"] > max(report["bm25"].values())
    assert report["judgments_of_unknown_products"] == 1
    assert set(report["seconds"]) >= {"teacher", "student bert2dnn", "artifact bert2dnn"}
    for shown in ("BM25, all fields", "BM25, brand + title", f"{student['ndcg']:.4f}"):
        assert shown in trained.result.output
    artifact = Artifact.load(trained.out / "bert2dnn")
    assert artifact.config.reads == READS
    card = (artifact.path / "README.md").read_text()
    assert f"| this model | {student['ndcg']:.4f} |" in card


def test_held_out_queries_are_in_no_training_pair(trained: Trained) -> None:
    def keys(name: str) -> set[str]:
        table = read_table(trained.out / "work" / name, ["clean_query"])
        return {query_key(query) for query in texts(table, "clean_query")}

    held_out = keys("held-out.parquet")
    assert held_out
    assert not held_out & (keys("pairs.parquet") | keys("judged.parquet"))


def test_index_uses_the_folder_of_models(trained: Trained, tmp_path: Path) -> None:
    command = ["index", trained.catalog, "--models", trained.out, "--index", tmp_path / "index"]
    result = CliRunner().invoke(cli, list(map(str, command)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    manifest = IndexManifest.load(tmp_path / "index")
    # The other models are those of the package.
    assert set(manifest.models) >= {"twin", "match"}
    assert manifest.models["bert2dnn"] == Artifact.load(trained.out / "bert2dnn").fingerprint
    cascade = [StageSettings("bert2dnn", depth=100)]
    with SearchEngine.open(tmp_path / "index", cascade=cascade) as engine:
        assert engine.search("green lamp").hits[0].id == "green-lamp-None"


def state(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("report.json",)
    }


def test_second_run_trains_nothing(trained: Trained) -> None:
    before = state(trained.out)
    result = train([*trained.arguments, "--out", trained.out])
    assert result.exit_code == 0, result.output
    assert state(trained.out) == before


def test_interrupted_run_continues_at_the_unfinished_step(trained: Trained) -> None:
    before = state(trained.out)
    fingerprint = Artifact.load(trained.out / "bert2dnn").fingerprint
    steps = json.loads((trained.out / "work" / "steps.json").read_text())
    del steps["student bert2dnn"], steps["artifact bert2dnn"]
    (trained.out / "work" / "steps.json").write_text(json.dumps(steps))
    assert train([*trained.arguments, "--out", trained.out]).exit_code == 0
    after = state(trained.out)
    trained_again = {name for name in before if after[name] != before[name]}
    assert trained_again >= {"work/students/bert2dnn/student.safetensors"}
    assert not any(
        name.startswith(("work/teacher", "work/labelled-scores")) for name in trained_again
    )
    assert Artifact.load(trained.out / "bert2dnn").fingerprint == fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--reads", "{title}"], "begun with other settings"),
        (["--set", "teacher.batch=7"], "begun with other settings"),
    ],
)
def test_folder_of_other_settings_is_refused(
    trained: Trained, change: list[str], message: str
) -> None:
    assert message in refusal(DataError, [*trained.arguments, *change, "--out", trained.out])


def test_folder_of_another_catalog_is_refused(trained: Trained, tmp_path: Path) -> None:
    other = write_catalog(tmp_path / "other.jsonl", shop()[0][1:])
    message = refusal(DataError, [other, *trained.arguments[1:], "--out", trained.out])
    assert "begun with other catalog" in message


def test_model_worse_than_bm25_is_not_handed_over(encoder: str, tmp_path: Path) -> None:
    """Without judgments, with an untrained encoder and almost no training."""
    catalog = write_catalog(tmp_path / "shop.jsonl", small_catalog(300))
    lazy = ["--set", "bert2dnn.learning_rate=1e-9", "--epochs", "1"]
    out = tmp_path / "models"
    result = train([catalog, "--encoder", encoder, *TINY, *lazy, "--out", out])
    assert result.exit_code == 1, result.output
    report = json.loads((out / "report.json").read_text())
    (student,) = report["students"]
    assert student["ndcg"] < max(report["bm25"].values())
    assert f"{student['ndcg']:.4f} is worse than {max(report['bm25'].values()):.4f}" in (
        result.output
    )
    assert "no model is handed over" in result.output
    assert sorted(path.name for path in out.iterdir()) == ["report.json", "work"]
    assert "no judge" in report["graded_by"]


def test_errors_are_reported_before_training(encoder: str, tmp_path: Path) -> None:
    products, judgments = shop()
    catalog = write_catalog(tmp_path / "shop.jsonl", products)
    few = write_catalog(tmp_path / "few.jsonl", products[:99])
    (tmp_path / "shop.txt").write_text("nothing like a catalog\n")
    unknown = [Judgment(each.query, f"x{each.product_id}", each.rating) for each in judgments]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear")
    out = ["--encoder", encoder, "--out", tmp_path / "models"]

    def judged(name: str, rows: Iterable[Judgment]) -> list[object]:
        return [catalog, "--judgments", write_judgments(tmp_path / name, rows), *out]

    cases: list[tuple[type[QtrError], list[object], str]] = [
        (DataError, [few, *out], "few.jsonl holds 99 products; training needs at least 100"),
        (DataError, [tmp_path / "shop.txt", *out], "shop.txt"),
        (DataError, judged("a.csv", unknown), "750 of 750 judgments are of products that"),
        (
            DataError,
            judged("b.csv", judgments[:5]),
            "judgments are of 5 queries; expected at least 20",
        ),
        (DataError, [catalog, *out, "--reads", READS, "--column", "brand=image"], "has a brand"),
        (DataError, [catalog, *out[:2], "--out", tmp_path / "mine"], "is not empty"),
        (DataError, [catalog, "--encoder", tmp_path / "none", *out[2:]], "none"),
        (SettingsError, [catalog, *out, "--size", "huge"], "small, medium, large"),
        (SettingsError, [catalog, *out, "--students", "bert"], "there is no student 'bert'"),
        (SettingsError, [catalog, *out, "--reads", "{brand}"], "lacks the title"),
        (SettingsError, [catalog, *out, "--set", "bert2dnn.nose=1"], "no field 'nose'"),
    ]
    for kind, arguments, message in cases:
        assert message in refusal(kind, arguments)
    assert not (tmp_path / "models" / "work" / "teacher").exists()
