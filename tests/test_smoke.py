"""The whole line through the command line, for every task: `--smoke` on a small sample set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl.recipe.schema import load_recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
FILES = (
    "recipe.yaml",
    "dataset.json",
    "findings.json",
    "profile.json",
    "plan.yaml",
    "provenance.json",
    "journal.jsonl",
    "model/weights.safetensors",
    "model/model.json",
    "predictions/predictions.jsonl",
    "metrics.json",
    "evaluation.json",
    "report.html",
    "record.json",
)


def automl(folder: Path, *arguments: object, code: int = 0) -> str:
    elsewhere = ("AUTOML_RUNS", "MLFLOW_TRACKING_URI")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    done = subprocess.run(
        [sys.executable, "-m", "automl", *map(str, arguments)],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def workspace(folder: Path, task: str) -> Path:
    """The recipe of the sample set, as a user has it: in `recipes`, beside `data`."""
    (folder / "recipes").mkdir()
    recipe = folder / "recipes" / f"digits-{task}.yaml"
    recipe.write_bytes((RECIPES / recipe.name).read_bytes())
    automl(folder, "sample", recipe.stem, load_recipe(recipe).data.path, "--images", 60)
    return recipe


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_run__smoke_walks_the_whole_line(tmp_path, task):
    recipe = workspace(tmp_path, task)
    run = json.loads(automl(tmp_path, "run", recipe, "--smoke", "--json"))
    folder = Path(run["folder"])
    missing = [name for name in FILES if not (folder / name).is_file()]
    assert not missing
    assert run["state"] == "finished"
    assert run["task"] == task
    assert 0 <= run["scores"][run["scores"]["primary"]] <= 1
    assert run["record"]["mlflow"]["run_id"]
    assert (tmp_path / "mlflow.db").is_file()
    assert run["run"] in automl(tmp_path, "runs")
    assert json.loads(automl(tmp_path, "show", "latest", "--json")) == run
    assert not list(tmp_path.glob("automl-crash-*"))
    check_predictions(tmp_path, run, task)


def check_predictions(folder: Path, run: dict, task: str) -> None:
    """By the bundle alone: the data and the recipe are gone."""
    sample = json.loads((Path(run["folder"]) / "dataset.json").read_text())
    image = folder / sample["root"] / sample["samples"][0]["path"]
    picture = (folder / "one").with_suffix(image.suffix)
    picture.write_bytes(image.read_bytes())
    for name in ("data", "recipes"):
        (folder / name).rename(folder / f"{name}-gone")
    options = ["--out", "found", "--draw", "--min-confidence", 0]
    assert automl(folder, "predict", run["bundle"], picture, *options).startswith("found/")
    line = json.loads((folder / "found/predictions.jsonl").read_text())
    assert line["path"] == str(picture)
    assert (folder / "found/drawn" / f"{picture.stem}.png").is_file()
    names = {c["name"] for c in sample["classes"]}
    match task:
        case "classification":
            assert line["class"] in names
            assert sum(line["probabilities"].values()) == pytest.approx(1, abs=0.01)
        case "detection":
            assert {box["class"] for box in line["boxes"]} <= names
        case "segmentation":
            assert sum(c["share"] for c in line["classes"]) == pytest.approx(1, abs=0.01)
            assert (folder / "found" / line["mask"]).is_file()


def test_stages__one_by_one_leave_what_run_leaves(tmp_path):
    recipe = workspace(tmp_path, "classification")
    automl(tmp_path, "prepare", recipe, "--smoke", "--run-dir", "runs/mine")
    table = automl(tmp_path, "plan", recipe, "--smoke", "--run-dir", "runs/mine")
    assert "train.epochs" in table
    for stage in ("train", "evaluate", "report", "record"):
        automl(tmp_path, stage, "mine")
    missing = [name for name in FILES if not (tmp_path / "runs/mine" / name).is_file()]
    assert not missing
