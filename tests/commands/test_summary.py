"""What `show`, `runs` and the end of a run say of a run's files."""

import json

import pytest

from automl.commands.summary import (
    finished_lines,
    plan_lines,
    plan_notes,
    record_lines,
    run_facts,
    run_lines,
    runs_facts,
    runs_lines,
    score_lines,
    time_line,
)
from automl.files import write_json
from automl.plan import Plan
from automl.record.runs import summaries
from automl.run_dir import RunDir
from tests.planning.situations import plan_for, profile
from tests.report.made_run import make_run


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    made = make_run(tmp_path, "classification")
    look = "mlflow ui --workers 1 --backend-store-uri sqlite:///mlflow.db"
    write_json(made.record, {"mlflow": {"run_id": "1", "look": look}, "dvc": {"note": "tracked"}})
    made.report.write_text("<html>")
    return made


def test_run_facts__are_json_and_complete(run):
    facts = run_facts(run)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["run"] == run.id
    assert facts["scores"]["accuracy"] == pytest.approx(0.75, abs=0.25)
    assert {"disc", "square", "triangle"} <= facts["scores"]["per_class"].keys()
    assert facts["report"] == str(run.report)
    assert facts["bundle"] == str(run.model)


def test_run_facts__of_a_run_that_has_just_begun(tmp_path):
    (tmp_path / "recipe.yaml").write_text("task: detection\n")
    facts = run_facts(RunDir(tmp_path))
    assert (facts["scores"], facts["report"], facts["record"]) == ({}, None, {})
    assert any(line.startswith("state") for line in run_lines(facts))


def test_finished_lines__say_where_everything_is(run):
    text = "\n".join(finished_lines(run_facts(run)))
    assert f"run     runs/{run.id}" in text
    assert f"report  runs/{run.id}/report.html" in text
    assert "mlflow  mlflow ui" in text
    assert "dvc     tracked" in text
    assert f"next    automl predict {run.id} IMAGE" in text
    assert "accuracy" in text
    assert "nan" not in text


def test_run_lines__list_the_classes(run):
    text = "\n".join(run_lines(run_facts(run)))
    for name in ("disc", "square", "triangle"):
        assert f"\n{name}" in text


def test_score_lines__a_value_that_is_not_known_is_a_dash():
    scores = {
        "task": "detection",
        "split": "val",
        "images": 3,
        "primary": "map",
        "map": 0.5,
        "per_class": {"a": {"ap": None, "objects": 0}},
    }
    assert score_lines(scores, {"map": (0.25, 0.75)}) == [
        "on 3 val images          95 % interval",
        "map              0.5000  0.2500 to 0.7500",
        "",
        "class  ap  objects",
        "a       -        0",
    ]


def test_record_lines__nothing_recorded(run):
    facts = run_facts(run) | {"record": {"mlflow": None, "dvc": None}}
    assert record_lines(facts) == ["not recorded: the recipe turns both records off"]


def test_runs__one_line_each(run, tmp_path):
    found = summaries(tmp_path / "runs")
    (line,) = runs_lines(found)[1:]
    assert line.startswith(run.id)
    assert "accuracy 0." in line
    (fact,) = runs_facts(found)
    assert json.loads(json.dumps(fact))["id"] == run.id


def test_plan_lines__one_line_per_reason(run):
    plan = Plan.read(run.plan)
    lines = plan_lines(plan)
    assert len(lines) == len(plan.reasons) + 1
    for key, reason in plan.reasons.items():
        assert any(line.startswith(key) and reason.because in line for line in lines)


def test_finished_lines__the_next_command_finds_a_run_that_lies_elsewhere(run, tmp_path):
    elsewhere = tmp_path / "my runs" / run.id
    elsewhere.parent.mkdir()
    run.root.rename(elsewhere)
    (line,) = [x for x in finished_lines(run_facts(RunDir(elsewhere))) if x.startswith("next")]
    assert line == f"next    automl predict 'my runs/{run.id}' IMAGE"


def test_time_line__spent_by_stage_against_the_promise(run):
    assert time_line(run_facts(run)["time"]) == "", "nothing is known of an older run"
    run.times.write_text(json.dumps({"start": 4.25, "train": 500.5}))
    line = time_line(run_facts(run)["time"])
    assert line.startswith(
        "504.8 s of 600 s promised (start 4.2, train 500.5); 95.2 s unused (16%)"
    )
    assert any("504.8 s of 600 s" in text for text in finished_lines(run_facts(run)))
    assert any("504.8 s of 600 s" in text for text in run_lines(run_facts(run)))


def test_plan_notes__expected_time_by_stage_and_memory():
    notes = plan_notes(plan_for(profile("detection"), budget="2m"))
    assert notes[0].startswith("expected: ")
    for stage in ("prepare", "train", "evaluate", "report", "record"):
        assert stage in notes[0]
    assert "GB of memory" in notes[1]
