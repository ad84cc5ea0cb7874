"""Two processes under torchrun train the model that one process trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

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


def test_torchrun__two_processes_train_what_one_trains(tmp_path: Path) -> None:
    class_folders(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
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
    journal = (tmp_path / "two" / "journal.jsonl").read_text()
    assert journal.count('"event": "epoch"') == 2  # one process records, the other helps


def test_torchrun__an_engine_with_its_own_trainer_is_refused(tmp_path: Path) -> None:
    from automl.engines.together import announce
    from automl.errors import UsageError
    from automl.run_dir import RunDir
    from tests.engines.toy import toy_plan

    dataset = draw_set("detection", tmp_path / "data", train=2, val=2)
    plan = toy_plan("detection", dataset).model_copy(update={"engine": "yolo"})
    announce(RunDir(tmp_path), plan)  # alone: nothing to tell
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WORLD_SIZE": "2", "RANK": "0", "TORCHELASTIC_RUN_ID": "x"}.items():
            patch.setenv(name, value)
        with pytest.raises(UsageError, match="trained by one process"):
            announce(RunDir(tmp_path), plan)
