from pathlib import Path

import pytest
import torch

from automl.engines import checkpoint as checkpoints
from automl.engines.checkpoint import Checkpoint
from automl.errors import MachineError


def made(epoch: int) -> Checkpoint:
    tensors = {"model": {"w": torch.full((3,), float(epoch))}, "best": {}}
    return Checkpoint(epoch, tensors, {"step": epoch * 10})


def test_newest__gives_back_what_was_saved_and_keeps_one(tmp_path: Path) -> None:
    for epoch in (1, 2, 10):
        checkpoints.save(tmp_path, made(epoch))
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert (found.epoch, found.facts) == (10, {"step": 100})
    assert found.tensors["model"]["w"].tolist() == [10.0] * 3
    assert [p.name for p in tmp_path.iterdir()] == ["epoch-0010"]


def test_newest__passes_over_a_torn_one(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, made(1))
    keep = tmp_path / "epoch-0001"
    keep.rename(tmp_path / "kept")
    checkpoints.save(tmp_path, made(2))
    (tmp_path / "kept").rename(keep)
    torn = tmp_path / "epoch-0002" / "model.safetensors"
    torn.write_bytes(torn.read_bytes()[:-4])
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.epoch == 1


def test_newest__none_without_a_manifest(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, made(1))
    (tmp_path / "epoch-0001" / "manifest.json").unlink()
    assert checkpoints.newest(tmp_path) is None
    assert checkpoints.newest(tmp_path / "absent") is None


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
