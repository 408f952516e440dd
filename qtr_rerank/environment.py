"""Environment variables. Only this module reads them; all others take arguments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qtr_rerank.errors import SettingsError


@dataclass(frozen=True, slots=True)
class OpenSearchSettings:
    """OpenSearch's address and login. There is no option for the password: shells keep history."""

    url: str = "http://127.0.0.1:9200"
    user: str | None = None
    password: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings from environment variables; `Settings.from_environment()` reads them."""

    data_dir: Path | None
    models_dir: Path | None
    threads: int
    opensearch: OpenSearchSettings

    @classmethod
    def from_environment(cls) -> Settings:
        """Read QTR_DATA_DIR, QTR_MODELS_DIR, QTR_THREADS and OPENSEARCH_URL/_USER/_PASSWORD/_CA.

        Raises SettingsError for a value that is not valid.
        """
        return cls(
            data_dir=_folder("QTR_DATA_DIR"),
            models_dir=_folder("QTR_MODELS_DIR"),
            threads=_positive("QTR_THREADS", default=1),
            opensearch=OpenSearchSettings(
                url=os.environ.get("OPENSEARCH_URL") or OpenSearchSettings().url,
                user=os.environ.get("OPENSEARCH_USER"),
                password=os.environ.get("OPENSEARCH_PASSWORD"),
                ca_file=os.environ.get("OPENSEARCH_CA"),
            ),
        )


def cache_folder() -> Path:
    """The folder for files that can be downloaded or built again: in XDG_CACHE_HOME or ~/.cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    # The XDG specification says to ignore relative paths.
    return (base if base.is_absolute() else Path.home() / ".cache") / "qtr-rerank"


def metrics_folder() -> Path | None:
    """PROMETHEUS_MULTIPROC_DIR, where worker processes write their metrics."""
    value = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(value) if value else None


@contextmanager
def metrics_folder_set_to(folder: Path) -> Iterator[None]:
    """Set PROMETHEUS_MULTIPROC_DIR: prometheus_client takes it in no other way."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]


def opensearch_is_named() -> bool:
    """Whether OPENSEARCH_URL is set: a running node, so none is started here."""
    return bool(os.environ.get("OPENSEARCH_URL"))


def api_keys_from(file: Path | None) -> tuple[str, ...]:
    """API keys from `file`, one per line, else from QTR_API_KEYS, separated by commas; may be none.

    Raises SettingsError if the file cannot be read, or if the file or the variable is given but
    holds no key: a server that should require a key must not run without one.
    """
    if file is None:
        variable = os.environ.get("QTR_API_KEYS", "")
        keys = tuple(key.strip() for key in variable.split(",") if key.strip())
        if variable and not keys:
            raise SettingsError("QTR_API_KEYS is set and holds no key; write keys, or unset it")
        return keys
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file} cannot be read ({error}); expected API keys, one a line"
        ) from error
    file_keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not file_keys:
        raise SettingsError(f"{file} holds no API key; write one a line")
    return file_keys


def _folder(name: str) -> Path | None:
    value = os.environ.get(name)
    if not value:
        return None
    folder = Path(value)
    if not folder.is_dir():
        raise SettingsError(
            f"{name} is {value!r}, which is not a folder; create it or unset {name}"
        )
    return folder


def _positive(name: str, default: int) -> int:
    value = os.environ.get(name)
    if not value:
        return default
    if not value.isdecimal() or int(value) < 1:
        raise SettingsError(f"{name} is {value!r}; expected a whole number from 1, or unset it")
    return int(value)
