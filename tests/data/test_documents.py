"""Words in files are found wherever they lie, and files are read once."""

import os

import pytest

from automl.data import documents
from automl.data.documents import holds


def test_holds__all_words_or_nothing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": [], "annotations": [{"bbox": []}], "mine": 1}')
    assert holds(path, b'"images"', b'"annotations"')
    assert not holds(path, b'"images"', b'"categories"')
    assert holds(path, b'"mine"')
    assert not holds(tmp_path / "none.json", b'"images"')
    assert not holds(tmp_path, b'"images"')


@pytest.mark.parametrize("at", range(-12, 4))
def test_holds__a_word_where_two_parts_meet(tmp_path, monkeypatch, at):
    monkeypatch.setattr(documents, "PART", 64)
    path = tmp_path / "a.json"
    path.write_bytes(b" " * (128 + at) + b'"category_id"' + b" " * 90)
    assert holds(path, b'"category_id"')


def test_holds__tags_and_changed_files(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<image><box x='1'/></image>")
    assert holds(path, b"<box ")
    assert not holds(path, b"<tag ")
    path.write_text("<image><tag x='1'/></image>")
    os.utime(path, ns=(1, 1))
    assert holds(path, b"<tag ")
    assert not holds(path, b"<box ")


def test_holds__reads_a_file_once(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"shapes": []}')
    before = documents._held.cache_info()
    for word in (b'"shapes"', b'"images"', b'"items"', b'"bbox"'):
        holds(path, word)
    after = documents._held.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 3)
