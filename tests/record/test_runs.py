import json
import re

import pytest

from automl.errors import UsageError
from automl.record import runs
from automl.record.journal import Journal
from automl.run_dir import RunDir


def begin(folder, name, *, start=None):
    path = folder / name
    path.mkdir(parents=True)
    stamp = start or "2026-01-01T00:00:00+00:00"
    line = {"time": stamp, "event": "start"}
    epoch = {"time": stamp, "event": "epoch", "epoch": 1}
    (path / "journal.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps(epoch)}\n")
    return path


def test_new_run__named_by_recipe_and_time_and_counted_up(tmp_path):
    made = [runs.new_run("recipes/my pets.yaml", tmp_path / "runs") for _ in range(3)]
    assert re.fullmatch(r"my-pets-\d{8}-\d{6}", made[0].id)
    assert len({run.id for run in made}) == 3
    assert all(run.root.is_dir() for run in made)
    assert runs.new_run("...", tmp_path).id.startswith("run-")


def test_find__id_prefix_folder_latest(tmp_path, monkeypatch):
    folder = tmp_path / "runs"
    old = begin(folder, "pets-20260102-000000", start="2026-01-02T00:00:00+00:00")
    new = begin(folder, "cars-20260103-000000", start="2026-01-03T00:00:00+00:00")
    begin(folder, "pets-20260101-000000")
    (folder / "notes").mkdir()

    assert runs.find("pets-20260102-000000", folder).root == old
    assert runs.find("cars", folder).root == new
    assert runs.find(str(old), folder).root == old
    assert runs.find("latest", folder).root == new
    monkeypatch.chdir(tmp_path)
    assert runs.find("runs/pets-20260102-000000", folder).root == old


@pytest.mark.parametrize(
    ("reference", "said"),
    [("pets", "matches 2 runs"), ("dogs", "no run `dogs`"), ("", "no run ``")],
)
def test_find__what_is_not_one_run_is_an_error(tmp_path, reference, said):
    begin(tmp_path, "pets-1")
    begin(tmp_path, "pets-2")
    with pytest.raises(UsageError, match=said) as caught:
        runs.find(reference, tmp_path)
    assert caught.value.faults[0].hint


def test_find__latest_of_none(tmp_path):
    with pytest.raises(UsageError, match="no run yet"):
        runs.find("latest", tmp_path / "runs")


def test_summaries__newest_first_with_what_is_known(run):
    later = begin(run.root.parent, "later", start="2999-01-01T00:00:00+00:00")
    found = runs.summaries(run.root.parent)
    assert [summary.folder for summary in found] == [later, run.root]
    done = found[1]
    assert (done.state, done.task, done.model) == ("finished", "classification", "test_resnet")
    assert (done.metric, done.score, done.seconds) == ("accuracy", 0.8, 4.0)
    assert found[0].state == "training"
    assert found[0].score is None
    assert runs.summaries(run.root / "nowhere") == []


def test_summary__state_follows_the_files(tmp_path):
    run = RunDir(tmp_path / "one")
    run.root.mkdir()
    run.dataset.write_text("{}")
    assert runs.summary(run.root).state == "prepared"
    run.plan.write_text("task: detection\nmodel: 'fcos-x'  # best\n")
    assert runs.summary(run.root).state == "planned"
    assert (runs.summary(run.root).task, runs.summary(run.root).model) == ("detection", "fcos-x")
    log = Journal(run.journal)
    log.write("start")
    log.write("epoch", epoch=1)
    assert runs.summary(run.root).state == "training"
    log.write("trained")
    assert runs.summary(run.root).state == "trained"
    run.metrics.write_text('{"primary": "map", "map": 0.5}')
    assert (runs.summary(run.root).state, runs.summary(run.root).score) == ("scored", 0.5)
    log.write("end", seconds=1)
    assert runs.summary(run.root).state == "finished"


@pytest.mark.parametrize("look", [lambda path: runs.find(path.name, path.parent), runs.summary])
def test_runs__a_model_that_a_kill_left_under_another_name_is_put_back(look, tmp_path):
    path = begin(tmp_path, "pets")
    (path / ".model.old").mkdir()
    (path / ".model.old" / "model.json").write_text("{}")
    look(path)
    assert (path / "model" / "model.json").is_file()
