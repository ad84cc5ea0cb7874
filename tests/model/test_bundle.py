import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch

from automl.dataset import Class
from automl.errors import MachineError, UsageError
from automl.model.bundle import Bundle, buildable, load_state, read, row, save
from automl.model.preprocess import Preprocess
from automl.planning.backbones import find


@pytest.fixture
def bundle():
    return Bundle(
        task="classification",
        engine="native",
        backbone=asdict(find("test_resnet", "classification")),
        classes=(Class(7, "Ähre"), Class(3, "no")),
        preprocess=Preprocess((32, 48), "crop", (0.5, 0.5, 0.5), (0.5, 0.25, 0.5)),
        licence="Apache-2.0",
        run="digits-20260101-000000",
        dataset_digest="abc",
        extra={"classes": 2},
    )


@pytest.fixture
def state():
    weight = torch.arange(6.0).reshape(2, 3)
    return {"weight": weight, "tied": weight, "turned": weight.T, "steps": torch.tensor(5)}


def test_save__reads_back_equal(tmp_path, bundle, state):
    saved = save(tmp_path / "model", bundle, state)
    assert read(tmp_path / "model") == saved
    assert saved.names == ["Ähre", "no"]
    loaded = load_state(tmp_path / "model")
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[k], state[k]) for k in state)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]
    files = sorted(p.name for p in (tmp_path / "model").iterdir())
    assert files == ["model.json", "weights.safetensors"]


def test_save__equal_states_give_equal_bytes(tmp_path, bundle, state):
    for name in "ab":
        save(tmp_path / name, bundle, state)
    for file in ("model.json", "weights.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_save__replaces_an_older_bundle(tmp_path, bundle, state):
    save(tmp_path / "model", bundle, state)
    (tmp_path / ".model.new").mkdir()  # what a killed save leaves
    save(tmp_path / "model", bundle, {"weight": torch.ones(1)})
    assert list(load_state(tmp_path / "model")) == ["weight"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]


def test_save__failure_keeps_the_older_bundle(tmp_path, bundle, state, monkeypatch):
    save(tmp_path / "model", bundle, state)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="disk is full: the model takes 76 bytes"):
        save(tmp_path / "model", bundle, {"weight": torch.ones(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert load_state(tmp_path / "model").keys() == state.keys()


def test_read__no_bundle(tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError, match="no model bundle") as caught:
            read(folder)
        assert caught.value.exit_code == 2
        assert caught.value.faults[0].hint


def test_read__later_format(tmp_path, bundle, state):
    save(tmp_path / "model", bundle, state)
    path = tmp_path / "model" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(UsageError, match="format 99") as caught:
        read(tmp_path / "model")
    assert "upgrade" in caught.value.faults[0].hint


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "\xff"])
def test_read__damaged_description(tmp_path, bundle, state, text):
    save(tmp_path / "model", bundle, state)
    (tmp_path / "model" / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match="damaged"):
        read(tmp_path / "model")


def test_load_state__damaged_weights(tmp_path, bundle, state):
    save(tmp_path / "model", bundle, state)
    path = tmp_path / "model" / "weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UsageError, match="SHA-256"):
        load_state(tmp_path / "model")
    path.write_bytes(whole[:-1])
    with pytest.raises(UsageError, match="size"):
        read(tmp_path / "model")
    path.unlink()
    with pytest.raises(UsageError, match="missing"):
        read(tmp_path / "model")


def test_load_state__numbers_that_are_none(tmp_path, bundle):
    save(tmp_path / "model", bundle, {"head": torch.tensor([1.0, float("nan")])})
    with pytest.raises(UsageError, match="`head` in `weights.safetensors`"):
        load_state(tmp_path / "model")


@pytest.mark.parametrize(("key", "value"), [("task", "poetry"), ("engine", "steam")])
def test_read__a_task_or_an_engine_that_there_is_not(tmp_path, bundle, state, key, value):
    save(tmp_path / "model", replace(bundle, **{key: value}), state)
    with pytest.raises(UsageError, match=value):
        read(tmp_path / "model")


def test_row__is_that_of_the_table(bundle):
    assert row(bundle) == find("test_resnet", "classification")


@pytest.mark.parametrize(
    "planted",
    [
        {"architecture": "hf-hub:somebody/something"},
        {"architecture": "local-dir:/tmp/something"},
        {"architecture": "../../something.pt"},
        {"task": "detection"},
        {"source": "ultralytics"},
        {"surprise": 1},
    ],
)
def test_row__takes_no_model_from_elsewhere(bundle, planted):
    with pytest.raises((ValueError, TypeError)):
        row(replace(bundle, backbone={**bundle.backbone, **planted}))


def test_buildable__turns_any_error_into_one_fault(tmp_path):
    expected = pytest.raises(UsageError, match="cannot be built: no such layer")
    with expected as caught, buildable(tmp_path):
        raise RuntimeError("no such layer\nand a long tail")
    assert "tail" not in str(caught.value)


def test_import__costs_no_torch():
    code = "import sys, automl.model.bundle; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
