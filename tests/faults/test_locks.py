"""One run folder, one process: the second is told who is there; a dead one holds nobody up."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from automl.errors import LockedError
from automl.lock import NAME, holder, locked, turn
from automl.run_dir import RunDir
from tests.faults.forked import automl, done

HOLD = "from automl.lock import locked; from pathlib import Path; import sys, time\n"
HOLD += "with locked(Path(sys.argv[1]), 'automl run r.yaml'):\n print('held', flush=True)\n"


class Other:
    """Another process that holds a folder."""

    def __init__(self, folder: Path, then: str = "time.sleep(60)") -> None:
        command = [sys.executable, "-c", f"{HOLD} {then}\n", str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self) -> "Other":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def verb(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {n: v for n, v in os.environ.items() if n != "AUTOML_RUNS"}
    command = [sys.executable, "-m", "automl", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def run(tmp_path) -> RunDir:
    """A folder that looks like a run's."""
    folder = RunDir(tmp_path / "runs/mine")
    folder.root.mkdir(parents=True)
    (tmp_path / "data").mkdir()
    folder.recipe.write_text("task: detection\ndata: ../../data\n")
    (tmp_path / "r.yaml").write_text("task: detection\ndata: data\n")
    return folder


def test_locked__says_who_holds_it_and_leaves_nothing(tmp_path):
    with locked(tmp_path, "automl train x"):
        by = json.loads((tmp_path / NAME).read_text())
        assert (by["pid"], by["host"]) == (os.getpid(), socket.gethostname())
        assert by["command"] == "automl train x"
        began = datetime.fromisoformat(by["started"])
        assert abs((datetime.now(UTC) - began).total_seconds()) < 5
        assert holder(tmp_path) is not None
    assert holder(tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--resume", "mine"),
        ("run", "r.yaml", "--run-dir", "runs/mine"),
        ("prepare", "r.yaml", "--run-dir", "runs/mine"),
        ("plan", "r.yaml", "--run-dir", "runs/mine"),
        ("train", "mine"),
        ("evaluate", "mine"),
        ("report", "mine"),
        ("record", "mine"),
    ],
)
def test_verbs_that_write__exit_6_at_once(tmp_path, run, arguments):
    with Other(run.root) as other:
        began = time.monotonic()
        refused = verb(tmp_path, *arguments)
        took = time.monotonic() - began
        pid = other.process.pid
        assert holder(run.root).pid == pid
    assert refused.returncode == 6, refused.stderr
    assert took < 2 + START_S
    said = rf"error: the run is held by process {pid} on {re.escape(socket.gethostname())}, started"
    assert re.match(rf"{said} \d{{4}}-\d\d-\d\dT", refused.stderr)
    assert f"`kill {pid}`" in refused.stderr


START_S = 2.0
"""Python and the recipe's schema, on a machine that does something else as well."""


def test_verbs_that_read__wait_for_nobody(tmp_path, run):
    with Other(run.root):
        assert verb(tmp_path, "runs").returncode == 0
        assert "mine" in verb(tmp_path, "runs").stdout


def test_the_lock_of_a_killed_run__is_free(tmp_path):
    with Other(tmp_path) as other:
        with pytest.raises(LockedError), locked(tmp_path, ""):
            pass
        other.process.send_signal(signal.SIGKILL)
        assert other.process.wait() == -signal.SIGKILL
    left = json.loads((tmp_path / NAME).read_text())
    assert left["pid"] == other.process.pid, "the kill left no lock behind"
    assert holder(tmp_path) is None
    with locked(tmp_path, ""):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()


def test_a_forked_worker__does_not_hold_it_on(tmp_path):
    fork = "import os\n if os.fork() == 0: time.sleep(20)\n print(1, flush=True)\n time.sleep(60)"
    with Other(tmp_path, fork) as other:
        assert other.process.stdout.readline() == "1\n"
        other.process.kill()
        other.process.wait()
        with locked(tmp_path, ""):
            pass


def test_many_at_once__one_gets_it(tmp_path):
    code = f"{HOLD} time.sleep(1.5)\n"
    commands = [[sys.executable, "-c", code, str(tmp_path)] for _ in range(6)]
    started = [
        subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for c in commands
    ]
    ends = [process.communicate() for process in started]
    assert sorted(process.returncode for process in started).count(0) >= 1
    for process, (out, err) in zip(started, ends, strict=True):
        assert (process.returncode == 0) == (out == "held\n")
        assert process.returncode == 0 or "LockedError: the run is held by process" in err


def test_locked__where_a_file_system_has_no_locks_says_so_and_goes_on(tmp_path, monkeypatch):
    def refuses(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuses)
    with locked(tmp_path, "") as note:
        assert "no locks" in note
        assert str(tmp_path) in note


def test_turn__waits_for_the_other(tmp_path):
    file = tmp_path / "turn"
    code = "from automl.lock import turn; from pathlib import Path; import sys, time\n"
    code += "with turn(Path(sys.argv[1])):\n print('held', flush=True)\n time.sleep(1)\n"
    command = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        began = time.monotonic()
        with turn(file):
            assert time.monotonic() - began > 0.5
    with turn(tmp_path / "nowhere/turn"):
        pass


def test_the_lock__is_no_stranger_and_no_mark_of_a_run(run):
    with locked(run.root, ""):
        assert run.strangers() == []


@pytest.mark.slow
def test_two_runs_in_one_workspace__work_side_by_side(tmp_path):
    """They share MLflow's store, which has to be made first, and DVC's cache."""
    done(tmp_path, "sample", "digits-classification", "data", "--images", 24, "--size", 16)
    (tmp_path / "r.yaml").write_text(
        "task: classification\ndata: data\nmodel: test_resnet\nweights: none\n"
        "train: {epochs: 1, batch_size: 8, image_size: 32, workers: 0, threads: 1}\n"
    )
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    names = ("one", "two", "three")
    started = [automl(tmp_path, "run", "r.yaml", "--run-dir", f"runs/{name}") for name in names]
    for name, process in zip(names, started, strict=True):
        assert process.wait(400) == 0, process.text
        record = json.loads((tmp_path / f"runs/{name}/record.json").read_text())
        assert record["mlflow"], process.text
        assert record["dvc"]["data"]["md5"], process.text
        assert record["dvc"]["model"]["md5"], process.text
    subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
    told = subprocess.run(
        ["git", "status", "--short"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert "model.dvc" in told
    assert ".lock" not in told
    assert "checkpoints" not in told
