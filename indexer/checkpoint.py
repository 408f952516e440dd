"""Index: the checkpoint from which an interrupted job is resumed, and the lock on an index."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qtr_rerank.atomic import write_json
from qtr_rerank.errors import CatalogIndexError, DataError

if sys.platform != "win32":
    import fcntl

_FILE = "checkpoint.json"


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """The inputs that must be equal to resume an unfinished job.

    `catalog` lists the catalog's files as [name, bytes, time of change in nanoseconds].
    """

    catalog: tuple[tuple[str, int, int], ...]
    format: str | None
    columns: Mapping[str, str]
    batch: int
    models: Mapping[str, str]

    def to_json(self) -> Any:
        """The value that reading it from JSON returns."""
        return json.loads(json.dumps(asdict(self)))


def catalog_files(catalog: Path) -> tuple[tuple[str, int, int], ...]:
    """The catalog's file, or the files of its folder, as JobIdentity lists them.

    Raises DataError if there is none.
    """
    try:
        files = sorted(catalog.iterdir()) if catalog.is_dir() else [catalog]
        states = [(file.name, file.stat()) for file in files]
    except OSError as error:
        raise DataError(
            f"{catalog} cannot be read ({error.strerror}); expected a catalog"
        ) from error
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in states)


def encoded_rows(folder: Path, identity: JobIdentity) -> int:
    """The number of products that `folder` holds encoded for this job; 0 if another job left it."""
    try:
        saved = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return int(saved["encoded"]) if saved["job"] == identity.to_json() else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def save_checkpoint(folder: Path, identity: JobIdentity, encoded: int) -> None:
    """Record that the first `encoded` products are encoded and on the disk."""
    write_json(folder / _FILE, {"job": identity.to_json(), "encoded": encoded})


def remove_checkpoint(folder: Path) -> None:
    """Delete the checkpoint of a finished job."""
    (folder / _FILE).unlink(missing_ok=True)


@contextmanager
def kept_if_resumable(folder: Path) -> Iterator[None]:
    """Delete `folder` if the job fails before its first checkpoint."""
    try:
        yield
    except BaseException:
        if not (folder / _FILE).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def index_lock(index: Path) -> Iterator[None]:
    """Hold the lock on `index` (not on Windows, which lacks this kind of lock).

    Raises CatalogIndexError if another job holds it. The system releases a killed job's lock.
    """
    path = index.with_name(index.name + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        if sys.platform != "win32":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CatalogIndexError(
                    f"another job is writing {index}; wait for it, or choose another folder"
                ) from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
