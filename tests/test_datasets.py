"""The registry of public data sets, downloads with checksums, and `qtr data`."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from qtr_rerank.cli import cli
from qtr_rerank.data.datasets import DATASETS, fetch_dataset, open_dataset
from qtr_rerank.data.download import LOCK_FILE, RemoteFile, fetch
from qtr_rerank.errors import DataError, SettingsError
from qtr_rerank.records import Judgment, Product

PRODUCTS = "product_id\tproduct_name\tproduct_class\tproduct_description\n4\tchair\tChairs\tsoft\n"
WANDS = {
    "product.csv": PRODUCTS,
    "query.csv": "query_id\tquery\tquery_class\n0\tsalon chair\tChairs\n",
    "label.csv": "id\tquery_id\tproduct_id\tlabel\n0\t0\t4\tPartial\n",
}


def publish(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without logging."""

    def log_message(self, format: str, *args: Any) -> None:
        """The requests of a test are of no interest."""


class BreakingHandler(QuietHandler):
    """Sends less than its Content-Length."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"id,title\n")


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """The URL of a server of the folder `published`."""
    folder = publish(tmp_path / "published", WANDS)
    yield from serve(partial(QuietHandler, directory=str(folder)))


@pytest.fixture
def breaking() -> Iterator[str]:
    """The URL of a server whose responses are truncated."""
    yield from serve(BreakingHandler)


def serve(handler: Any) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def qtr(*arguments: object, data_dir: Path | None = None) -> Result:
    environment = {"QTR_DATA_DIR": str(data_dir) if data_dir is not None else None}
    return CliRunner(env=environment).invoke(cli, [str(each) for each in arguments])


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_has_licence_and_source(name: str) -> None:
    found = DATASETS[name]
    assert found.name == name
    assert found.licence
    assert found.files or found.note
    for remote in found.files:
        # Published checksums, or addresses of one commit, or trust on first use by version.
        assert remote.url.startswith("https://")
        assert remote.sha256 is None or len(remote.sha256) == 64
    wanted = {remote.wanted for remote in found.files}
    if found.files:
        assert wanted & set(found.catalog_files)
        assert wanted & set(found.judgment_files)


def test_unknown_dataset_error_lists_names() -> None:
    with pytest.raises(DataError, match="'amazon'; expected one of icecat, wands, esci, homedepot"):
        open_dataset("amazon", ".")


def test_dataset_is_opened_by_name_and_folder(tmp_path: Path) -> None:
    found = open_dataset("wands", publish(tmp_path, WANDS))
    assert list(found.catalog()) == [Product("4", "chair", category="Chairs", description="soft")]
    assert found.judgments() == [Judgment("salon chair", "4", 1.0)]
    (tmp_path / "label.csv").unlink()
    with pytest.raises(DataError, match=r"does not contain wands.*label\.csv.*qtr data get wands"):
        open_dataset("wands", tmp_path)


def test_dataset_is_downloaded_and_its_checksums_kept(tmp_path: Path, mirror: str) -> None:
    folder = tmp_path / "deep" / "wands"
    found = fetch_dataset("wands", folder, mirror=mirror)
    assert len(list(found.catalog())) == 1
    assert names(folder) == sorted([*WANDS, LOCK_FILE])
    lock = json.loads((folder / LOCK_FILE).read_text())
    assert lock["label.csv"] == {
        "url": f"{mirror}/label.csv",
        "sha256": sha256(folder / "label.csv"),
        "trust": "first download",
    }


def test_progress_ends_at_file_size(tmp_path: Path, mirror: str) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(
        RemoteFile(f"{mirror}/product.csv", "product.csv"),
        tmp_path / "to",
        progress=lambda count, size: seen.append((count, size)),
    )
    assert seen[-1] == (len(PRODUCTS), len(PRODUCTS))


def test_content_changed_since_first_download_is_refused(tmp_path: Path) -> None:
    source = publish(tmp_path / "published", {"a.csv": "first"}) / "a.csv"
    remote, folder = RemoteFile(source.as_uri(), "a.csv"), tmp_path / "to"
    fetch(remote, folder)
    (folder / "a.csv").unlink()
    source.write_text("other")
    with pytest.raises(DataError, match=r"expected .*damaged or changed.*checksums\.json"):
        fetch(remote, folder)
    assert names(folder) == [LOCK_FILE]


def test_content_with_wrong_published_checksum_is_removed(tmp_path: Path) -> None:
    source = publish(tmp_path / "published", {"a.csv": "content"}) / "a.csv"
    folder = tmp_path / "to"
    with pytest.raises(DataError, match="expected 0000"):
        fetch(RemoteFile(source.as_uri(), "a.csv", "0" * 64), folder)
    assert names(folder) == []
    fetch(RemoteFile(source.as_uri(), "a.csv", sha256(source)), folder)
    assert json.loads((folder / LOCK_FILE).read_text())["a.csv"]["trust"] == "published"


def test_only_damaged_file_is_downloaded_again(tmp_path: Path) -> None:
    source = publish(tmp_path / "published", {"a.csv": "content"}) / "a.csv"
    remote, folder = RemoteFile(source.as_uri(), "a.csv"), tmp_path / "to"
    fetch(remote, folder)
    (folder / "a.csv").write_text("damaged")
    assert fetch(remote, folder).read_text() == "content"
    source.unlink()
    assert fetch(remote, folder).read_text() == "content"


def test_only_the_named_file_is_extracted(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("../../escape.json", "inner/wanted.json"):
            member = tarfile.TarInfo(name)
            member.size = 2
            tar.addfile(member, io.BytesIO(b"[]"))
    remote = RemoteFile(archive.as_uri(), "a.tar.gz", unpack="wanted.json")
    folder = tmp_path / "x" / "y" / "to"
    assert fetch(remote, folder) == folder / "wanted.json"
    assert names(folder) == ["a.tar.gz", LOCK_FILE, "wanted.json"]
    assert not list(tmp_path.rglob("escape.json"))
    with pytest.raises(DataError, match=r"has no file other\.json"):
        fetch(RemoteFile(archive.as_uri(), "a.tar.gz", unpack="other.json"), folder)


def test_invalid_archive_is_named(tmp_path: Path) -> None:
    source = publish(tmp_path / "published", {"a.tar.gz": "no archive"}) / "a.tar.gz"
    with pytest.raises(DataError, match=r"a\.tar\.gz cannot be unpacked"):
        fetch(RemoteFile(source.as_uri(), "a.tar.gz", unpack="b.json"), tmp_path / "to")


def test_failing_address_is_named(tmp_path: Path, mirror: str, breaking: str) -> None:
    cases = [
        (f"{mirror}/absent.csv", "cannot be fetched: .*not found"),
        (f"{breaking}/a.csv", "a.csv.* (broke off|cannot be fetched)"),
        ((tmp_path / "absent.csv").as_uri(), "cannot be fetched"),
        ("ftp://127.0.0.1/a.csv", "expected an address of https, http, file"),
    ]
    for url, message in cases:
        with pytest.raises(DataError, match=f"(?i){message}"):
            fetch(RemoteFile(url, "a.csv"), tmp_path / "to", timeout_s=5)
        assert names(tmp_path / "to") == []


def test_damaged_checksum_file_is_not_trusted(tmp_path: Path) -> None:
    source = publish(tmp_path, {"a.csv": "content", LOCK_FILE: "{"}) / "a.csv"
    for content in ("{", "[]", '{"a.csv": 1}'):
        (tmp_path / LOCK_FILE).write_text(content)
        with pytest.raises(DataError, match=r"checksums\.json .*trust"):
            fetch(RemoteFile(source.as_uri(), "a.csv"), tmp_path)


def test_home_depot_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Kaggle account.*train\.csv.*into .*hd"):
        fetch_dataset("homedepot", tmp_path / "hd")


def test_get_downloads_into_data_folder_once(tmp_path: Path, mirror: str) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    first = qtr("data", "get", "wands", "--mirror", mirror, data_dir=data_dir)
    assert first.exit_code == 0
    assert "label.csv: 0.0 of 0.0 MB" in first.stderr
    assert f"{data_dir / 'wands' / 'product.csv'}: 1 products, 0 rows set aside" in first.stdout
    again = qtr("data", "get", "wands", data_dir=data_dir)
    assert "already contains wands" in again.stderr
    assert again.stdout == first.stdout
    listed = qtr("data", "list", data_dir=data_dir)
    assert str(data_dir / "wands") in listed.stdout
    assert "experiments only" in listed.stdout


def test_get_needs_a_folder() -> None:
    result = qtr("data", "get", "wands")
    assert isinstance(result.exception, SettingsError)
    assert "--to DIR" in str(result.exception)


def test_check_shows_the_first_product_and_the_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("id,title\n1,lamp\n,sofa\n2,rug\n")
    rejects = tmp_path / "rejects.jsonl"
    result = qtr("data", "check", path, "--rejects", rejects)
    assert result.exit_code == 0
    assert '"title": "lamp"' in result.stdout
    assert f"{path}: 2 products, 1 row set aside" in result.stdout
    assert f"{path}, line 3, column 'id': '': the id is missing" in result.stdout
    assert json.loads(rejects.read_text())["line"] == 3


def test_check_of_a_file_that_is_not_a_catalog_fails(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("code\n1\n")
    assert isinstance(qtr("data", "check", path).exception, DataError)


def test_sample_prints_written_files(tmp_path: Path) -> None:
    result = qtr("sample", tmp_path / "sample")
    assert result.exit_code == 0
    paths = [Path(line) for line in result.stdout.splitlines()]
    assert len(paths) == 3
    assert all(path.is_file() for path in paths)
