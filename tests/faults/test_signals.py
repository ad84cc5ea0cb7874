"""A signal in any phase: what is there is kept, exit 75, one line says how to go on; it does."""

import json
import os
import shlex
import signal
import time
from pathlib import Path

import pytest

from tests.faults.forked import Ended, Fault, Moment, automl, done

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
PHASES = {
    "scan": Moment("data/files.py", "*data/*", event="os.listdir", count=5),
    "plan": Moment("pipeline.py:plan", "*/profile.json"),
    "build": Moment("engines/network.py:build_network", event="*"),
    "first batch": Moment("engines/loader.py", "*data/*"),
    "mid-epoch": Moment("engines/loader.py", "*data/*", count=10),
    "second epoch": Moment("engines/loader.py", "*data/*", count=25),
    "validation": Moment("engines/frames.py", "*data/*", count=21),  # after 19 to train on
    "save": Moment("engines/checkpoint.py:save"),
    "last rename of a save": Moment("engines/checkpoint.py:save", event="os.rename", count=2),
    "bundle": Moment("model/bundle.py:save"),
    "evaluate": Moment("data/stream.py", "*data/*", count=2),  # in a thread that decodes ahead
    "report": Moment("pipeline.py:report", count=3),
    "record": Moment("pipeline.py:record", "*/recipe.yaml"),
}
YOLO = {
    "layout": Moment("engines/yolo_layout.py", count=5),
    "build": Moment("engines/yolo_net.py:build_net", event="*"),
    "first batch": Moment("data/base.py:load_image"),
    "mid-epoch": Moment("data/base.py:load_image", count=8),
    "validation": Moment("data/stream.py", "*data/*", count=2),
    "save": Moment("engines/checkpoint.py:save"),
    "last rename of a save": Moment("engines/checkpoint.py:save", event="os.rename", count=2),
}
FAST = [
    ("scan", signal.SIGTERM),
    ("mid-epoch", signal.SIGUSR1),
    ("save", signal.SIGTERM),
    ("evaluate", signal.SIGINT),
]
SETTINGS = {
    "model": "test_resnet", "weights": "none", "augment": "light", "train.epochs": 2,
    "train.batch_size": 4, "train.image_size": 32, "train.workers": 0, "train.threads": 1,
    "track.mlflow": "off", "track.dvc": "off",
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A drawn set and its recipe."""
    folder = tmp_path_factory.mktemp("signals")
    done(folder, "sample", "digits-classification", "data", "--images", 24, "--size", 16)
    (folder / "r.yaml").write_text("task: classification\ndata: data\n")
    return folder


@pytest.fixture(scope="module")
def undisturbed(workspace) -> str:
    """The digest of the weights that nobody disturbed."""
    done(workspace, *run("undisturbed"))
    return digest(workspace / "runs/undisturbed")


def run(name: str, **settings: object) -> list[object]:
    sets = [f"--set={key}={value}" for key, value in {**SETTINGS, **settings}.items()]
    return ["run", "r.yaml", "--run-dir", f"runs/{name}", "--device", "cpu", *sets]


def digest(folder: Path) -> str:
    return json.loads((folder / "model/model.json").read_text())["weights"]["sha256"]


def next_command(stopped: Ended) -> list[str]:
    """The command in the one line that says how to go on."""
    hints = [line for line in stopped.text.splitlines() if line.startswith("hint: continue with")]
    assert len(hints) == 1, stopped.text
    words = shlex.split(hints[0].split("`")[1])
    assert words[0] == "automl"
    return words[1:]


def check_end(folder: Path, undisturbed: str) -> None:
    assert digest(folder) == undisturbed
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    assert journal[-1]["event"] == "end"
    assert {line["epoch"] for line in journal if line["event"] == "epoch"} == {1, 2}
    assert (folder / "report.html").is_file()
    assert (folder / "record.json").is_file()
    left = [path for path in folder.rglob(".*") if path.name != ".gitignore"]
    assert not left


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        pytest.param(p, n, marks=() if (p, n) in FAST else pytest.mark.slow, id=f"{p}-{n.name}")
        for p in PHASES
        for n in SIGNALS
    ],
)
def test_a_signal__is_survived(workspace, undisturbed, phase, number):
    name = f"{phase.replace(' ', '-')}-{number.name}"
    stopped = automl(workspace, *run(name), fault=Fault(PHASES[phase], number))
    assert stopped.wait() == 75, stopped.text
    assert stopped.mark.exists(), "the signal was never sent"
    assert stopped.took < 5
    assert f"error: stopped by {number.name}" in stopped.text
    assert "Traceback" not in stopped.text
    folder = workspace / "runs" / name
    assert not (folder / ".lock").exists()
    assert not (folder / "record.json").exists()
    command = next_command(stopped)
    assert command[:3] == ["run", "--resume", name]
    done(workspace, *command)
    check_end(folder, undisturbed)


@pytest.fixture(scope="module")
def detection(tmp_path_factory) -> Path:
    pytest.importorskip("ultralytics")
    folder = tmp_path_factory.mktemp("yolo")
    done(folder, "sample", "digits-detection", "data", "--images", 20, "--size", 64)
    (folder / "r.yaml").write_text("task: detection\ndata: data\nlicence: any\n")
    done(folder, *run("undisturbed", **YOLO_SETTINGS))
    return folder


YOLO_SETTINGS = {"model": "yolo11n", "train.image_size": 64}


@pytest.mark.slow
@pytest.mark.parametrize("phase", YOLO)
def test_a_signal__is_survived_by_the_yolo_engine(detection, phase):
    """It keeps finished epochs, and does again the one that was broken off."""
    name = phase.replace(" ", "-")
    fault = Fault(YOLO[phase], signal.SIGTERM)
    stopped = automl(detection, *run(name, **YOLO_SETTINGS), fault=fault)
    assert stopped.wait() == 75, stopped.text
    assert stopped.mark.exists(), "the signal was never sent"
    assert stopped.took < 5
    assert "error: stopped by SIGTERM" in stopped.text
    done(detection, *next_command(stopped))
    check_end(detection / "runs" / name, digest(detection / "runs/undisturbed"))


def test_the_same_command_again__goes_on_too(workspace, undisturbed):
    fault = Fault(PHASES["second epoch"], signal.SIGTERM)
    assert automl(workspace, *run("again"), fault=fault).wait() == 75
    done(workspace, *run("again"))
    check_end(workspace / "runs/again", undisturbed)
    assert "already holds a run" in done(workspace, *run("again"), code=2)


def test_resume_latest__takes_a_recipe_that_is_the_runs_own(workspace, undisturbed):
    fault = Fault(PHASES["scan"], signal.SIGTERM)
    assert automl(workspace, *run("latest"), fault=fault).wait() == 75
    (workspace / "other.yaml").write_text("task: classification\ndata: data\neffort: quick\n")
    wrong = ["run", "other.yaml", "--resume", "runs/latest"]
    assert "a resumed run keeps its recipe" in done(workspace, *wrong, code=2)
    sets = [word for word in run("latest") if str(word).startswith("--set")]
    done(workspace, "run", "r.yaml", "--resume", "latest", "--device", "cpu", *sets)
    check_end(workspace / "runs/latest", undisturbed)


@pytest.mark.parametrize("phase", ["scan", "mid-epoch"])
def test_a_second_signal__leaves_even_from_a_long_call(workspace, phase):
    fault = Fault(PHASES[phase], signal.SIGTERM, stuck=True)
    stuck = automl(workspace, *run(f"second-{phase}"), fault=fault)
    stuck.reach()
    time.sleep(0.6)  # two wishes, not one that came twice
    assert stuck.process.is_alive()
    began = time.monotonic()
    os.kill(stuck.pid, signal.SIGINT)
    assert stuck.wait(10) == 75
    assert time.monotonic() - began < 1


def test_a_signal_to_the_group__does_not_take_the_workers_first(workspace, undisturbed):
    fault = Fault(PHASES["mid-epoch"], signal.SIGTERM, group=True)
    stopped = automl(workspace, *run("group", **{"train.workers": 2}), fault=fault)
    assert stopped.wait() == 75, stopped.text
    assert stopped.mark.exists()
    done(workspace, *next_command(stopped))
    assert digest(workspace / "runs/group") == undisturbed


def test_workers__do_not_outlive_a_killed_parent(workspace):
    fault = Fault(PHASES["mid-epoch"], signal.SIGSTOP)
    run_ = automl(workspace, *run("orphans", **{"train.workers": 2}), fault=fault)
    run_.reach()
    workers = children(run_.pid)
    assert len(workers) == 2
    os.kill(run_.pid, signal.SIGKILL)
    assert run_.wait() == -signal.SIGKILL
    until = time.monotonic() + 2
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, workers))


def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = path.read_text().rpartition(")")[2].split()
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
