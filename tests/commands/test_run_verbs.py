"""The verbs about finished runs from the command line: what they say, and what they do not load."""

import json
import shutil
import subprocess
import sys

import pytest

from automl.cli import app
from automl.commands.exit_codes import exit_code
from tests.report.made_run import make_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOML_RUNS", raising=False)
    made = make_run(tmp_path, "classification")
    made.recipe.write_text("task: classification\ndata: ../../shapes\n")
    return made


@pytest.fixture
def automl(monkeypatch, capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["automl", *map(str, arguments)])
        code = exit_code(app)
        return code, *capsys.readouterr()

    return run


def test_runs__filters_and_json(run, automl):
    code, shown, _ = automl("runs", "--task", "classification", "--recipe", "SHAPES", "--best", 1)
    assert (code, run.id in shown) == (0, True)
    assert automl("runs", "--task", "detection")[1] == "no run matches; `automl runs` lists all\n"
    facts = json.loads(automl("runs", "--sort", "score", "--limit", 1, "--json")[1])
    assert facts[0]["id"] == run.id
    assert {"folder", "started", "state", "task", "model", "metric", "score", "seconds"} <= set(
        facts[0]
    )
    assert facts[0]["recipe"] == "shapes-classification"
    code, _, said = automl("runs", "--since", "yesterday")
    assert code == 2
    assert "`yesterday` is not a time" in said


def test_show__says_where_a_run_comes_from(run, automl):
    shown = automl("show", run.id)[1]
    assert "commit 8f8f8f8f8f8f and uncommitted changes" in shown
    assert "An x86 processor, cpu, 2 threads, seed 0" in shown
    assert "1 time; last after: stopped by SIGTERM" in shown
    origin = json.loads(automl("show", run.id, "--json")[1])["origin"]
    assert (origin["determinism"], origin["restarts"]) == ("bits", 1)


def test_compare__two_runs(run, automl):
    shutil.copytree(run.root, run.root.with_name("other"))
    code, shown, _ = automl("compare", run.id, "other")
    assert code == 0
    assert "no difference in recipe" in shown
    facts = json.loads(automl("compare", run.id, "other", "--json")[1])
    assert facts["comparable"] is True
    assert automl("compare", run.id, "nobody")[0] == 2


def test_gc__touches_nothing_unless_told(run, automl):
    (run.checkpoints / "epoch-0001").mkdir(parents=True)
    code, shown, _ = automl("gc")
    assert code == 0
    assert "nothing to remove" in shown
    facts = json.loads(automl("gc", "--json")[1])
    assert facts["left"][0]["name"] == run.id
    assert (run.checkpoints / "epoch-0001").is_dir()


def test_reproduce__a_run_that_is_not_done(run, automl):
    run.metrics.unlink()
    code, _, said = automl("reproduce", run.id)
    assert code == 2
    assert "`metrics.json` does not exist yet" in said


@pytest.mark.parametrize("words", [["show"], ["compare", "latest", "latest"], ["gc"]])
def test_verbs__load_neither_arrays_nor_nets(run, words):
    command = [sys.executable, "-X", "importtime", "-m", "automl", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    found = {line.rpartition("|")[2].strip().split(".")[0] for line in lines}
    assert "automl" in found
    assert not found & {"torch", "numpy", "pydantic", "mlflow", "cv2", "timm", "dvc"}
