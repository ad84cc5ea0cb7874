import os
from pathlib import Path

import pytest

from automl.files import write_text


def test_write_text__replaces_a_link_instead_of_writing_through_it(tmp_path: Path) -> None:
    cache, path = tmp_path / "cache", tmp_path / "made" / "file.json"
    write_text(path, "old")
    os.link(path, cache)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert cache.read_text() == "old"


def test_write_text__leaves_the_old_file_where_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
