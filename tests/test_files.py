import os
from pathlib import Path

import pytest

from automl.errors import DataError
from automl.files import read_json, read_object, sync, write_json, write_text


def test_write_text__replaces_a_link_instead_of_writing_through_it(tmp_path: Path) -> None:
    cache, path = tmp_path / "cache", tmp_path / "made" / "file.json"
    write_text(path, "old")
    os.link(path, cache)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert cache.read_text() == "old"


def test_write_text__leaves_the_old_file_where_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.mkdir()
    with pytest.raises(OSError):
        write_text(path, "new")
    assert list(tmp_path.iterdir()) == [path]


def test_write_text__a_name_that_is_not_utf8_is_escaped(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"path": "\udcff.png"})
    assert (tmp_path / "a.json").read_bytes() == b'{\n "path": "\\udcff.png"\n}\n'
    assert read_json(tmp_path / "a.json", "prepare") == {"path": "\udcff.png"}


def test_read_json__what_was_written_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    assert read_json(path, "evaluate") is None
    assert read_object(path, "evaluate") == {}
    write_json(path, [{"größe": 1.5}])
    assert read_json(path, "evaluate") == [{"größe": 1.5}]
    assert read_object(path, "evaluate") == {}
    write_json(path, {"a": None})
    assert read_object(path, "evaluate") == {"a": None}


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000])
def test_read_json__damage_is_one_fault_with_its_cure(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"`metrics\.json` is damaged") as caught:
        read_object(path, "evaluate")
    fault = caught.value.faults[0]
    assert (fault.where, fault.hint) == (str(path), "`automl evaluate` writes it anew")


def test_sync__takes_files_and_folders(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "b")
    for path in (tmp_path / "a", tmp_path):
        sync(path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "none")
