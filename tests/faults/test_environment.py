"""Places that cannot be written to, and disks that are too small: a word before, or no matter."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from automl.engines.disk_space import check, needed_bytes
from automl.errors import MachineError
from automl.run_dir import RunDir
from tests.engines.toy import draw_set, plan_of, toy_plan
from tests.faults.forked import Fault, Moment, automl, done

RECIPE = """task: {task}
data: data
model: {model}
weights: none
train: {{epochs: 1, batch_size: 8, image_size: {size}, workers: 0, threads: 1}}
{more}
"""


def tool(*command: object) -> bool:
    if shutil.which(str(command[0])) is None:
        return False
    return subprocess.run([str(c) for c in command], capture_output=True).returncode == 0


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """Even for root, whom permissions do not hold up."""
    if not tool("chattr", "-R", "+i", folder):
        pytest.skip("no right to make a folder unchangeable")
    try:
        with pytest.raises(OSError):
            (folder / "x").write_text("")
        yield
    finally:
        tool("chattr", "-R", "-i", folder)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    if not tool("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("no right to mount a small disk")
    try:
        yield
    finally:
        tool("umount", folder)


@pytest.fixture
def workspace(tmp_path) -> Path:
    done(tmp_path, "sample", "digits-classification", "data", "--images", 24, "--size", 16)
    write_recipe(tmp_path)
    return tmp_path


def write_recipe(
    folder: Path, task: str = "classification", model: str = "test_resnet", more: str = ""
) -> None:
    size = 64 if task == "detection" else 32
    (folder / "r.yaml").write_text(RECIPE.format(task=task, model=model, size=size, more=more))


def verb(
    folder: Path, *arguments: str, without: tuple[str, ...] = (), **changed: str
) -> subprocess.CompletedProcess[str]:
    """A program that has imported nothing yet."""
    hidden = ("AUTOML_RUNS", "MLFLOW_TRACKING_URI", "MPLCONFIGDIR", "XDG_CONFIG_HOME", *without)
    environment = {n: v for n, v in os.environ.items() if n not in hidden} | changed
    command = [sys.executable, "-m", "automl", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400
    )


def test_data_home_and_temporary_folder__may_all_be_read_only(workspace):
    (workspace / "sealed").mkdir()
    sealed = str(workspace / "sealed")
    with ExitStack() as stack:
        for name in ("data", "sealed"):
            stack.enter_context(unwritable(workspace / name))
        ended = verb(workspace, "run", "r.yaml", "--device", "cpu", HOME=sealed, TMPDIR=sealed)
        assert not list((workspace / "sealed").iterdir())
    assert ended.returncode == 0, ended.stderr
    assert "mlflow.db" in {path.name for path in workspace.iterdir()}
    for word in ("Traceback", "Errno", "atplotlib", "Warning"):
        assert word not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["native", "yolo"])
@pytest.mark.parametrize("home", ["none", "sealed/nowhere", "sealed"])
def test_home__is_not_needed(workspace, engine, home):
    if engine == "yolo":
        pytest.importorskip("ultralytics")
        shutil.rmtree(workspace / "data")
        done(workspace, "sample", "digits-detection", "data", "--images", 20, "--size", 64)
        write_recipe(workspace, "detection", "yolo11n", "licence: any")
    (workspace / "sealed").mkdir()
    without = ("HOME",) if home == "none" else ()
    where = {} if home == "none" else {"HOME": str(workspace / home)}
    with ExitStack() as stack:
        for name in ("data", "sealed"):
            stack.enter_context(unwritable(workspace / name))
        where["TMPDIR"] = str(workspace / "sealed")
        ended = verb(workspace, "run", "r.yaml", "--device", "cpu", without=without, **where)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [("run", "--resume", "mine"), ("train", "mine")])
def test_a_run_folder_that_is_read_only__is_refused_at_once(tmp_path, arguments):
    folder = tmp_path / "runs/mine"
    folder.mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (folder / "recipe.yaml").write_text("task: detection\ndata: ../../data\n")
    (folder / ".lock").write_text("")  # left by a kill; it alone could be opened
    with unwritable(folder):
        began = time.monotonic()
        ended = verb(tmp_path, *arguments)
        took = time.monotonic() - began
    assert ended.returncode == 3, ended.stderr
    assert "error: cannot write to the run folder: operation not permitted" in ended.stderr
    assert f"  {folder}\n" in ended.stderr
    assert "hint: " in ended.stderr
    assert took < 4


def test_a_disk_that_is_too_small__is_refused_before_training(workspace):
    run = ["run", "r.yaml", "--run-dir", "disk/mine", "--device", "cpu"]
    write_recipe(workspace, more="track: {mlflow: off, dvc: off}")
    with small_disk(workspace / "disk", "512k"):
        said = done(workspace, *run, code=3)
        found = re.search(r"the training takes ([\d,]+) bytes, ([\d,]+) are free", said)
        needed, free = (int(number.replace(",", "")) for number in found.groups())
        assert free < 512 * 1024 < needed
        assert f"  {workspace / 'disk/mine'}\n" in said
        assert not list((workspace / "disk/mine").glob("checkpoints/epoch-*"))
        assert "epoch 1/1" not in said
        assert tool("mount", "-o", f"remount,size={needed + free}", workspace / "disk")
        done(workspace, *run)  # what it asked for is enough


@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_needed_bytes__grows_with_net_and_set(tmp_path, task):
    few, many = (draw_set(task, tmp_path / str(n), 4, n) for n in (4, 40))
    small = needed_bytes(toy_plan(task, few), few)
    assert needed_bytes(toy_plan(task, many), many) > small
    large = plan_of("classification", model="resnet50")
    assert 16 * 23e6 * 4 < needed_bytes(large, few) < 17 * 25e6 * 4


def test_check__counts_what_will_be_replaced(tmp_path):
    dataset = draw_set("classification", tmp_path / "data", 4, 4)
    plan, run = toy_plan("classification", dataset), RunDir(tmp_path / "disk")
    needed = needed_bytes(plan, dataset)
    part = bytes(needed * 6 // 10)
    with small_disk(run.root, str(needed * 12 // 10)):
        check(plan, dataset, run)
        (run.root / "films").write_bytes(part)
        with pytest.raises(MachineError, match="too little room"):
            check(plan, dataset, run)
        (run.root / "films").unlink()
        run.checkpoints.mkdir()
        (run.checkpoints / "epoch-0001").write_bytes(part)
        check(plan, dataset, run)


def test_plan__leaves_no_temporary_folder(workspace):
    """Not even where it is stopped in the middle."""
    (workspace / "tmp").mkdir()
    fault = Fault(Moment("pipeline.py:plan", "*/profile.json"), signal.SIGTERM)
    stopped = automl(workspace, "plan", "r.yaml", fault=fault, TMPDIR=str(workspace / "tmp"))
    assert stopped.wait() == 75, stopped.text
    assert stopped.mark.exists()
    assert "hint: run `automl plan r.yaml` again" in stopped.text
    assert not list((workspace / "tmp").iterdir())
