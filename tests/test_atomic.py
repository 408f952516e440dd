"""Files and folders that are replaced whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qtr_rerank.atomic import (
    delete_unfinished,
    replace_folder,
    replacing,
    replacing_folder,
    restore_folder,
    write_bytes,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path) -> None:
    """Write a file, then fail."""
    path.write_text("half of the n")
    path.parent.write_text("a folder is no file")


def folder_with(place: Path, text: str) -> Path:
    place.mkdir()
    (place / "file").write_text(text)
    return place


def test_content_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"new\r\n"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    write_text(path, "täglich\n")
    assert path.read_bytes() == "täglich\n".encode()
    assert names(tmp_path) == ["file"]


def test_json_is_readable_and_ends_with_a_line_feed(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"name": "Größe", "sizes": [1, 2]})
    text = (tmp_path / "file.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Größe", "sizes": [1, 2]}
    assert "Größe" in text
    assert text.endswith("}\n")


def test_content_that_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, ["old"])
    with pytest.raises(TypeError):
        write_json(path, ["new", object()])
    assert json.loads(path.read_text()) == ["old"]
    assert names(tmp_path) == ["file.json"]


def test_failure_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(IsADirectoryError), replacing(path) as unfinished:
        write_half(unfinished)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_failure_half_way_leaves_no_file_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "file") as unfinished:
        write_half(unfinished)
    assert names(tmp_path) == []


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as first:
        with replacing(path) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert names(tmp_path) == ["file"]


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    place = folder_with(tmp_path / "place", "old")
    (place / "only-old").touch()
    with replacing_folder(place) as built:
        (built / "file").write_text("new")
        assert (place / "file").read_text() == "old"
    assert (place / "file").read_text() == "new"
    assert names(place) == ["file"]
    assert names(tmp_path) == ["place"]


def test_new_folder_has_the_usual_permissions(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "new" / "place") as built:
        (built / "file").touch()
    usual = folder_with(tmp_path / "usual", "")
    assert (tmp_path / "new" / "place").stat().st_mode == usual.stat().st_mode


def test_failure_half_way_leaves_the_old_folder(tmp_path: Path) -> None:
    place = folder_with(tmp_path / "place", "old")
    with pytest.raises(IsADirectoryError), replacing_folder(place) as built:
        write_half(built / "file")
    assert (place / "file").read_text() == "old"
    assert names(tmp_path) == ["place"]


def test_folder_that_cannot_be_renamed_leaves_the_old_one(tmp_path: Path) -> None:
    place = folder_with(tmp_path / "place", "old")
    with pytest.raises(OSError, match="missing"):
        replace_folder(tmp_path / "missing", place)
    assert (place / "file").read_text() == "old"
    assert names(tmp_path) == ["place"]


def test_folder_lost_between_the_two_renames_is_restored(tmp_path: Path) -> None:
    place = folder_with(tmp_path / "place", "old")
    # A process killed inside `replace_folder`, after its first rename.
    kill = (
        "import os, sys; from pathlib import Path; from qtr_rerank import atomic\n"
        "sys.addaudithook(lambda event, args: "
        "event == 'os.rename' and Path(args[0]).name == 'built' and os._exit(9))\n"
        "atomic.replace_folder(Path('built'), Path('place'))"
    )
    folder_with(tmp_path / "built", "new")
    root = str(Path(__file__).resolve().parent.parent)
    killed = subprocess.run(
        [sys.executable, "-c", kill],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )
    assert killed.returncode == 9
    assert not place.exists()
    restore_folder(place)
    assert (place / "file").read_text() == "old"
    replace_folder(tmp_path / "built", place)
    restore_folder(place)
    assert (place / "file").read_text() == "new"
    assert names(tmp_path) == ["place"]


def test_leftovers_of_killed_writers_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    # Entered and never left, as in a process that was killed.
    with_file, with_folder = replacing(tmp_path / "file"), replacing_folder(tmp_path / "place")
    with_file.__enter__().write_text("half")
    folder_with(with_folder.__enter__() / "inner", "half")
    for name in ("file", "mine.part", ".hidden"):
        (tmp_path / name).write_text("kept")
    delete_unfinished(tmp_path, "place")
    assert len(names(tmp_path)) == 4
    delete_unfinished(tmp_path)
    assert names(tmp_path) == [".hidden", "file", "mine.part"]
