"""Runtime: an artifact is a model folder with its configuration and checksums.

config.json      name, kind, vocabulary, text limits, calibration, training settings
title.onnx       title token ids -> title features (what an index stores)
query.onnx       query token ids -> query features
score.onnx       query features x title features -> logits
weights.bin      the large tensors of the three graphs; shared tensors are stored once
tokenizer.json   the vocabulary (WordPiece; triletters.txt or ngrams.txt for the others)
README.md        the model card
SHA256SUMS       checksums of all of these, as `sha256sum -c` reads them
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qtr_rerank.environment import Settings
from qtr_rerank.errors import ArtifactError, SettingsError
from qtr_rerank.features.vocabulary import VOCABULARY_FILES
from qtr_rerank.template import DEFAULT_TEMPLATE, ProductText

SCHEMA = 1
SHIPPED = Path(__file__).parent / "models"
GRAPHS = ("title.onnx", "query.onnx", "score.onnx")
CARD = "README.md"
_CONFIG = "config.json"
_SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = sigmoid(scale * logit + bias) (Platt 1999); fitted on held-out queries."""

    scale: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ArtifactError(
                f"calibration scale is {self.scale}; expected above 0, else the order reverses"
            )


@dataclass(frozen=True, slots=True)
class ArtifactConfig:
    """The content of `config.json`.

    `reads` is the template of a product's text. `training` is documentation: no code reads it.
    """

    name: str
    kind: str
    max_query_tokens: int
    max_title_tokens: int
    calibration: Calibration = field(default_factory=Calibration)
    reads: str = DEFAULT_TEMPLATE
    student: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA
    vocabulary: str = "wordpiece"

    def __post_init__(self) -> None:
        if self.vocabulary not in VOCABULARY_FILES:
            raise ArtifactError(
                f"model {self.name!r} has the vocabulary {self.vocabulary!r}; this version knows "
                f"{sorted(VOCABULARY_FILES)}: install the version that exported it"
            )
        try:
            ProductText(self.reads)
        except SettingsError as error:
            raise ArtifactError(f"model {self.name!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified model folder. `fingerprint` (hex) changes with any byte that affects a score."""

    path: Path
    config: ArtifactConfig
    fingerprint: str

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.path.iterdir() if file.is_file())

    @classmethod
    def load(cls, name_or_folder: str | Path, models_dir: Path | None = None) -> Artifact:
        """Find by name or folder, and verify every checksum.

        A name is looked up in `models_dir` (default: QTR_MODELS_DIR), then in the package. Raises
        ArtifactError if the model is unknown, incomplete, altered, or of another schema.
        """
        folder = _find(name_or_folder, models_dir or Settings.from_environment().models_dir)
        sums = _read_sums(folder)
        for file, expected in sums.items():
            if not (folder / file).is_file():
                raise ArtifactError(f"{folder / file} is missing; restore the model folder")
            found = _sha256(folder / file)
            if found != expected:
                raise ArtifactError(
                    f"{folder / file} has checksum {found[:12]}, {_SUMS} says {expected[:12]}; "
                    "the model was altered or damaged: install it again, or export it again"
                )
        _require_listed(folder, sums, (*GRAPHS, _CONFIG))
        config = _read_config(folder)
        _require_listed(folder, sums, [VOCABULARY_FILES[config.vocabulary]])
        return cls(folder, config, _fingerprint(sums))

    @classmethod
    def seal(cls, folder: Path, config: ArtifactConfig) -> Artifact:
        """Write config and checksums into a folder with all other files, and load it."""
        (folder / _CONFIG).write_text(
            json.dumps(asdict(config), indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
        files = sorted(file.name for file in folder.iterdir() if file.name != _SUMS)
        lines = [f"{_sha256(folder / name)}  {name}\n" for name in files]
        (folder / _SUMS).write_text("".join(lines), encoding="utf-8")
        return cls.load(folder)


def shipped_names(models_dir: Path | None = None) -> list[str]:
    """The names of the models in the package and in `models_dir`."""
    folders = [folder for folder in (SHIPPED, models_dir) if folder is not None]
    return sorted({found.name for folder in folders for found in _subfolders(folder)})


def names_in(folder: Path) -> list[str]:
    """The names of the models in `folder`, each in a subfolder of its name."""
    return sorted(found.name for found in _subfolders(folder))


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [found for found in folder.iterdir() if (found / _CONFIG).is_file()]


def _find(name_or_folder: str | Path, models_dir: Path | None) -> Path:
    for folder in (models_dir, SHIPPED):
        # Anything with a path separator is a path, not a name.
        if folder is not None and Path(name_or_folder).name == str(name_or_folder):
            found = folder / name_or_folder
            if (found / _CONFIG).is_file():
                return found
    path = Path(name_or_folder)
    if (path / _CONFIG).is_file():
        return path
    raise ArtifactError(
        f"no model {str(name_or_folder)!r}: it is neither a model folder nor one of "
        f"{shipped_names(models_dir)}"
    )


def _require_listed(folder: Path, sums: Mapping[str, str], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in sums]
    if missing:
        raise ArtifactError(f"{folder / _SUMS} lacks {missing}; export the model again")


def _read_sums(folder: Path) -> dict[str, str]:
    path = folder / _SUMS
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; the model folder is incomplete, export it again")
    sums = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        checksum, separator, name = line.partition("  ")
        if not separator or len(checksum) != 64 or Path(name).name != name:
            raise ArtifactError(f"{path} has the line {line!r}; expected 'sha256  file'")
        sums[name] = checksum
    return sums


def _read_config(folder: Path) -> ArtifactConfig:
    path = folder / _CONFIG
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        schema = fields["schema"]
        if schema != SCHEMA:
            raise ArtifactError(
                f"{path} has schema {schema}, this version reads {SCHEMA}; "
                "run 'qtr export' again, or install the version that wrote it"
            )
        return ArtifactConfig(**{**fields, "calibration": Calibration(**fields["calibration"])})
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} cannot be read ({error!r}); export the model again") from error


def _fingerprint(sums: Mapping[str, str]) -> str:
    scoring = [f"{name} {sums[name]}" for name in sorted(sums) if name != CARD]
    return hashlib.sha256("\n".join(scoring).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
