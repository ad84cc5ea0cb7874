"""Scanning: decoders in child processes that may die; what one scan keeps for the next."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl.data import decoders, worker
from automl.data.decoders import Job, decode_all
from automl.data.images import image_facts, mask_facts
from automl.data.reading import Entry, Reading
from automl.data.scan import scan
from automl.dataset import Class
from automl.errors import MachineError
from automl.talk import Silent

RNG = np.random.default_rng(0)


def drawn(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03d}.png" for i in range(count)]
    for path in paths:
        Image.fromarray(RNG.integers(0, 4, (20, 30), dtype=np.uint8)).save(path)
    return paths


def scanned(paths, root):
    entries = tuple(Entry(path, label=0) for path in paths)
    return scan(Reading("folders", root, (Class(0, "a"),), entries), Silent())


class Counting(Silent):
    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def progress(self, label, done, total, note=""):
        self.calls.append((done, total))


def test_decode_all__same_facts_as_in_this_process_in_order(tmp_path):
    paths = drawn(tmp_path, 40)
    found = list(decode_all([Job(p, "image") for p in paths]))
    assert [job.path for job, _ in found] == paths
    assert [answer.facts for _, answer in found] == [image_facts(p) for p in paths]
    colours = ((1, 2, 3, 4),)
    masks = list(decode_all([Job(p, "mask", colours) for p in paths[:3]]))
    assert [answer.facts for _, answer in masks] == [mask_facts(p, colours) for p in paths[:3]]


@pytest.fixture
def hostile(monkeypatch):
    """A decoder that dies at files whose name says how, in the child itself."""
    decoders.end_workers()
    boot = (
        "import sys, os, time; sys.path.append(sys.argv[1])\n"
        "from automl.data import images, worker\n"
        "real = images.image_facts\n"
        "def facts(path, frame):\n"
        "    if 'crash' in path.name: os.kill(os.getpid(), 11)\n"
        "    if 'exit' in path.name: os._exit(3)\n"
        "    if 'loop' in path.name:\n"
        "        while True: pass\n"
        "    if 'memory' in path.name: bytearray(3_000_000_000)\n"
        "    return real(path)\n"
        "images.image_facts = facts\n"
        "worker.SECONDS = 0.3\n"
        "worker.serve()\n"
    )
    monkeypatch.setattr(decoders, "_BOOT", boot)
    yield
    decoders.end_workers()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("crash", f"crashes its decoder (signal {int(signal.SIGSEGV)})"),
        ("exit", "crashes its decoder"),
        ("loop", "takes more than"),
        ("memory", "takes too much memory"),
    ],
)
def test_decode_all__a_file_that_kills_its_decoder_costs_that_file(tmp_path, hostile, name, words):
    paths = drawn(tmp_path, 30)
    for place in (0, 7, 13, 29):
        paths[place] = paths[place].rename(tmp_path / f"{name}{place}.png")
    found = list(decode_all([Job(p, "image") for p in paths]))
    bad = [job.path for job, answer in found if answer.fault]
    assert bad == [paths[i] for i in (0, 7, 13, 29)]
    assert all(words in answer.fault.message for _, answer in found if answer.fault)
    assert all(answer.facts for job, answer in found if job.path not in bad)


def test_decode_all__a_worker_killed_from_outside_costs_nothing(tmp_path):
    list(decode_all([Job(p, "image") for p in drawn(tmp_path, 1)]))
    waiting = decoders._idle.get_nowait()
    os.kill(waiting.process.pid, signal.SIGKILL)
    decoders._idle.put(waiting)
    found = list(decode_all([Job(p, "image") for p in drawn(tmp_path, 20)]))
    assert all(answer.facts for _, answer in found)


def test_decode_all__code_in_the_current_folder_is_not_run(tmp_path, monkeypatch):
    decoders.end_workers()
    for name in ("sitecustomize.py", "usercustomize.py", "numpy.py", "json.py", "PIL.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    found = list(decode_all([Job(p, "image") for p in drawn(tmp_path, 2)]))
    assert all(answer.facts for _, answer in found)
    assert not (tmp_path / "ran").exists()
    decoders.end_workers()


def test_scan__names_of_any_bytes(tmp_path):
    paths = drawn(tmp_path, 3)
    odd = [tmp_path / "new\nline.png", tmp_path / os.fsdecode(b"\xff.png"), tmp_path / "-n.png"]
    for path, name in zip(paths, odd, strict=True):
        path.rename(name)
    found, findings = scanned(odd, tmp_path)
    assert [s.entry.path for s in found] == odd
    assert findings == []


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("automl.data.scan_cache.CLOSE_NS", 0)
    return tmp_path / "cache"


def decoded(paths, root):
    """How many files a scan really decodes."""
    talk = Counting()
    entries = tuple(Entry(path, label=0) for path in paths)
    found, _ = scan(Reading("folders", root, (Class(0, "a"),), entries), talk)
    return len(talk.calls), found


def test_cache__an_unchanged_file_is_decoded_once(tmp_path, cache):
    paths = drawn(tmp_path / "set", 5)
    time.sleep(0.02)
    first, found = decoded(paths, tmp_path / "set")
    second, again = decoded(paths, tmp_path / "set")
    assert (first, second) == (5, 0)
    assert found == again
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == [p.name for p in paths]


@pytest.mark.parametrize("how", ["other bytes", "other bytes at the same time", "replaced"])
def test_cache__a_changed_file_is_decoded_again(tmp_path, cache, how):
    paths = drawn(tmp_path / "set", 3)
    time.sleep(0.02)
    decoded(paths, tmp_path / "set")
    time.sleep(0.02)
    before = paths[1].stat()
    fresh = bytearray(paths[1].read_bytes())
    other = np.full((20, 30), 9, np.uint8)
    if how == "replaced":
        Image.fromarray(other).save(tmp_path / "b.png")
        (tmp_path / "b.png").replace(paths[1])
    else:
        fresh[-20] ^= 255
        paths[1].write_bytes(fresh)
    if how == "other bytes at the same time":
        os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
        assert paths[1].stat().st_mtime_ns == before.st_mtime_ns
        assert paths[1].stat().st_size == before.st_size
    count, _ = decoded(paths, tmp_path / "set")
    assert count == 1


def test_cache__a_file_that_was_just_written_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    paths = drawn(tmp_path / "set", 2)
    assert [decoded(paths, tmp_path / "set")[0] for _ in range(2)] == [2, 2]


@pytest.mark.parametrize("bytes_", [b"", b"{", b"\xff\xfe", b"[1, 2]\n[3]\n"])
def test_cache__damage_costs_a_scan(tmp_path, cache, bytes_):
    paths = drawn(tmp_path / "set", 2)
    time.sleep(0.02)
    decoded(paths, tmp_path / "set")
    kept = next(cache.rglob("*.jsonl"))
    head = kept.read_bytes().partition(b"\n")[0] + b"\n"
    kept.write_bytes(bytes_ if bytes_ != b"[1, 2]\n[3]\n" else head + bytes_)
    assert decoded(paths, tmp_path / "set")[0] == 2


def test_cache__a_place_that_cannot_be_written_is_no_matter(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "file"))
    assert decoded(drawn(tmp_path / "set", 2), tmp_path / "set")[0] == 2


def test_cache__is_bounded(tmp_path, cache, monkeypatch):
    monkeypatch.setattr("automl.data.scan_cache.LARGEST", 4000)
    for name in ("a", "b", "c"):
        paths = drawn(tmp_path / name, 2)
        time.sleep(0.02)
        decoded(paths, tmp_path / name)
    assert sum(p.stat().st_size for p in cache.rglob("*.jsonl")) <= 4000
    assert decoded(paths, tmp_path / "c")[0] == 0


def test_scan__a_missing_package_is_the_machines_fault_for_all_files_at_once(tmp_path):
    pytest.importorskip("PIL")
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        paths = [tmp_path / f"{i}.heic" for i in range(60)]
        for path in paths:
            path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
        with pytest.raises(MachineError) as caught:
            scanned(paths, tmp_path)
        assert len(caught.value.faults) == 51
        assert "pillow-heif" in caught.value.faults[0].message
        assert "10 more" in caught.value.faults[-1].message


def test_worker__limits_are_set():
    assert worker.MEMORY <= 1_500_000_000
    assert worker.SECONDS <= 10
