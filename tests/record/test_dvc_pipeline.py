"""`dvc.yaml` of the checkout, run by the real `dvc` in a real repository with tiny settings."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from automl.record import journal
from automl.record.dvc_workspace import dvc_command
from tests.record.test_dvc_workspace import dvc, sh

CHECKOUT = Path(__file__).parents[2]
STAGES = ["sample", "prepare", "plan", "train", "evaluate", "report", "record"]


@pytest.fixture
def project(workspace, template_repository, template_store, monkeypatch):
    """A clone of what the pipeline needs, with a recipe that trains in a second."""
    shutil.copytree(template_repository, workspace, dirs_exist_ok=True)
    for name in ("dvc.yaml", ".gitignore"):
        shutil.copy(CHECKOUT / name, workspace)
    shutil.copytree(CHECKOUT / "recipes", workspace / "recipes")
    shutil.copy(template_store, workspace / "mlflow.db")
    params = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    params["sample"]["options"]["images"] = 60
    params["set"] |= {"model": "test_efficientnet", "weights": "none"}
    params["set"]["train"] = {"epochs": 2, "image_size": [32, 32], "threads": 1}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    sh("git", "add", "--all")
    sh("git", "commit", "-qm", "project")
    return workspace


def change(section: str, **values) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    place = params
    for key in section.split("."):
        place = place[key]
    place.update(values)
    Path("params.yaml").write_text(yaml.safe_dump(params))


def ran(output: str) -> list[str]:
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def test_repro__runs_the_line_once_and_then_nothing(project):
    assert ran(dvc("repro")) == STAGES

    assert ran(dvc("repro")) == []
    assert dvc("status", "--json").strip() == "{}"
    shown = json.loads(dvc("metrics", "show", "--json"))
    metrics = shown[""]["data"]["runs/dvc/metrics.json"]["data"]
    assert 0 <= metrics["accuracy"] <= 1
    dvc("plots", "show")
    page = Path("dvc_plots/index.html").read_text()
    assert "Loss by epoch" in page
    assert "Validation score by epoch" in page
    record = json.loads(Path("runs/dvc/record.json").read_text())
    lock = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    model = next(o for o in lock["train"]["outs"] if o["path"] == "runs/dvc/model")
    assert record["dvc"]["model"]["md5"] == model["md5"]
    assert record["dvc"]["data"]["md5"] == lock["sample"]["outs"][0]["md5"]
    assert record["mlflow"]["model"] == "automl-digits-classification"
    sh("git", "add", "--all")
    added = set(sh("git", "diff", "--cached", "--name-only").split())
    plots = {"classes.csv", "confusion.csv", "epochs.csv"}
    assert added == {
        "dvc.lock",
        "runs/dvc/metrics.json",
        *(f"runs/dvc/plots/{name}" for name in plots),
    }


@pytest.mark.slow
def test_repro__a_change_runs_what_depends_on_it(project):
    dvc("repro")
    weights = Path("runs/dvc/model/weights.safetensors")
    first = weights.read_bytes()

    change("set", goal={"metric": "accuracy", "at_least": 0.0})
    assert ran(dvc("repro")) == ["plan", "evaluate", "report", "record"]
    assert weights.read_bytes() == first

    change("set.train", lr=0.01)
    assert ran(dvc("repro")) == ["plan", "train", "evaluate", "report", "record"]
    assert weights.read_bytes() != first

    change("set.data", split={"val": 0.3})  # of no effect, for the sample brings its splits
    stages = ran(dvc("repro"))
    assert stages[:2] == ["prepare", "plan"]
    assert "train" not in stages

    change("sample.options", seed=1)
    assert ran(dvc("repro")) == STAGES


@pytest.mark.slow
def test_exp_run__push__pull(project, tmp_path):
    dvc("repro")
    sh("git", "add", "--all")
    sh("git", "commit", "-qm", "run")
    assert ran(dvc("exp", "run", "-S", "set.train.epochs=1")) == [
        *("plan", "train", "evaluate", "report", "record")
    ]
    assert yaml.safe_load(Path("runs/dvc/plan.yaml").read_text())["train"]["epochs"] == 1
    shown = json.loads(dvc("exp", "show", "--json"))
    assert "runs/dvc/metrics.json" in json.dumps(shown)

    sh("git", "add", "--all")
    sh("git", "commit", "-qm", "fewer epochs")
    dvc("remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    sh("git", "commit", "-qam", "shelf")
    dvc("push")
    clone = tmp_path / "clone"
    sh("git", "clone", "-q", str(project), str(clone))
    os.chdir(clone)
    dvc("pull")
    weights = Path("runs/dvc/model/weights.safetensors")
    assert weights.read_bytes() == (project / weights).read_bytes()
    assert list(Path("data/dvc/digits-classification").rglob("*.png"))
    assert ran(dvc("repro")) == []


def weights() -> str:
    return hashlib.sha256(Path("runs/dvc/model/weights.safetensors").read_bytes()).hexdigest()


def interrupted(stop: int, after_epochs: int) -> int:
    """`dvc repro train`, stopped with its process group once so many epochs are in the journal."""
    command = dvc_command()
    assert command
    words = [command, "repro", "train"]
    child = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and child.poll() is None:
        if len(epochs()) >= after_epochs:
            os.killpg(child.pid, stop)
            break
        time.sleep(0.02)
    code = child.wait(60)
    while any(Path("runs/dvc").glob(".*.partial")) and time.monotonic() < deadline:
        time.sleep(0.1)
    return code


def epochs() -> list[int]:
    path = Path("runs/dvc/journal.jsonl")
    return [e["epoch"] for e in journal.read(path) if e["event"] == "epoch"]


def events(name: str) -> list[dict]:
    return [e for e in journal.read(Path("runs/dvc/journal.jsonl")) if e["event"] == name]


def stopped_then_repeated(stop: int) -> None:
    """Trains straight for the bits, then again under a signal: all is as if there was none."""
    change("set.train", epochs=5)
    dvc("repro", "train")
    straight = weights()
    shutil.rmtree("runs/dvc")  # nothing is left but DVC's own cache
    shutil.rmtree(".dvc/cache/runs")
    Path("dvc.lock").unlink()

    assert interrupted(stop, after_epochs=2) != 0
    assert 2 <= len(epochs()) < 5
    assert not events("trained")

    assert ran(dvc("repro", "train"))[-1:] == ["train"]

    assert epochs() == [1, 2, 3, 4, 5]
    assert len(events("start")) == 2
    assert weights() == straight
    restarts = json.loads(Path("runs/dvc/provenance.json").read_text())["restarts"]
    assert len(restarts) == 1
    assert ran(dvc("repro", "train")) == []


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_repro__interrupted_and_repeated_goes_on_to_the_same_bits(project, stop):
    stopped_then_repeated(stop)


@pytest.mark.slow
def test_repro__by_force_trains_again(project):
    dvc("repro", "train")
    first, began = weights(), events("start")[0]["time"]
    dvc("repro", "--force", "--single-item", "train")
    assert events("start")[0]["time"] > began
    assert epochs() == [1, 2]
    assert events("start")[0]["anew"]
    assert weights() == first


@pytest.mark.slow
def test_exp_queue__three_experiments(project):
    dvc("repro")
    sh("git", "add", "--all")
    sh("git", "commit", "-qm", "run")
    for number in (1, 3, 4):
        dvc("exp", "run", "--queue", "--name", f"for-{number}", "-S", f"set.train.epochs={number}")
    dvc("exp", "run", "--run-all")
    shown = json.loads(dvc("exp", "show", "--json"))
    names = {e["name"]: e for base in shown for e in base["experiments"] or () for e in e["revs"]}
    assert set(names) == {"for-1", "for-3", "for-4"}
    for entry in names.values():
        metrics = entry["data"]["metrics"]["runs/dvc/metrics.json"]["data"]
        assert 0 <= metrics["accuracy"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_repro__the_other_tasks(project, task):
    name = f"digits-{task}"
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["recipe"] = f"recipes/{name}.yaml"
    params["sample"] |= {"name": name, "dir": f"data/dvc/{name}"}
    params["set"]["data"]["path"] = f"data/dvc/{name}"
    params["set"]["model"] = {"detection": "fcos", "segmentation": "unet"}[task] + "-test_resnet"
    params["set"]["train"] |= {"epochs": 1, "image_size": [64, 64]}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert ran(dvc("repro")) == STAGES
    assert ran(dvc("repro")) == []
    assert json.loads(dvc("metrics", "show", "--json"))
