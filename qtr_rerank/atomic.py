"""Write, then rename: a reader sees the old file or folder or the new one, never a part of one.

Used by everything that writes files: indexer, training, export, downloads. New content is written
beside its place, flushed to the disk and renamed, so that it survives a power cut, too. A killed
process leaves a hidden `.NAME.HEX.part`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_UNFINISHED = ".part"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there replaces `path` at the end.

    If the block raises, `path` keeps its content and the temporary file is deleted. Two processes
    may write the same `path`: the last one to finish wins. The folder must exist.
    """
    unfinished = _unfinished(path)
    try:
        yield unfinished
        _sync(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content`."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def replacing_folder(place: Path) -> Iterator[Path]:
    """Yield an empty folder beside `place`; it replaces `place` at the end.

    If the block raises, `place` stays as it was and the new folder is deleted.
    """
    unfinished = _unfinished(place)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        replace_folder(unfinished, place)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def replace_folder(built: Path, place: Path) -> None:
    """Rename the folder `built` to `place`; the old folder is deleted afterwards.

    Folders cannot be exchanged in one step: a process killed between the two renames leaves the
    old folder beside `place`, and `restore_folder` renames it back. One writer at a time.
    """
    for file in built.rglob("*"):
        if file.is_file():
            _sync(file)
    old = _old(place)
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    try:
        built.rename(place)
    except BaseException:
        restore_folder(place)
        raise
    # Processes that have the old files open can read them until they close them.
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(place: Path) -> None:
    """Restore `place` if `replace_folder` was killed after moving it aside."""
    if not place.exists() and _old(place).exists():
        _old(place).rename(place)


def delete_unfinished(folder: Path, name: str = "*") -> None:
    """Delete what killed writers of files or folders called `name` (a glob) left in `folder`.

    Only for a process that is the one writer of these names.
    """
    for left in folder.glob(f".{name}.*{_UNFINISHED}"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")


def _old(place: Path) -> Path:
    return place.with_name(f".{place.name}.old")


def _sync(path: Path) -> None:
    # Windows refuses to flush a file that is open for reading only.
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
