"""Downloads a published file into the data folder, whole or not at all, and checks its SHA-256.

A published checksum is in the registry and must match. Where none is published, the address is
pinned to a commit if it can be, and the checksum of the first download is kept in the folder's
`checksums.json` (trust on first use); every later download must match it.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from qtr_rerank.atomic import replacing, write_text
from qtr_rerank.errors import DataError

LOCK_FILE = "checksums.json"
_SCHEMES = ("https", "http", "file")
_CHUNK = 1 << 18
_TIMEOUT_S = 60.0

# (bytes so far, total bytes or None)
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A published file: its address, its name in the folder, its SHA-256 where one is published.

    `unpack` names the member of a tar archive that is extracted beside it.
    """

    url: str
    name: str
    sha256: str | None = None
    unpack: str | None = None

    @property
    def wanted(self) -> str:
        """The name of the file that a reader opens."""
        return self.unpack or self.name

    def at_mirror(self, base: str) -> RemoteFile:
        """The same file at another address, BASE/NAME, with the same checksum."""
        return RemoteFile(f"{base.rstrip('/')}/{self.name}", self.name, self.sha256, self.unpack)


def fetch(
    remote: RemoteFile,
    folder: Path,
    *,
    progress: Progress | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Path:
    """Download into the folder (created if missing) and return the path a reader opens.

    An existing file that matches its checksum is not downloaded again. Raises DataError where the
    server does not respond or the content does not match; no partial file remains.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / remote.name
    lock = _read_lock(folder)
    expected = remote.sha256 or lock.get(remote.name, {}).get("sha256")
    if not (target.is_file() and expected is not None and _sha256(target) == expected):
        # Without a known checksum, an existing file may be anything: it is downloaded again.
        digest = _download(remote, target, expected, progress, timeout_s)
        lock[remote.name] = {
            "url": remote.url,
            "sha256": digest,
            "trust": "published" if remote.sha256 else "first download",
        }
        write_text(folder / LOCK_FILE, json.dumps(lock, indent=2, sort_keys=True) + "\n")
    if remote.unpack is not None:
        _unpack(target, remote.unpack)
    return folder / remote.wanted


def _download(
    remote: RemoteFile,
    target: Path,
    expected: str | None,
    progress: Progress | None,
    timeout_s: float,
) -> str:
    scheme = urllib.parse.urlsplit(remote.url).scheme
    if scheme not in _SCHEMES:
        raise DataError(f"{remote.url}: expected an address of {', '.join(_SCHEMES)}")
    try:
        with replacing(target) as partial:
            with urllib.request.urlopen(remote.url, timeout=timeout_s) as response:
                length = response.headers.get("Content-Length")
                size = int(length) if length and length.isdecimal() else None
                with partial.open("wb") as stream:
                    digest, count = _copy(response, stream, size, progress)
            if size is not None and count != size:
                raise DataError(
                    f"{remote.url} broke off after {count:,} of {size:,} bytes; try again"
                )
            if expected is not None and digest != expected:
                raise DataError(
                    f"{remote.url} has SHA-256 {digest}, expected {expected}: it was damaged or "
                    f"changed, and was removed. Try again; if you trust the new content, remove "
                    f"its entry from {target.parent / LOCK_FILE} where there is one"
                )
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        # URLError has the cause in `reason`; HTTPError's text has the status.
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{remote.url} cannot be fetched: {reason}; check the network (HTTPS_PROXY is "
            f"honoured), or fetch it elsewhere and put it at {target}"
        ) from error
    return digest


def _copy(
    source: BinaryIO, stream: BinaryIO, size: int | None, progress: Progress | None
) -> tuple[str, int]:
    digest, count = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        stream.write(chunk)
        digest.update(chunk)
        count += len(chunk)
        if progress is not None:
            progress(count, size)
    return digest.hexdigest(), count


def _unpack(archive: Path, member: str) -> None:
    """Extract one file of a tar archive beside it, under its base name only."""
    try:
        with tarfile.open(archive) as tar:
            found = next((each for each in tar if Path(each.name).name == member), None)
            content = tar.extractfile(found) if found is not None and found.isfile() else None
            if content is None:
                raise DataError(f"{archive} has no file {member}; was a new version published?")
            with (
                replacing(archive.with_name(member)) as partial,
                partial.open("wb") as stream,
            ):
                shutil.copyfileobj(content, stream)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            f"{archive} cannot be unpacked: {error}; remove it and try again"
        ) from error


def _read_lock(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / LOCK_FILE
    if not path.is_file():
        return {}
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON ({error}); remove it to trust new downloads"
        ) from error
    if not isinstance(lock, dict) or not all(isinstance(each, dict) for each in lock.values()):
        raise DataError(f"{path} is not a list of checksums; remove it to trust new downloads")
    return cast(dict[str, dict[str, Any]], lock)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
