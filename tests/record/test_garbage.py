"""`gc` names what can go and removes only that, inside the runs folder and never through a link."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from automl.commands.garbage_output import collect_garbage, size_text
from automl.lock import locked
from automl.record.garbage import DAY_S, Rules, find_garbage, remove

NONE_KEPT = Rules(keep=0)


def make(folder, name, state="finished", days=0.0, score=None):
    """A run folder of a given age with checkpoints."""
    path = folder / name
    (path / "checkpoints" / "epoch-0001").mkdir(parents=True)
    (path / "checkpoints" / "epoch-0001" / "model.safetensors").write_bytes(bytes(1000))
    (path / "plan.yaml").write_text("task: classification\nmodel: net\n")
    moment = datetime.now(UTC) - timedelta(days=days)
    events = ["start", "epoch", "trained", "end"][: {"training": 2}.get(state, 4)]
    lines = [{"time": moment.isoformat(), "event": e, "epoch": 1} for e in events]
    (path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if state == "finished":
        (path / "model").mkdir()
        (path / "model" / "model.json").write_text("{}")
    if score is not None:
        (path / "metrics.json").write_text(json.dumps({"primary": "accuracy", "accuracy": score}))
    age(path, days)
    return path


def age(path, days):
    then = time.time() - days * DAY_S
    for root, folders, files in os.walk(path):
        for name in [*folders, *files]:
            os.utime(Path(root) / name, (then, then), follow_symlinks=False)
    os.utime(path, (then, then), follow_symlinks=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def paths(found):
    return [item.path.relative_to(found.folder).as_posix() for item in found.items]


def test_look__checkpoints_of_finished_and_whole_old_unfinished_runs(folder):
    make(folder, "done")
    make(folder, "old", "training", days=40)
    make(folder, "young", "training", days=3)
    found = find_garbage(folder, NONE_KEPT)
    assert paths(found) == ["done/checkpoints", "old"]
    assert found.items[0].bytes == 1000
    assert "40 days old" in found.items[1].why
    done, failed = remove(found)
    assert (len(done), failed) == (2, [])
    assert (folder / "done" / "model" / "model.json").is_file()
    assert not (folder / "done" / "checkpoints").exists()
    assert (folder / "young" / "checkpoints").is_dir()
    assert sorted(p.name for p in folder.iterdir()) == ["done", "young"]
    assert find_garbage(folder, NONE_KEPT).items == []


def test_look__protected_runs_stay_whole(folder):
    make(folder, "pets-20260101-000001", score=0.9, days=50)
    make(folder, "pets-20260101-000002", score=0.8, days=50)
    promoted = make(folder, "pets-20260101-000003", score=0.7, days=50)
    (promoted / "promotions.jsonl").write_text('{"alias": "champion"}\n')
    make(folder, "newest")
    found = find_garbage(folder, Rules(keep=1))
    assert paths(found) == ["pets-20260101-000002/checkpoints"]
    kept = dict(found.kept)
    assert kept["pets-20260101-000001"] == "the best of `pets`"
    assert kept["pets-20260101-000003"] == "promoted as champion"
    assert kept["newest"] == "one of the newest"


def test_look__a_run_at_work_is_left_alone(folder):
    run = make(folder, "busy", "training", days=90)
    left = run / ".model.new"
    left.mkdir()
    age(run, 90)
    with locked(run, "automl train"):
        found = find_garbage(folder, NONE_KEPT)
        assert paths(found) == []
        assert f"process {os.getpid()}" in dict(found.kept)["busy"]
    age(run, 90)
    found = find_garbage(folder, NONE_KEPT)
    assert paths(found) == ["busy"]
    with locked(run, "automl train"):  # it has begun to work between the look and the removal
        done, failed = remove(found)
    assert done == []
    assert "held by process" in failed[0][1]
    assert run.is_dir()


def test_look__what_killed_processes_left(folder):
    run = make(folder, "kept", score=0.5)
    for name in (
        "checkpoints/.epoch-0002.partial/x", ".metrics.json.123.new", ".model.old/w", ".12.probe",
    ):  # fmt: skip
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("half")
    (run / ".lock").write_text("")
    (run / ".gitignore").write_text("")
    (folder / ".gone-x" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    assert paths(find_garbage(folder, Rules())) == [".gone-x"], "what is new may be in use"
    age(folder, 1)
    wanted = [
        ".gone-x", "empty", "kept/.12.probe", "kept/.metrics.json.123.new", "kept/.model.old",
        "kept/checkpoints/.epoch-0002.partial",
    ]  # fmt: skip
    found = find_garbage(folder, Rules())
    assert paths(found) == wanted
    remove(found)
    assert (run / ".gitignore").is_file()
    assert (run / "checkpoints" / "epoch-0001").is_dir()


def test_remove__never_through_a_link_or_out_of_the_folder(folder, tmp_path):
    precious = tmp_path / "precious"
    (precious / "checkpoints").mkdir(parents=True)
    (precious / "checkpoints" / "epoch-0001").write_text("years of work")
    (precious / "journal.jsonl").write_text("")
    (folder / "linked").symlink_to(precious)
    run = make(folder, "run")
    (run / "checkpoints" / "epoch-0001" / "link").symlink_to(precious)
    other = make(folder, "other")
    (other / "engine").symlink_to(precious)
    found = find_garbage(folder, NONE_KEPT)
    assert paths(found) == ["other/checkpoints", "run/checkpoints"]
    assert dict(found.kept)["linked"] == "a link, which is not followed"
    (other / "checkpoints").rename(other / "moved")
    (other / "checkpoints").symlink_to(precious / "checkpoints")  # exchanged after the look
    remove(found)
    assert (precious / "checkpoints" / "epoch-0001").read_text() == "years of work"
    assert not (run / "checkpoints").exists()


def test_look__what_dvc_tracks_stays(folder):
    tracked = make(folder, "tracked", "training", days=90)
    (tracked / "model.dvc").write_text("outs: []\n")
    age(tracked, 90)
    done = make(folder, "done")
    (done / "model.dvc").write_text("outs: []\n")
    found = find_garbage(folder, NONE_KEPT)
    assert paths(found) == ["done/checkpoints"]
    assert "DVC tracks model.dvc" in dict(found.kept)["tracked"]
    assert "tracked" in paths(find_garbage(folder, Rules(keep=0, tracked=True)))


def test_look__bytes_shared_with_a_cache_free_nothing(folder, tmp_path):
    run = make(folder, "run")
    os.link(run / "checkpoints/epoch-0001/model.safetensors", tmp_path / "in-the-cache")
    assert find_garbage(folder, NONE_KEPT).bytes == 0


def test_look__a_damaged_run_and_no_folder(folder, tmp_path):
    run = make(folder, "bad", days=90)
    (run / "metrics.json").write_text("{")
    found = find_garbage(folder, NONE_KEPT)
    assert found.items == []
    assert "damaged" in dict(found.kept)["bad"]
    assert find_garbage(tmp_path / "nowhere", NONE_KEPT).items == []


def test_collected__a_dry_run_first(folder):
    run = make(folder, "run")
    asked = {"keep": 0, "older_than": "30d", "tracked": False}
    dry = collect_garbage(**asked, really=False)
    assert (run / "checkpoints").is_dir()
    assert dry.lines()[-1] == "1 thing, 1.0 kB; nothing was deleted; `--really` deletes them"
    assert any("runs/run/checkpoints" in line for line in dry.lines())
    wet = collect_garbage(**asked, really=True)
    assert not (run / "checkpoints").exists()
    assert wet.lines()[-1] == "1 thing removed, 1.0 kB freed"
    facts = json.loads(json.dumps(wet.facts()))
    assert (facts["bytes"], facts["items"][0]["removed"]) == (1000, True)
    assert collect_garbage(**asked, really=False).lines() == ["nothing to remove"]


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1234567, "1.2 MB")])
def test_size_text(count, text):
    assert size_text(count) == text
