"""Where a run may write: never into data, never among files of somebody else."""

from pathlib import Path

import pytest

from automl.commands import workspace
from automl.errors import UsageError
from automl.run_dir import RunDir
from tests.engines.toy import plan_of


@pytest.fixture(autouse=True)
def recipe(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOML_RUNS", raising=False)
    (tmp_path / "set").mkdir()
    file = tmp_path / "r.yaml"
    file.write_text("task: detection\ndata: set\n")
    return file


def refused(recipe: Path, run_dir: str | None, **more) -> str:
    with pytest.raises(UsageError) as caught:
        workspace.begin(recipe, [], None, run_dir=run_dir and Path(run_dir), **more)
    (fault,) = caught.value.faults
    assert fault.hint
    return fault.message


@pytest.mark.parametrize("name", ["set", "set/runs/one", "link", "link/one"])
def test_begin__not_inside_the_data(tmp_path, recipe, name):
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert "inside the data" in refused(recipe, name)
    assert not list((tmp_path / "set").iterdir())


def test_begin__not_where_the_workspace_is_the_data(tmp_path, recipe):
    recipe.write_text("task: detection\ndata: .\n")
    assert "inside the data" in refused(recipe, None)
    assert not (tmp_path / "runs").exists()


def test_begin__a_table_in_the_workspace_is_not_the_whole_of_it(tmp_path, recipe):
    (tmp_path / "labels.csv").write_text("path,label\n")
    recipe.write_text("task: classification\ndata: labels.csv\n")
    assert workspace.begin(recipe, [], None)[1].root.parent == tmp_path / "runs"


@pytest.mark.parametrize("name", ["checkpoints/best.pt", "engine/x", "model/net.pt", "notes.txt"])
@pytest.mark.parametrize("again", [False, True])
def test_begin__not_among_files_of_somebody_else(tmp_path, recipe, name, again):
    """A run replaces its checkpoints and its model: these may be another's."""
    strange = tmp_path / "mine" / name
    strange.parent.mkdir(parents=True)
    strange.write_text("years of work")
    said = refused(recipe, "mine", again=again)
    assert f"other files than a run's: {Path(name).parts[0]}" in said
    assert strange.read_text() == "years of work"


def test_begin__a_folder_that_is_empty_hidden_or_a_runs_own(tmp_path, recipe):
    folder = tmp_path / "mine"
    for name in (
        "",
        ".gitignore",
        "metrics.json",
        "suspects.json",
        "plots/epochs.csv",
        "model/model.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name:
            (folder / name).write_text("")
        assert workspace.begin(recipe, [], None, run_dir=folder)[1] == RunDir(folder)


@pytest.mark.parametrize("given", [(["effort=quick"], None), ([], Path("params.yaml"))])
def test_begin__a_resumed_run_takes_no_other_values(tmp_path, recipe, given):
    run = RunDir(tmp_path / "runs/one")
    workspace.keep(workspace.load(recipe), run)
    assert workspace.begin(None, [], None, resume="one")[1] == run
    with pytest.raises(UsageError, match="keeps its recipe"):
        workspace.begin(None, *given, resume="one")


def test_planning__keeps_to_the_same_rules(tmp_path, recipe):
    loaded = workspace.load(recipe)
    for name in ("set/plan", "."):
        with pytest.raises(UsageError), workspace.planning(Path(name), loaded):
            pass


def test_bundle__latest_is_the_newest_run_with_a_model(tmp_path):
    for name, time in (("a-1", 1), ("b-2", 2), ("c-3", 3)):
        run = RunDir(tmp_path / "runs" / name)
        run.root.mkdir(parents=True)
        run.recipe.write_text("task: detection\ndata: ../../set\n")
        run.journal.write_text(f'{{"event": "begin", "time": "2026-01-0{time}T00:00:00+00:00"}}\n')
        if name != "c-3":
            run.model.mkdir()
            (run.model / "model.json").write_text("{}")
    assert workspace.find("latest").id == "c-3"
    assert workspace.bundle("latest") == tmp_path / "runs/b-2/model"


def test_bundle__one_that_a_kill_left_under_another_name_is_put_back(tmp_path, monkeypatch):
    (tmp_path / ".model.old").mkdir()
    (tmp_path / ".model.old" / "model.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert (workspace.bundle("model") / "model.json").is_file()


def test_begin__a_finished_run_without_checkpoints_is_not_trained_again(tmp_path, recipe):
    run = RunDir(tmp_path / "runs/done")
    run.model.mkdir(parents=True)
    run.recipe.write_text("task: detection\ndata: ../../set\n")
    run.journal.write_text('{"event": "start", "time": "2026-01-01T00:00:00+00:00"}\n')
    assert workspace.begin(None, [], None, resume="done")[1] == run
    with run.journal.open("a") as journal:
        journal.write('{"event": "end", "time": "2026-01-01T00:01:00+00:00"}\n')
    with pytest.raises(UsageError, match="nothing is left to continue"):
        workspace.begin(None, [], None, resume="done")
    run.checkpoints.mkdir()
    assert workspace.begin(None, [], None, resume="done")[1] == run


@pytest.mark.parametrize(
    ("planned_smoke", "asked", "said"),
    [
        (False, {"smoke": True, "resumed": True}, "planned as a full run"),
        (True, {"smoke": False, "resumed": False}, "planned as a smoke run"),
        (False, {"device": "auto"}, ""),
        (True, {"smoke": True, "resumed": False}, ""),
        (True, {"smoke": False, "resumed": True}, ""),
        (False, {"device": "cpu"}, "planned for `cuda:0`, not for `cpu`"),
    ],
)
def test_run__options_that_are_not_those_of_the_plan_are_refused(
    tmp_path, planned_smoke, asked, said
):
    run = RunDir(tmp_path / "one")
    plan_of("detection", device="cuda:0", smoke=planned_smoke).write(run.plan)
    options = {"smoke": False, "device": None, "resumed": True, **asked}
    if not said:
        workspace.refuse_other_plan(run, **options)
        return
    with pytest.raises(UsageError, match=said):
        workspace.refuse_other_plan(run, **options)
