"""`qtr train --preset general`: a whole run on tiny data, its settings, and what it refuses."""

from __future__ import annotations

import gzip
import inspect
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qtr_rerank.artifact import SHIPPED, Artifact
from qtr_rerank.cli import cli
from qtr_rerank.data.splits import split_of
from qtr_rerank.errors import DataError
from tests.small_index import small_catalog

pytest.importorskip("torch", reason="training needs: pip install 'qtr-rerank[train]'")
pytest.importorskip("transformers")

from qtr_rerank.data.training_pairs import read_table, texts
from qtr_rerank.export.to_onnx import export_student
from qtr_rerank.recipe import common_steps, general_preset
from qtr_rerank.students.distill import distill
from qtr_rerank.teacher.finetune import finetune
from qtr_rerank.teacher.mixture import apply_mixture
from qtr_rerank.teacher.score import score_pairs
from qtr_rerank.teacher.weak_labels import add_cosine, add_weak_label
from qtr_rerank.teacher.write_pairs import (
    write_judged_pairs,
    write_sample_pairs,
    write_transfer_set,
    write_vocabulary_pairs,
)

KINDS = ("match", "bert2dnn", "bert-bilstm", "twin")
TITLES = "DATA/unlabelled/titles.tsv.gz --source icecat --source wdc --source er_magellan"
QUERIES = (
    "--queries DATA/unlabelled/queries.tsv.gz --query-source wands --query-source icecat "
    "--keep-out WORK/icecat-dev.parquet"
)
# The commands that made the models in the package, one by one (experiments/ship.sh until 0.1.0).
COMMANDS = [
    *(
        f"pairs judged icecat DATA/icecat --split {side} -o WORK/icecat-{side}.parquet"
        for side in ("train", "dev")
    ),
    f"pairs synthesize {TITLES} {QUERIES} -o WORK/pairs.parquet",
    "pairs label WORK/pairs.parquet --encoder ENCODER -o WORK/labelled.parquet",
    "pairs sample -o WORK/sample.parquet",
    "teacher finetune --encoder ENCODER --weak WORK/labelled.parquet "
    "--gold WORK/icecat-train.parquet -o WORK/teacher-1",
    "teacher finetune --encoder WORK/teacher-1 --weak WORK/labelled.parquet --weak-pairs 12000 "
    "--gold WORK/icecat-train.parquet --gold WORK/sample.parquet --gold-repeats 1 "
    "--learning-rate 3e-5 -o WORK/teacher-2",
    f"pairs synthesize {TITLES} {QUERIES} --dense-encoder ENCODER --seed 8 --generated 40000 "
    "-o WORK/more.parquet",
    "pairs label WORK/more.parquet --encoder ENCODER -o WORK/more-labelled.parquet",
    f"pairs words {TITLES} {QUERIES} --encoder ENCODER -o WORK/words.parquet",
    "pairs label WORK/words.parquet --encoder ENCODER -o WORK/words-labelled.parquet",
    *(
        f"teacher score WORK/teacher-2 WORK/{pairs}.parquet -o WORK/{pairs}-scores"
        for pairs in ("icecat-train", "sample", "labelled", "more-labelled", "words-labelled")
    ),
    *(
        f"teacher mix WORK/{pairs}-scores --mixture MIXTURE -o WORK/{pairs}-mixed.parquet"
        for pairs in ("labelled", "more-labelled", "words-labelled")
    ),
    *(
        f"distill {kind} --scores WORK/labelled-mixed.parquet "
        "--scores WORK/more-labelled-mixed.parquet --scores WORK/words-labelled-mixed.parquet "
        "--gold WORK/icecat-train-scores --gold WORK/sample-scores --encoder ENCODER "
        f"-o WORK/students/{kind}"
        for kind in KINDS
    ),
    *(f"export WORK/students/{kind} --card CARD -o OUT/{kind}" for kind in KINDS),
]
MIXTURE = {"weights": {"teacher_logit": 0.7, "cosine": 1.4, "coverage": 0.7}, "bias": -0.93}
CARD = Path(general_preset.__file__).with_name("general_card.md")

TINY = (
    "--epochs=1",
    "--set=pairs.generated_queries=30",
    "--set=more_pairs.generated_queries=20",
    "--set=vocabulary_pairs.pairs=60",
    "--set=sample.queries=20",
    "--set=sample.per_query=4",
    "--set=teacher_1.weak_pairs=40",
    "--set=teacher_2.weak_pairs=20",
    "--set=match.student.dim=16",
    "--set=bert2dnn.student.dim=16",
    "--set=bert-bilstm.student.dim=16",
    "--set=bert-bilstm.student.state=8",
    "--set=twin.student.dim=16",
    "--set=twin.student.layers=1",
    "--set=twin.student.vector=16",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """icecat/ and unlabelled/ as in QTR_DATA_DIR, with products of the sample shop."""
    folder = tmp_path_factory.mktemp("data")
    products = small_catalog(60)
    (folder / "icecat").mkdir()
    (folder / "icecat" / "products.jsonl").write_text(
        "".join(json.dumps({"id": one.id, "title": one.title}) + "\n" for one in products)
    )
    words = [product.title.replace(",", "").split()[:2] for product in products[:30]]
    judged = [
        f"{' '.join(query)},{products[(place + step) % 60].id},{rating}\n"
        for place, query in enumerate(words)
        for step, rating in ((0, 3), (1, 1), (2, 0))
    ]
    (folder / "icecat" / "judgments.csv").write_text("query,docid,rating\n" + "".join(judged))
    (folder / "unlabelled").mkdir()
    for name, column, rows in (
        ("titles", "title", [("wdc", one.title) for one in products] + [("homedepot", "no")]),
        ("queries", "query", [("wands", "red lamp"), ("homedepot", "not this one")]),
    ):
        with gzip.open(folder / "unlabelled" / f"{name}.tsv.gz", "wt") as file:
            file.write(f"source\t{column}\n" + "".join(f"{a}\t{b}\n" for a, b in rows))
    return folder


def train(arguments: Iterable[object], data: Path | None = None) -> Result:
    """Run `qtr train` with QTR_DATA_DIR=data."""
    logging.getLogger("qtr_rerank").setLevel(logging.ERROR)
    environment = {"QTR_DATA_DIR": None if data is None else str(data)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own
        return CliRunner().invoke(cli, ["train", *map(str, arguments)], env=environment)


def times(folder: Path) -> dict[str, int]:
    """Files that steps write, and when they were written."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != "steps.json"
    }


def test_an_interrupted_run_continues_to_four_artifacts_with_cards(
    data: Path, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "models"
    arguments = ["--preset", "general", "--encoder", encoder, *TINY, "--out", out]

    def interrupted(kind: str, *rest: Any) -> Any:
        if kind == "match":
            raise KeyboardInterrupt
        return distill(kind, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(common_steps, "distill", interrupted)
        first = train(arguments, data)
    assert "Aborted!" in first.output, (first.output, first.exception)
    before = times(out)
    assert "bert2dnn/config.json" in before
    assert "match/config.json" not in before
    result = train([*arguments, "--data", data])
    assert result.exit_code == 0, (result.output, result.exception)
    after = times(out)
    assert {name: after[name] for name in before} == before
    recipe = CARD.read_text().strip()
    for kind in KINDS:
        artifact = Artifact.load(out / kind)
        assert recipe in (artifact.path / "README.md").read_text()
        assert f"{artifact.fingerprint[:12]} -> {out / kind}" in result.output
    titles = texts(read_table(out / "work" / "pairs.parquet", ["title"]), "title")
    assert "no" not in titles
    held_out = set(texts(read_table(out / "work" / "icecat-dev.parquet", ["query"]), "query"))
    assert held_out
    assert all(split_of(query) == "dev" for query in held_out)
    for table in ("pairs", "more", "words", "icecat-train"):
        assert not held_out & set(
            texts(read_table(out / "work" / f"{table}.parquet", ["query"]), "query")
        )
    other = train([*arguments, "--data", data, "--set", "pairs.seed=1"])
    assert isinstance(other.exception, DataError)
    assert "begun with other settings" in str(other.exception)


Calls = list[tuple[str, dict[str, Any]]]


def record(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], calls: Calls) -> None:
    """Replace `function` wherever it is imported; calls note their arguments, with defaults."""
    name = function.__name__
    # The label's intermediate file is each caller's own.
    ignored = {"add_cosine": "out", "add_weak_label": "pairs"}.get(name)

    def stand_in(*positional: Any, **named: Any) -> Any:
        bound = inspect.signature(function).bind(*positional, **named)
        bound.apply_defaults()
        arguments: dict[str, Any] = {
            key: list(value) if _is_stream(value) else value
            for key, value in bound.arguments.items()
            if key != ignored
        }
        calls.append((name, arguments))
        if function is write_judged_pairs:  # the next step reads it
            return function(**bound.arguments)
        if function is add_cosine or function is add_weak_label:
            Path(bound.arguments["out"]).touch()
        if function is export_student:
            shutil.copytree(SHIPPED / arguments["out"].name, arguments["out"], dirs_exist_ok=True)
            return Artifact.load(arguments["out"])
        return SimpleNamespace(held_out_loss=0.0) if function is distill else 0

    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("qtr_rerank") and getattr(module, name, None) is function:
            monkeypatch.setattr(module, name, stand_in)


def _is_stream(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | dict)


def test_each_step_has_the_settings_of_the_command_that_it_replaces(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "models"
    (tmp_path / "mixture.json").write_text(json.dumps(MIXTURE))
    calls: Calls = []
    for function in (
        *(write_judged_pairs, write_transfer_set, write_vocabulary_pairs, write_sample_pairs),
        *(
            add_cosine,
            add_weak_label,
            score_pairs,
            finetune,
            apply_mixture,
            distill,
            export_student,
        ),
    ):
        record(monkeypatch, function, calls)
    encoder = str(tmp_path / "encoder")
    result = train(["--preset", "general", "--encoder", encoder, "--data", data, "--out", out])
    assert result.exit_code == 0, (result.output, result.exception)
    of_preset = sorted(map(repr, calls))
    calls.clear()
    places = {"DATA": data, "WORK": out / "work", "OUT": out, "ENCODER": encoder, "CARD": CARD}
    places["MIXTURE"] = tmp_path / "mixture.json"
    # The commands check that the files they read exist.
    for command in COMMANDS:
        for word in command.split():
            path = out / "work" / word.removeprefix("WORK/")
            if word.startswith("WORK/") and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    for command in COMMANDS:
        words = command.split()
        for name, place in places.items():
            words = [
                str(place) + word.removeprefix(name) if word.partition("/")[0] == name else word
                for word in words
            ]
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert len(calls) == len(COMMANDS) + 3, "a label is two calls"
    assert of_preset == sorted(map(repr, calls))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CATALOG", "--preset", "general"], "not on a CATALOG; leave out one of them"),
        (["--preset", "general", "--size", "small"], "leave out --size"),
        (["--preset", "general", "--seed", "7"], "leave out --seed"),
        (
            ["--preset", "general", "--judgments", "CATALOG", "--reads", "{title}"],
            "leave out --judgments, --reads",
        ),
        (["--preset", "general", "--format", "csv"], "leave out --format"),
        (["--preset", "general", "--column", "title=name"], "leave out --column"),
        (["--preset", "general"], "give --data DIR, or set QTR_DATA_DIR"),
        (["--preset", "esci"], "'esci' is not 'general'"),
        (["CATALOG", "--data", "."], "--data is the data of --preset general; leave it out"),
        ([], "CATALOG is missing; give a catalog, or --preset general"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("id,title\n1,lamp\n")
    words = [str(catalog) if word == "CATALOG" else word for word in arguments]
    result = train([*words, "--out", tmp_path / "models"])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not (tmp_path / "models").exists()


def test_missing_data_is_named(tmp_path: Path) -> None:
    result = train(["--preset", "general", "--data", tmp_path, "--out", tmp_path / "models"])
    assert isinstance(result.exception, DataError)
    assert f"{tmp_path / 'icecat'} does not exist" in str(result.exception)
