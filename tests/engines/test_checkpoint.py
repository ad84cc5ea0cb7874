import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from automl.engines import checkpoint as checkpoints
from automl.engines import progress
from automl.engines.checkpoint import Checkpoint
from automl.engines.progress import Checkpointer
from automl.engines.stop_reasons import tell_resumed
from automl.errors import MachineError, NumbersError, UsageError


def made(epoch: int, step: int = 0) -> Checkpoint:
    tensors = {
        "model": {"w": torch.full((3,), float(epoch)), "n": torch.tensor(step)},
        "best": {},
    }
    return Checkpoint(epoch, tensors, {"lr": 0.1 + epoch}, step)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_newest__gives_back_what_was_saved_and_keeps_the_one_before(tmp_path: Path) -> None:
    for epoch in (1, 2, 10):
        checkpoints.save(tmp_path, made(epoch))
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert (found.epoch, found.step, found.facts) == (10, 0, {"lr": 10.1})
    assert found.tensors["model"]["w"].tolist() == [10.0] * 3
    assert found.passed_over == ()
    assert names(tmp_path) == ["epoch-0002", "epoch-0010"]


def test_epoch_done__checkpoints_take_a_twentieth_of_the_time_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, saved = [0.0], []

    def slow_save(_folder: Path, position: int) -> None:
        saved.append(position)
        now[0] += 0.1

    class At:
        """A training after so many epochs of 0.6 seconds."""

        step_in_epoch, monitor = 0, Mock()

        def __init__(self, epoch: int) -> None:
            self.epoch = epoch

        def checkpoint(self) -> int:
            return self.epoch

    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoints, "save", slow_save)
    checkpointer = Checkpointer(tmp_path, leads=True, saved_at=0.0)
    for epoch in range(1, 12):
        now[0] += 0.6
        checkpointer.epoch_done(At(epoch))
    assert saved == [1, 5, 9]  # 0.1 s each, 2 s or more after the one before
    checkpointer.save(At(11))
    checkpointer.save(At(11))
    assert saved == [1, 5, 9, 11]
    checkpointer.every_epoch = True
    for epoch in range(12, 15):
        checkpointer.epoch_done(At(epoch))
    assert saved[4:] == [12, 13, 14]  # as under a budget


def test_newest__a_step_within_an_epoch_lies_between_epochs(tmp_path: Path) -> None:
    for position in ((1, 0), (1, 9), (1, 10)):
        checkpoints.save(tmp_path, made(*position))
        found = checkpoints.newest(tmp_path)
        assert found is not None
        assert (found.epoch, found.step) == position
    assert names(tmp_path) == ["epoch-0001-step-000009", "epoch-0001-step-000010"]
    checkpoints.save(tmp_path, made(2))
    assert names(tmp_path) == ["epoch-0001-step-000010", "epoch-0002"]


def test_newest__none_where_there_is_none(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    assert checkpoints.newest(tmp_path / "absent") is None
    (tmp_path / ".epoch-0001.partial").mkdir()
    assert checkpoints.newest(tmp_path) is None
    checkpoints.save(tmp_path, made(1))
    assert names(tmp_path) == ["epoch-0001"]  # what a killed process left is swept up


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "bytes instead of": lambda folder: cut(folder / "model.safetensors"),
    "does not have its SHA-256": lambda folder: flip(folder / "model.safetensors"),
    "`best.safetensors` is missing": lambda folder: (folder / "best.safetensors").unlink(),
    "`more.safetensors` does not belong": lambda folder: (folder / "more.safetensors").touch(),
    "`manifest.json` is missing": lambda folder: (folder / "manifest.json").unlink(),
    "`manifest.json` cannot be read": lambda folder: cut(folder / "manifest.json"),
    "`manifest.json` was changed": lambda folder: other_facts(folder / "manifest.json"),
}


def other_facts(path: Path) -> None:
    path.write_text(path.read_text().replace('"lr": 2.1', '"lr": 2.5'))


@pytest.mark.parametrize("damage", DAMAGES)
def test_newest__a_damaged_one_is_passed_over_in_one_line(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for epoch in (1, 2):
        checkpoints.save(tmp_path, made(epoch))
    whole = {p: p.read_bytes() for p in (tmp_path / "epoch-0002").iterdir()}
    DAMAGES[damage](tmp_path / "epoch-0002")
    assert whole != {p: p.read_bytes() for p in (tmp_path / "epoch-0002").iterdir()}
    read: list[str] = []
    load = checkpoints.load_file
    monkeypatch.setattr(
        checkpoints, "load_file", lambda path: (read.append(path.parent.name), load(path))[1]
    )
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert set(read) == {"epoch-0001"}  # no tensor of the damaged one was built
    assert found.tensors["model"]["w"].tolist() == [1.0] * 3
    heard = []
    tell_resumed(found, heard.append)
    assert [event.kind for event in heard] == ["checkpoint", "resume"]
    assert heard[0].text.startswith("checkpoint epoch-0002 is damaged: ")
    assert damage in heard[0].text
    assert heard[0].text.endswith("; epoch-0001 is used")
    checkpoints.save(tmp_path, made(1, step=5))  # as it would go on: nothing damaged is left
    assert names(tmp_path) == ["epoch-0001", "epoch-0001-step-000005"]


def test_newest__every_flipped_bit_of_a_manifest_is_seen(tmp_path: Path) -> None:
    for epoch in (1, 2):
        checkpoints.save(tmp_path, made(epoch))
    path = tmp_path / "epoch-0002" / "manifest.json"
    whole = path.read_bytes()
    facts = json.loads(whole)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 7
        path.write_bytes(changed)
        found = checkpoints.newest(tmp_path)
        assert found is not None
        if found.epoch == 2:  # white space, or the case of an escape: it says the same
            assert json.loads(path.read_bytes()) == facts


def test_newest__where_none_is_whole_nothing_is_trained_anew_in_silence(tmp_path: Path) -> None:
    for epoch in (1, 2):
        checkpoints.save(tmp_path, made(epoch))
        flip(tmp_path / f"epoch-000{epoch}" / "model.safetensors")
    with pytest.raises(MachineError, match=r"no checkpoint is whole.*epoch-0002.*epoch-0001"):
        checkpoints.newest(tmp_path)


def test_newest__a_later_format_is_refused_with_both_versions(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, made(1))
    path = tmp_path / "epoch-0001" / "manifest.json"
    later = {**json.loads(path.read_text()), "format": 99, "automl": "77.0", "more": [1]}
    del later["digest"]
    later["digest"] = hashlib.sha256(json.dumps(later, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(later))
    with pytest.raises(UsageError, match=r"format 99 of automl 77\.0.*reads format 2") as caught:
        checkpoints.newest(tmp_path)
    assert caught.value.exit_code == 2


def test_save__refuses_what_is_no_number(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, made(1))
    for bad in (float("nan"), float("inf"), -float("inf")):
        wrong = made(2, step=7)
        wrong.tensors["model"]["w"][1] = bad
        with pytest.raises(NumbersError, match=r"`w` \(model\) .* after epoch 2, step 7") as caught:
            checkpoints.save(tmp_path, wrong)
        assert caught.value.exit_code == 4
    assert names(tmp_path) == ["epoch-0001"]
    large = made(2)
    large.tensors["model"]["w"].fill_(3e38)  # their sum is not finite, they are
    checkpoints.save(tmp_path, large)
    assert names(tmp_path) == ["epoch-0001", "epoch-0002"]


def test_save__syncs_files_folder_rename_and_parent_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(descriptor: int) -> None:
        told.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        told.append(f"{Path(source).name} -> {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    checkpoints.save(tmp_path, made(1))
    fresh = ".epoch-0001.partial"
    files = ["model.safetensors", "best.safetensors", "manifest.json"]
    assert told == [*files, fresh, f"{fresh} -> epoch-0001", tmp_path.name]


def test_save__the_same_position_twice_leaves_one(tmp_path: Path) -> None:
    for epoch in (1, 2, 2):
        checkpoints.save(tmp_path, made(epoch))
    assert names(tmp_path) == ["epoch-0001", "epoch-0002"]


def test_save__an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MachineError, match="cannot write the checkpoint") as caught:
        checkpoints.save(tmp_path / "file" / "checkpoints", made(1))
    assert "file" in caught.value.faults[0].where


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_restore_optimiser__goes_on_to_the_same_bits(kind: type[torch.optim.Optimizer]) -> None:
    def weights(interrupted: bool) -> list[float]:
        parameter = torch.nn.Parameter(torch.ones(4))
        options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
        optimiser = kind([parameter], lr=0.1, **options)
        for step in range(6):
            if interrupted and step == 3:
                saved = checkpoints.optimiser_tensors(optimiser)
                optimiser = kind([parameter], lr=0.1, **options)
                checkpoints.restore_optimiser(optimiser, saved)
            (parameter * torch.arange(4.0)).square().sum().backward()
            optimiser.step()
            optimiser.zero_grad()
        return parameter.tolist()

    assert weights(interrupted=True) == weights(interrupted=False)
