"""What starting the program costs: a fact about imports, and a tolerant look at the clock."""

import os
import resource
import subprocess
import sys

import pytest
from typer.main import get_command

from automl.cli import app
from automl.data.samples import write_sample

HEAVY = {"numpy", "pydantic", "yaml", "torch", "mlflow", "rich", "cv2", "PIL", "dvc", "timm"}
NOT_FOR_A_STEP = {
    "sklearn", "pandas", "mlflow", "matplotlib", "albumentations", "scipy", "dvc", "jinja2",
    "ultralytics", "segmentation_models_pytorch", "onnxruntime", "onnx",
}  # fmt: skip
VERBS = list(get_command(app).commands)


def imported(*arguments: str, code: int = 0) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-m", "automl", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr[-2000:]
    assert done.stdout or code
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], *[[v, "-h"] for v in VERBS]])
def test_help__imports_nothing_heavy(arguments):
    found = imported(*arguments)
    assert "typer" in found, "the list of imports was not read"
    assert not found & HEAVY


def test_runs__is_answered_without_arrays_or_nets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not imported("runs") & {"torch", "mlflow", "timm", "cv2", "dvc", "numpy"}


def test_recipe_fault__is_told_without_arrays_nets_or_the_pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("task: classification\ndata: x\nmodle: auto\n")
    found = imported("run", "recipe.yaml", code=2)
    assert "pydantic" in found
    assert not found & {"torch", "numpy", "mlflow", "timm", "cv2", "PIL", "dvc"}


def test_training__loads_only_what_its_steps_need(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sample("digits-classification", tmp_path / "digits", images=40)
    (tmp_path / "recipe.yaml").write_text(
        "task: classification\ndata: digits\nmodel: test_resnet\nweights: none\n"
        "track: {mlflow: 'off', dvc: 'off'}\ntrain: {epochs: 1, image_size: 32}\n"
    )
    planning = imported("plan", "recipe.yaml", "--run-dir", "run", "--device", "cpu")
    training = imported("train", "run")
    assert {"torch", "timm"} <= training
    assert not planning & NOT_FOR_A_STEP
    assert not training & NOT_FOR_A_STEP


def test_help__costs_little_more_than_typer(tmp_path):
    """Byte code is kept, as an installation keeps it: compiling the sources costs as much again."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def cpu_seconds(*arguments: str) -> float:
        command = [sys.executable, *arguments]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    help_, typer = ("-m", "automl", "--help"), ("-c", "import typer")
    cpu_seconds(*help_)
    assert list(tmp_path.rglob("cli.*.pyc")), "no byte code was kept"
    rounds = [(cpu_seconds(*help_), cpu_seconds(*typer)) for _ in range(5)]
    ours, theirs = (min(times) for times in zip(*rounds, strict=True))
    assert ours <= 1.8 * theirs, rounds
