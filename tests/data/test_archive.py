"""Archives of data: read as the folder inside; hostile ones refused whole, nothing left behind."""

import io
import os
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from automl.data import archive as archives
from automl.data import archive_members as packing
from automl.data.archive import opened, unpacked
from automl.data.recognise import recognise
from automl.errors import DataError, MachineError
from tests.data.test_readers import check_labels
from tests.data.toys import NAMES, prepared, save, toys, write_folders, write_text


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("AUTOML_CACHE", str(folder))
    return folder


def packed(folder: Path, target: Path, *, top: str = "") -> Path:
    """The folder in an archive of the kind that the target's name says."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    names = [f"{top}{p.relative_to(folder).as_posix()}" for p in files]
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
            for file, name in zip(files, names, strict=True):
                made.write(file, name)
    else:
        with tarfile.open(target, "w" if target.suffix == ".tar" else "w:gz") as made:
            for file, name in zip(files, names, strict=True):
                made.add(file, name)
    return target


def zipped(target: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("fine.txt", "fine")
        for name, content in entries:
            made.writestr(name, content)
    return target


def tarred(target: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(target, "w:gz") as made:
        fine = tarfile.TarInfo("fine.txt")
        fine.size = 4
        made.addfile(fine, io.BytesIO(b"fine"))
        for info in infos:
            made.addfile(info, io.BytesIO(b"\0" * info.size))
    return target


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def tar_info(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def left_behind(cache: Path) -> list[str]:
    return [p.name for p in cache.rglob("*") if p.suffix != ".lock" and p.name != "archives"]


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "SET.TGZ"])
@pytest.mark.parametrize("top", ["", "pictures of 2024/"])
def test_archive__read_as_the_folder_inside(tmp_path, cache, name, top):
    made = toys(18)
    folder = write_folders(tmp_path / "plain", made)
    archive = packed(folder, tmp_path / name, top=top)
    before = archive.read_bytes()
    found = prepared(archive, "classification")
    check_labels(found, made)
    assert recognise(archive).format == "folders"
    assert found.dataset.digest == prepared(folder, "classification").dataset.digest
    assert Path(found.dataset.root).is_relative_to(cache)
    assert archive.read_bytes() == before


def test_archive__alone_in_a_folder(tmp_path):
    made = toys(18)
    folder = write_folders(tmp_path / "plain", made)
    (tmp_path / "set").mkdir()
    packed(folder, tmp_path / "set/data.zip")
    check_labels(prepared(tmp_path / "set", "classification"), made)
    (tmp_path / "set/readme.txt").write_text("two things")
    assert opened(tmp_path / "set") == tmp_path / "set"


def test_archive__unpacked_once(tmp_path, cache):
    archive = packed(write_folders(tmp_path / "plain", toys()), tmp_path / "set.zip")
    first = unpacked(archive)
    inode = first.stat().st_ino
    assert unpacked(archive) == first
    assert first.stat().st_ino == inode
    copy = tmp_path / "copy.zip"
    copy.write_bytes(archive.read_bytes())
    assert unpacked(copy) == first


def test_archive__two_at_once(tmp_path, cache):
    archive = packed(write_folders(tmp_path / "plain", toys(60)), tmp_path / "set.tar.gz")
    code = "import sys; from pathlib import Path; from automl.data.archive import unpacked; "
    code += "print(unpacked(Path(sys.argv[1])))"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, archive], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {run.communicate(timeout=120)[0].strip() for run in runs}
    assert {run.returncode for run in runs} == {0}
    assert len(said) == 1
    assert len(list(Path(said.pop()).rglob("*.png"))) == 60
    assert [p.suffix for p in (cache / "archives").iterdir() if p.is_file()] == [".lock"]


def test_archive__what_a_killed_run_left_is_taken_away(tmp_path, cache):
    archive = packed(write_folders(tmp_path / "plain", toys()), tmp_path / "set.zip")
    target = unpacked(archive)
    part = target.with_name(f".{target.name}.part")
    target.rename(part)
    (part / "half.png").write_bytes(b"")
    assert not (unpacked(archive) / "half.png").exists()
    assert not part.exists()


LINK, DEVICE = stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o644
HOSTILE_ZIP = {
    "up": (("a/../../x", b""), "points out"),
    "absolute": (("/etc/x", b""), "absolute path"),
    "drive": (("C:/x", b""), "absolute path"),
    "backslash": (("..\\x", b""), "no path"),
    "symlink": ((with_mode("x", LINK), b"/etc/passwd"), "is a link"),
    "symlink inside": ((with_mode("x", LINK), b"fine.txt"), "is a link"),
    "device": ((with_mode("x", DEVICE), b""), "no plain file"),
    "setuid": ((with_mode("x", stat.S_IFREG | 0o4755), b""), "setuid"),
    "bomb": (("x", b"\0" * 5_000_000), "as bombs are"),
    "nested": (("inner.zip", b"PK"), "archive inside"),
    "case": (("FINE.txt", b""), "in case only"),
    "twice": (("fine.txt/x", b""), "is there twice"),
    "long": (("x" * 300, b""), "too long"),
    "deep": (("x/" * 100 + "y", b""), "too long"),
}


@pytest.mark.parametrize("case", HOSTILE_ZIP)
def test_hostile__zip(tmp_path, cache, case):
    entry, words = HOSTILE_ZIP[case]
    archive = zipped(tmp_path / "set.zip", entry)
    if case == "backslash":  # the writer would turn it
        archive.write_bytes(archive.read_bytes().replace(b"../x", b"..\\x"))
    started = time.monotonic()
    with pytest.raises(DataError, match=words) as caught:
        opened(archive)
    assert time.monotonic() - started < 5
    assert caught.value.exit_code == 2
    assert caught.value.faults[0].hint
    assert left_behind(cache) == []
    assert not (tmp_path / "x").exists()


def test_hostile__zip_with_nul_in_a_name(tmp_path, cache):
    archive = zipped(tmp_path / "set.zip", ("picture.txt", b""))
    archive.write_bytes(archive.read_bytes().replace(b"picture.txt", b"pict\0re.txt"))
    with pytest.raises(DataError, match="no path"):
        opened(archive)
    assert left_behind(cache) == []


def test_hostile__zip_encrypted(tmp_path, cache):
    archive = zipped(tmp_path / "set.zip", ("x", b"secret"))
    data = bytearray(archive.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        opened(archive)
    assert left_behind(cache) == []


def test_hostile__zip_whose_entries_overlap(tmp_path, cache):
    noise = os.urandom(40_000)
    archive = zipped(tmp_path / "set.zip", ("x", noise))
    data = archive.read_bytes()
    at = data.rfind(b"PK\x05\x06")
    start = int.from_bytes(data[at + 16 : at + 20], "little")
    entry = data[data.rfind(b"PK\x01\x02") : at]
    copies = b"".join(entry[:-1] + bytes([65 + i]) for i in range(20))
    directory = data[start:at] + copies
    end = bytearray(data[at:])
    end[8:10] = end[10:12] = (22).to_bytes(2, "little")
    end[12:16] = len(directory).to_bytes(4, "little")
    archive.write_bytes(data[:start] + directory + end)
    with pytest.raises(DataError, match="overlap"):
        opened(archive)


HOSTILE_TAR = {
    "up": (tar_info("../x"), "points out"),
    "absolute": (tar_info("/x"), "absolute path"),
    "symlink": (tar_info("x", tarfile.SYMTYPE, linkname="/etc"), "is a link"),
    "hard link": (tar_info("x", tarfile.LNKTYPE, linkname="fine.txt"), "is a link"),
    "device": (tar_info("x", tarfile.CHRTYPE), "no plain file"),
    "pipe": (tar_info("x", tarfile.FIFOTYPE), "no plain file"),
    "setuid": (tar_info("x", mode=0o4755), "setuid"),
    "bomb": (tar_info("x", size=80_000_000), "as bombs are"),
    "nested": (tar_info("x.tgz"), "archive inside"),
    "case": (tar_info("Fine.txt"), "in case only"),
    "backslash": (tar_info("a\\b"), "no path"),
}


@pytest.mark.parametrize("case", HOSTILE_TAR)
def test_hostile__tar(tmp_path, cache, case):
    info, words = HOSTILE_TAR[case]
    archive = tarred(tmp_path / "set.tar.gz", info)
    with pytest.raises(DataError, match=words):
        opened(archive)
    assert left_behind(cache) == []
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("most", [2000, pytest.param(500_000, marks=pytest.mark.slow)])
def test_hostile__too_many_entries(tmp_path, monkeypatch, most):
    monkeypatch.setattr(packing, "MOST_ENTRIES", most)
    header = tarfile.TarInfo("x").tobuf()
    archive = tmp_path / "set.tar"
    with archive.open("wb") as file:
        for _ in range(1000):
            file.write(header * (most // 500))
    with pytest.raises(DataError, match=f"{most + 1} entries"):
        opened(archive)


def test_hostile__a_million_entries_are_not_even_listed(tmp_path):
    small = zipped(tmp_path / "set.zip")
    data = bytearray(small.read_bytes())
    at = data.rfind(b"PK\x05\x06")
    wide = b"PK\x06\x06" + (44).to_bytes(8, "little") + bytes(12)
    wide += (10**6).to_bytes(8, "little") * 2 + (46 * 10**6).to_bytes(8, "little") + bytes(8)
    small.write_bytes(bytes(data[:at]) + wide + bytes(data[at:]))
    with pytest.raises(DataError, match="1000000 entries"):
        opened(small)


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tgz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.97])
def test_broken__cut_and_empty(tmp_path, cache, name, share):
    archive = packed(write_folders(tmp_path / "plain", toys()), tmp_path / name)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    if name == "set.tar" and share == 0.97:
        archive.write_bytes(data[: 512 + 700])  # the rest of a TAR is padding
    with pytest.raises(DataError):
        prepared(archive, "classification")
    assert not [n for n in left_behind(cache) if n.endswith(".part")]


def test_broken__flipped_byte_is_found_by_its_sum(tmp_path, cache):
    archive = packed(write_folders(tmp_path / "plain", toys()), tmp_path / "set.zip")
    data = bytearray(archive.read_bytes())
    data[200] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(DataError, match="broken archive"):
        opened(archive)
    assert left_behind(cache) == []


def test_no_room__says_place_need_and_free(tmp_path, monkeypatch):
    archive = packed(write_folders(tmp_path / "plain", toys()), tmp_path / "set.zip")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    with pytest.raises(MachineError, match=r"\d+ bytes are needed, 1000 are free") as caught:
        opened(archive)
    assert caught.value.exit_code == 3
    assert "cache" in caught.value.faults[0].where


def test_no_cache(tmp_path, monkeypatch):
    archive = packed(write_folders(tmp_path / "plain", toys()), tmp_path / "set.zip")
    monkeypatch.setenv("AUTOML_CACHE", "off")
    with pytest.raises(MachineError, match="into the cache"):
        opened(archive)


def test_names__all_scripts_survive(tmp_path):
    made = toys(18)
    folder = write_folders(tmp_path / "plain", made)
    (folder / "train" / NAMES[0]).rename(folder / "train" / "ü 日本")
    for name in ("set.zip", "set.tgz"):
        dataset = prepared(packed(folder, tmp_path / name), "classification").dataset
        assert "ü 日本" in dataset.names


@pytest.mark.parametrize("name", ["train.zip", "train.7z", "train.tar.gz"])
def test_packed__beside_a_table_is_told(tmp_path, name):
    """As Kaggle hands out sets: the table says images that are not there."""
    write_text(tmp_path / "train.csv", "image_id,label\na,cat\nb,dog\n")
    write_text(tmp_path / name, "")
    with pytest.raises(DataError, match=f"still packed: {name}"):
        recognise(tmp_path)
    save(toys(1)[0].pixels, tmp_path / "train" / "a.png")
    assert recognise(tmp_path).format == "csv"
