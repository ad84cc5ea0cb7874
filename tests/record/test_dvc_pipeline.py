"""`dvc.yaml` of the checkout, run by the real `dvc` in a real repository with tiny settings."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

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
