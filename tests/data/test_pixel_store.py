import errno
import os
from pathlib import Path

import numpy as np
import pytest

from automl.data import pixel_store
from automl.data.pixel_store import open_store

SIZES = [12, 5000, 7, 300]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pixel_store, "LEFT_FREE", 0)
    return tmp_path / "cache" / "pixels"


def content(place: int) -> np.ndarray:
    return np.random.default_rng(place).integers(0, 256, SIZES[place], np.uint8)


def filled(key: object = "set") -> pixel_store.PixelStore:
    store = open_store(key, SIZES)
    for place in range(len(SIZES)):
        store.put(place, content(place))
    return store


def test_open_store__what_was_put_is_there_in_this_and_the_next_opening(cache: Path) -> None:
    first = filled()
    second = open_store("set", SIZES)
    for store in (first, second):
        for place in range(len(SIZES)):
            assert (store.get(place) == content(place)).all()
            assert not store.get(place).flags.writeable
    assert len(list(cache.glob("*.bin"))) == 1


def test_open_store__other_content_or_geometry_has_a_file_of_its_own(cache: Path) -> None:
    filled("one")
    assert open_store("other", SIZES).get(0) is None
    assert open_store("one", [*SIZES, 9]).get(0) is None


def test_open_store__half_built_gives_the_half_that_is_there(cache: Path) -> None:
    open_store("set", SIZES).put(1, content(1)[:4000], content(1)[4000:])
    again = open_store("set", SIZES)
    assert (again.get(1) == content(1)).all()
    assert [again.get(place) for place in (0, 2, 3)] == [None, None, None]


def test_open_store__two_at_once_fill_one_file(cache: Path) -> None:
    one, two = open_store("set", SIZES), open_store("set", SIZES)
    one.put(0, content(0))
    two.put(0, content(0))
    two.put(3, content(3))
    assert (one.get(3) == content(3)).all()
    assert (two.get(0) == content(0)).all()


@pytest.mark.parametrize("where", [0, 3, 4096, 4096 + 12, -1])
def test_get__a_flipped_byte_is_never_handed_out(where: int, cache: Path) -> None:
    filled()
    (path,) = cache.glob("*.bin")
    data = bytearray(path.read_bytes())
    data[where] ^= 16
    path.write_bytes(data)
    store = open_store("set", SIZES)
    found = [store.get(place) for place in range(len(SIZES))]
    assert [f is None for f in found].count(True) == 1
    assert all(f is None or (f == content(i)).all() for i, f in enumerate(found))
    (lost,) = (i for i, f in enumerate(found) if f is None)
    store.put(lost, content(lost))
    assert (store.get(lost) == content(lost)).all()


@pytest.mark.parametrize("left", [0, 10, 4096, 4200])
def test_get__a_torn_file_is_filled_anew(left: int, cache: Path) -> None:
    filled()
    (path,) = cache.glob("*.bin")
    os.truncate(path, left)
    store = open_store("set", SIZES)
    found = [store.get(place) for place in range(len(SIZES))]
    assert any(f is None for f in found)
    assert all(f is None or (f == content(i)).all() for i, f in enumerate(found))


def test_open_store__a_file_that_is_too_long_is_not_trusted(cache: Path) -> None:
    filled()
    (path,) = cache.glob("*.bin")
    with path.open("ab") as file:
        file.write(b"more")
    assert open_store("set", SIZES) is None
    assert open_store("set", SIZES).get(0) is None


def test_open_store__off_or_unwritable_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOML_CACHE", "off")
    assert open_store("set", SIZES) is None
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "file"))
    assert open_store("set", SIZES) is None


def test_put__a_full_disk_is_noted_and_the_rest_stays_right(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = open_store("set", SIZES)
    store.put(0, content(0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        store.put(1, content(1))
    assert store.full
    store.put(2, content(2))
    assert (store.get(0) == content(0)).all()
    assert store.get(1) is None
    assert store.get(2) is None


def test_put__no_more_than_the_disk_has_room_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_store, "LARGEST", 5000 + 12 + 8 * len(SIZES))
    store = filled()
    assert [store.get(place) is None for place in range(4)] == [False, False, True, True]
    assert (store.get(1) == content(1)).all()


def test_put__what_the_run_needs_of_the_disk_is_left_to_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store("set", SIZES).put(0, content(0))
    monkeypatch.setattr(pixel_store, "LEFT_FREE", 10**18)
    store = open_store("set", SIZES)
    store.put(3, content(3))
    assert (store.get(0) == content(0)).all()
    assert store.limit < len(SIZES) or store.get(3) is not None
    other = open_store("other", SIZES)
    other.put(0, content(0))
    assert other.limit == 0
    assert other.get(0) is None


def test_open_store__the_one_opened_longest_ago_goes_first(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age, key in ((30, "old"), (20, "older-but-used"), (10, "new")):
        known = set(cache.glob("*.bin"))
        filled(key)
        (path,) = set(cache.glob("*.bin")) - known
        os.utime(path, (1e9 - age, 1e9 - age))
    open_store("old", SIZES)
    each = max(path.stat().st_blocks * 512 for path in cache.glob("*.bin"))
    monkeypatch.setattr(pixel_store, "LARGEST", 3 * each + 100)
    filled("newest")
    assert open_store("older-but-used", SIZES).get(0) is None
    assert (open_store("newest", SIZES).get(0) == content(0)).all()
