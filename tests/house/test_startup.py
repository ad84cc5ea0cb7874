"""What starting the program costs: a fact about imports, and a tolerant look at the clock."""

import resource
import subprocess
import sys

import pytest
from typer.main import get_command

from automl.cli import app

HEAVY = {"numpy", "pydantic", "yaml", "torch", "mlflow", "rich", "cv2", "PIL", "dvc", "timm"}
VERBS = list(get_command(app).commands)


def imported(*arguments: str) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-m", "automl", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout
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


def test_help__costs_little_more_than_typer():
    def cpu_seconds(*arguments: str) -> float:
        took = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(took)

    assert cpu_seconds("-m", "automl", "--help") <= 1.8 * cpu_seconds("-c", "import typer")
