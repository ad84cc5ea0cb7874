"""`provenance.json`: written at the first start, told on at every later one, closed at the end."""

import json
import subprocess

import pytest

from automl import pipeline, training_provenance
from automl.errors import Interrupted
from automl.record.journal import Journal
from automl.run_dir import RunDir
from automl.stage_inputs import planned
from automl.talk import Silent
from tests.toy_run import planned_run


def known(run: RunDir) -> dict:
    return json.loads(run.provenance.read_text())


def start(run: RunDir):
    """What the train stage does before the engine works."""
    Journal(run.journal).write("start")
    return training_provenance.recording_provenance(run, *planned(run))


def stopped_in_epoch_2(run: RunDir) -> None:
    with start(run):
        Journal(run.journal).write("epoch", epoch=1, total=2)
        raise Interrupted("stopped by SIGTERM; 1 finished epoch is saved")


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    return planned_run(tmp_path, "classification")


def test_train__says_all_that_made_the_run(run):
    pipeline.train(run, Silent())
    found = known(run)
    plan, dataset = planned(run)
    assert found["plan_digest"] == plan.digest()
    assert len(found["recipe_digest"]) == 64
    assert found["dataset"]["digest"] == dataset.digest
    splits = found["dataset"]["splits"]
    assert {name: split["images"] for name, split in splits.items()} == {"train": 16, "val": 8}
    assert splits["train"]["digest"] != splits["val"]["digest"]
    assert found["weights"]["initial"]["source"] == "none"
    bundle = json.loads((run.model / "model.json").read_text())
    assert found["weights"]["final"] == bundle["weights"]["sha256"]
    assert found["determinism"]["level"] == "bits"
    assert found["determinism"]["threads"] == 1
    assert found["device_facts"]["kernels"]
    assert len(found["program"]["digest"]) == len(found["packages_digest"]) == 64
    assert found["machine"]["cpu_flags"] is not None
    assert found["restarts"] == []
    assert found["ended"] >= found["time"]


def test_originating__a_restart_is_added_and_nothing_overwritten(run):
    with pytest.raises(Interrupted):
        stopped_in_epoch_2(run)
    first = known(run)
    with start(run):
        pass  # killed: nothing says why
    with start(run):
        pass
    last = known(run)
    assert {k: last[k] for k in first if k not in ("restarts", "stopped")} == {
        k: first[k] for k in first if k not in ("restarts", "stopped")
    }
    one, two = last["restarts"]
    assert one["reason"] == "stopped by SIGTERM; 1 finished epoch is saved"
    assert one["stopped"] == first["stopped"]["time"]
    assert one["epoch"] == 1
    assert two["reason"].startswith("unknown: killed")
    assert {"time", "host", "pid", "step", "command"} <= set(one)
    assert one["changed"] == []


def test_originating__a_restart_elsewhere_says_what_changed(run):
    with start(run):
        pass
    found = known(run)
    found["packages"]["torch"] = "1.0"
    found["machine"]["cpu"] = "an abacus"
    run.provenance.write_text(json.dumps(found))
    with start(run):
        pass
    (restart,) = known(run)["restarts"]
    changed = {field: (before, now) for field, before, now in restart["changed"]}
    assert changed["packages.torch"][0] == "1.0"
    assert changed["machine.cpu"][0] == "an abacus"
    assert len(changed) == 2


def test_originating__another_plan_is_another_training(run):
    with start(run):
        pass
    plan, dataset = planned(run)
    plan.model_copy(update={"budget_s": 9.0}).write(run.plan)
    with start(run):
        pass
    assert known(run)["restarts"] == []


@pytest.mark.parametrize("damage", ["", "{", "[]"])
def test_originating__a_damaged_file_is_written_anew(run, damage):
    with start(run):
        pass
    run.provenance.write_text(damage)
    with start(run):
        pass
    assert known(run)["format"] == 2


def test_originating__uncommitted_code_is_kept_as_a_patch(run, tmp_path):
    def git(*words):
        who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.com")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "code.py").write_text("one\n")
    git("add", "code.py")
    git("commit", "-qm", "one")
    with start(run):
        pass
    assert known(run)["git"]["patch"] is None
    assert not known(run)["git"]["dirty"], "the run's own files and its data are no changes"
    run.journal.unlink()
    (tmp_path / "code.py").write_text("two\n")
    (tmp_path / "new.py").write_text("three\n")
    with start(run):
        pass
    git_state = known(run)["git"]
    assert (git_state["dirty"], git_state["untracked"]) == (True, 1)
    assert git_state["patch"]["bytes"] == run.patch.stat().st_size > 0
    git("stash", "-q", "-u", "--", "code.py", "new.py")
    git("apply", str(run.patch))
    assert (tmp_path / "code.py").read_text() == "two\n"
    assert (tmp_path / "new.py").read_text() == "three\n"
