"""Artifacts: the shipped models, and the checks when loading one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from qtr_rerank.artifact import SHIPPED, Artifact, Calibration, shipped_names
from qtr_rerank.errors import ArtifactError

SHIPPED_MODELS = ["bert-bilstm", "bert2dnn", "match", "twin"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "bert2dnn", tmp_path / "bert2dnn"))


def test_the_package_ships_the_four_students() -> None:
    assert set(SHIPPED_MODELS) <= set(shipped_names())


def test_shipped_artifacts_stay_under_40_megabytes() -> None:
    assert sum(Artifact.load(name).size for name in shipped_names()) < 40e6


@pytest.mark.parametrize("name", SHIPPED_MODELS)
def test_a_shipped_artifact_loads_and_has_a_model_card(name: str) -> None:
    artifact = Artifact.load(name)
    card = (artifact.path / "README.md").read_text()
    assert artifact.config.name == name
    assert "Licence" in card
    assert "Calibration" in card


@pytest.mark.parametrize("file", ["title.onnx", "config.json", "tokenizer.json", "weights.bin"])
def test_an_altered_byte_is_detected(copy: Path, file: str) -> None:
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{file} has checksum"):
        Artifact.load(copy)


@pytest.mark.parametrize("file", ["score.onnx", "SHA256SUMS"])
def test_a_missing_file_is_an_error(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(ArtifactError, match=f"{file} is missing"):
        Artifact.load(copy)


def test_an_error_about_the_schema_names_both_versions(copy: Path) -> None:
    artifact = Artifact.load(copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"schema": 2}))
    sums = (copy / "SHA256SUMS").read_text().splitlines()
    kept = [line for line in sums if not line.endswith("config.json")]
    (copy / "SHA256SUMS").unlink()
    digest = hashlib.sha256((copy / "config.json").read_bytes()).hexdigest()
    (copy / "SHA256SUMS").write_text("\n".join([*kept, f"{digest}  config.json"]) + "\n")
    with pytest.raises(ArtifactError, match="schema 2, this version reads 1"):
        Artifact.load(artifact.path)


def test_an_error_about_an_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(ArtifactError, match=r"'bert-lstm'.*bert-bilstm.*bert2dnn.*match.*twin"):
        Artifact.load("bert-lstm")


def test_the_fingerprint_depends_on_the_calibration_but_not_on_the_card(copy: Path) -> None:
    artifact = Artifact.seal(copy, Artifact.load(copy).config)
    (copy / "README.md").write_text("another card\n")
    with_card = Artifact.seal(copy, artifact.config)
    recalibrated = Artifact.seal(copy, type(artifact.config)(**_fields(artifact, scale=2.0)))
    assert with_card.fingerprint == artifact.fingerprint
    assert recalibrated.fingerprint != artifact.fingerprint


def test_a_models_folder_takes_precedence_over_the_package(copy: Path) -> None:
    assert Artifact.load("bert2dnn", models_dir=copy.parent).path == copy


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_calibration_that_would_change_the_order_is_an_error(scale: float) -> None:
    with pytest.raises(ArtifactError, match="expected above 0"):
        Calibration(scale=scale)


def _fields(artifact: Artifact, scale: float) -> dict[str, object]:
    config = artifact.config
    return {
        "name": config.name,
        "kind": config.kind,
        "max_query_tokens": config.max_query_tokens,
        "max_title_tokens": config.max_title_tokens,
        "calibration": Calibration(scale=scale),
        "student": config.student,
        "training": config.training,
    }
