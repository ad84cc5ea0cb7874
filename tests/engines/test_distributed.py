"""Two processes under torchrun train the model that one process trains."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from automl.engines import distributed
from automl.model.build import build
from automl.planning.backbones import find
from tests.engines.toy import draw_set

RECIPE = """
task: classification
data: data
model: test_resnet
weights: none
augment: light
track: {mlflow: "off", dvc: "off"}
train:
  {epochs: 2, image_size: 64, batch_size: 8, micro_batch: 4, optimiser: sgd, lr: 0.05,
   ema: 0.9, threads: 1}
"""


def class_folders(folder: Path) -> None:
    dataset = draw_set("classification", folder / "drawn", train=32, val=8)
    for sample in dataset.samples:
        target = folder / "data" / sample.split / dataset.names[sample.label or 0] / sample.path
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / "drawn" / sample.path).rename(target)


def run(folder: Path, launcher: list[str], name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, "-m", "automl", "run", "recipe.yaml", "--run-dir", name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_torchrun__two_processes_train_what_one_trains(tmp_path: Path, weights: str) -> None:
    class_folders(tmp_path)
    if weights == "balanced":  # so that the weights of two classes differ
        first = min(p for p in (tmp_path / "data/train").iterdir() if p.is_dir())
        for image in sorted(first.iterdir())[1::2]:
            image.unlink()
    recipe = RECIPE.replace("threads: 1", f"threads: 1, class_weights: {weights}")
    (tmp_path / "recipe.yaml").write_text(recipe)
    for launcher, name in (([], "one"), (TORCHRUN, "two")):
        done = run(tmp_path, launcher, name)
        assert done.returncode == 0, done.stderr
    one, two = (load_file(tmp_path / n / "model" / "weights.safetensors") for n in ("one", "two"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        # Batch statistics are rank 0's alone; what the gradients made differs by rounding only.
        if "running" not in name and "num_batches" not in name:
            apart = float((tensor - two[name]).abs().max())
            assert apart < 1e-4, f"{name} differs by {apart}"
    begun, shared = (events_of(tmp_path / n, "epoch") for n in ("one", "two"))
    assert len(begun) == len(shared) == 2  # one process records, the other helps
    for alone, together in zip(begun, shared, strict=True):
        assert together["losses"] == pytest.approx(alone["losses"], abs=1e-4)


def store_of_weights(folder: Path) -> None:
    """As if a tiny net had been pretrained."""
    torch.manual_seed(0)
    net = build(find("test_resnet", "classification"), 1000, (64, 64))
    folder.mkdir()
    save_file(net.state_dict(), folder / "test_resnet.safetensors")


def events_of(run: Path, kind: str) -> list[dict]:
    events = map(json.loads, (run / "journal.jsonl").read_text().splitlines())
    return [event for event in events if event["event"] == kind]


def last_weights(run: Path) -> dict[str, torch.Tensor]:
    """Of the newest checkpoint, without the statistics of batches: those are rank 0's alone."""
    (*_, newest) = sorted((run / "checkpoints").glob("epoch-*/model.safetensors"))
    return {k: v for k, v in load_file(newest).items() if "running" not in k and "num_" not in k}


@pytest.mark.slow
@pytest.mark.parametrize("more", ["beat_instant_within: 0", "backbone_lr: 0"])
def test_torchrun__two_processes_have_the_instant_answer_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """One of them finds it; both fine-tune from it, or end with it."""
    class_folders(tmp_path)
    store_of_weights(tmp_path / "weights")
    monkeypatch.setenv("AUTOML_WEIGHTS", str(tmp_path / "weights"))
    pretrained = RECIPE.replace("weights: none", "weights: pretrained")
    (tmp_path / "recipe.yaml").write_text(pretrained.replace("{epochs", f"{{{more}, epochs"))
    for launcher, name in (([], "one"), (TORCHRUN, "two")):
        done = run(tmp_path, launcher, name)
        assert done.returncode == 0, done.stderr
    one, two = (tmp_path / "one", tmp_path / "two")
    begun, shared = (events_of(run, "epoch") for run in (one, two))
    assert [e["epoch"] for e in begun] == [e["epoch"] for e in shared]
    assert len(begun) == (3 if "beat" in more else 1)
    assert begun[0]["metrics"] == shared[0]["metrics"]
    first, second = (events_of(run, "instant") for run in (one, two))
    assert first[-1].get("first_loss") == second[-1].get("first_loss")
    weights = last_weights(two)
    for name, tensor in last_weights(one).items():
        apart = float((tensor - weights[name]).abs().max())
        assert apart < 1e-3 * max(1.0, float(tensor.abs().max())), f"{name} differs by {apart}"


def test_torchrun__an_engine_with_its_own_trainer_is_refused(tmp_path: Path) -> None:
    from automl.engines.torchrun import announce
    from automl.errors import UsageError
    from automl.run_dir import RunDir
    from tests.engines.toy import toy_plan

    dataset = draw_set("detection", tmp_path / "data", train=2, val=2)
    plan = toy_plan("detection", dataset).model_copy(update={"engine": "yolo"})
    announce(RunDir(tmp_path), plan, images=2)  # alone: nothing to tell
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WORLD_SIZE": "2", "RANK": "0", "TORCHELASTIC_RUN_ID": "x"}.items():
            patch.setenv(name, value)
        with pytest.raises(UsageError, match="trained by one process"):
            announce(RunDir(tmp_path), plan, images=2)


def test_torchrun__more_processes_than_images_in_a_batch_are_refused(tmp_path: Path) -> None:
    class_folders(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("size: 8, micro_batch: 4", "size: 1"))
    done = run(tmp_path, TORCHRUN, "run")
    assert "a batch of 1 images cannot be shared by 2 processes" in done.stderr


@pytest.mark.parametrize(
    ("cards", "device", "refused"), [(1, "cuda:0", True), (2, "cuda:0", False), (1, "cpu", False)]
)
def test_torchrun__each_process_needs_a_card_of_its_own(
    monkeypatch, cards, device, refused
) -> None:
    from automl.engines.distributed import refuse_shared_cards
    from automl.errors import UsageError

    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    if not refused:
        refuse_shared_cards(device)
        return
    with pytest.raises(UsageError, match="2 processes need a card each, and this machine has 1"):
        refuse_shared_cards(device)


def test_join_group__waits_for_a_first_process_that_reads_a_large_set(monkeypatch) -> None:
    asked = {}
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda *_, **given: asked.update(given)
    )
    told = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "x"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert distributed.join_group().size == 2
    assert asked["timeout"] > timedelta(days=1)


def test_others_followed__who_has_gone_is_told_in_one_line() -> None:
    from automl.errors import MachineError

    gone = "[/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer"
    with pytest.raises(MachineError, match="another process"), distributed.others_followed():
        raise RuntimeError(gone)
    with pytest.raises(RuntimeError, match="of its own"), distributed.others_followed():
        raise RuntimeError("a fault of its own")


@pytest.mark.slow
def test_torchrun__the_stage_alone_is_told_of_once(tmp_path: Path) -> None:
    class_folders(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for launcher, verb in (([], ["plan", "recipe.yaml", "--run-dir"]), (TORCHRUN, ["train"])):
        command = [sys.executable, *launcher, "-m", "automl", *verb, "two"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["two/model"]
    for kind, count in (("start", 1), ("epoch", 2), ("trained", 1)):
        assert len(events_of(tmp_path / "two", kind)) == count
