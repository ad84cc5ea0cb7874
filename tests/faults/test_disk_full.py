"""A disk that is full while something is saved: exit 3 with figures, and nothing saved is lost."""

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from automl.engines import checkpoint as checkpoints
from automl.engines.checkpoint import Checkpoint
from automl.errors import MachineError
from automl.record import journal
from automl.run_dir import RunDir
from tests.faults.tiny import EPOCHS, Job, data_for, ended, history, result, train

MIB = 1 << 20
CALLS = ("write", "fsync", "rename", "mkdir")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[int], None]]:
    """A file system of so many bytes; the function gives it another size."""
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")

    def resize(other: int) -> None:
        command = ["mount", "-o", f"remount,size={other}", folder]
        subprocess.run(command, check=True, capture_output=True)

    try:
        yield resize
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def made(epoch: int) -> Checkpoint:
    tensors = {"model": {"w": torch.full((300_000,), float(epoch))}, "best": {}}
    return Checkpoint(epoch, tensors, {})


def test_save__on_a_full_disk_names_path_need_and_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 3 * MIB):
        folder = tmp_path / "disk" / "checkpoints"
        for epoch in (1, 2):
            checkpoints.save(folder, made(epoch))
        with pytest.raises(MachineError) as caught:
            checkpoints.save(folder, made(3))
        fault = caught.value.faults[0]
        assert caught.value.exit_code == 3
        told = re.search(r"takes ([\d,]+) bytes, ([\d,]+) are free", fault.message)
        assert told
        needed, free = (int(number.replace(",", "")) for number in told.groups())
        assert needed == 1_200_000
        assert 0 < free < needed
        assert fault.where == str(folder / "epoch-0003")
        assert "make room" in fault.hint
        assert sorted(p.name for p in folder.iterdir()) == ["epoch-0001", "epoch-0002"]
        found = checkpoints.newest(folder)
        assert found is not None
        assert (found.epoch, found.passed_over) == (2, ())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_save__any_call_that_fails_leaves_what_was_saved(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(tmp_path, made(1))
    call = 0
    while True:
        call += 1
        left = [call]
        with monkeypatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, failing(getattr(os, name), left, number))
            told = fault_of_save(tmp_path, call + 1)
        assert told is None or {errno.ENOSPC: "is full", errno.EIO: "output error"}[number] in told
        found = checkpoints.newest(tmp_path)
        assert found is not None
        assert found.passed_over == ()
        assert found.tensors["model"]["w"][0] == found.epoch
        if left[0] > 0:  # the call was never made: all have been tried
            break
        checkpoints.save(tmp_path, made(call + 1))
    assert call > 10


def fault_of_save(folder: Path, epoch: int) -> str | None:
    try:
        checkpoints.save(folder, made(epoch))
    except MachineError as error:
        return str(error)
    return None


def failing(call: Callable[..., Any], left: list[int], number: int) -> Callable[..., Any]:
    def instead(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(number, os.strerror(number), "somewhere")
        return call(*arguments, **named)

    return instead


def test_journal__on_a_full_disk_keeps_its_lines(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", MIB) as resize:
        log = journal.Journal(tmp_path / "disk" / "journal.jsonl")
        log.write("start")
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "disk" / "filler").write_bytes(bytes(2 * MIB))
        before = log.path.read_bytes()
        with pytest.raises(MachineError, match=r"a line of the journal takes [\d,]+ bytes, 0 are"):
            log.write("epoch", losses={"long": list(range(3000))})
        assert log.path.read_bytes() == before
        resize(2 * MIB)
        log.write("end")
        assert [event["event"] for event in journal.read(log.path)] == ["start", "end"]


def full_then_resumed(home: Path, share: float, straight: Job) -> bool:
    """A training on a disk of so many checkpoints; whether it was full. Resumed with more room."""
    newest = straight.run.checkpoints / f"epoch-{EPOCHS:04d}"
    size = sum(p.stat().st_size for p in newest.iterdir())
    disk = home / f"disk-{share}"
    with small_disk(disk, int(share * size)) as resize:
        shutil.copytree(home / "data", disk / "data")
        shutil.copy(home / "dataset.json", disk)
        job = Job(disk / "run", "classification")
        code = ended(train, job)
        assert code in (0, 3)
        if code == 3:
            done = [e["epoch"] for e in history(job.run)]
            found = checkpoints.newest(job.run.checkpoints)
            assert (found.epoch if found else 0) in (len(done), len(done) - 1)
            assert found is None or found.passed_over == ()
            resize(64 * MIB)
            assert ended(train, job) == 0
        assert result(job.run) == result(straight.run)
    return code == 3


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Job:
    home = tmp_path_factory.mktemp("straight")
    data_for("classification", home)
    job = Job(home / "run", "classification")
    assert ended(train, job) == 0
    return job


@pytest.mark.parametrize("share", [0.7, 1.7, 2.8])
def test_train__on_a_full_disk_is_resumed_to_the_same_bits(share: float, straight: Job) -> None:
    assert full_then_resumed(straight.folder.parent, share, straight)


@pytest.mark.slow
def test_train__on_disks_of_twelve_sizes(straight: Job) -> None:
    shares = [0.15 + 0.3 * number for number in range(12)]
    full = [full_then_resumed(straight.folder.parent, share, straight) for share in shares]
    assert sum(full) >= 8
    assert not full[-1]
    assert RunDir(straight.folder).model.is_dir()
