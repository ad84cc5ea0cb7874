"""Promised against spent, out of a run's files."""

import json
import math

import pytest

from automl.plan import Plan
from automl.record.journal import Journal
from automl.record.promise import OVER, left_s, promise
from automl.run_dir import RunDir
from tests.planning.situations import plan_for, profile

SPENT = {"start": 4.0, "prepare": 2.0, "plan": 1.0, "train": 20.0, "evaluate": 1.0, "report": 2.0}


@pytest.fixture
def run(tmp_path) -> RunDir:
    run = RunDir(tmp_path)
    plan_for(profile("classification"), budget="60s").write(run.plan)
    run.times.write_text(json.dumps(SPENT))
    return run


def end(run: RunDir, **facts) -> None:
    Journal(run.journal).write("start", anew=True)
    Journal(run.journal).write("trained", **{"best_epoch": 3, "stopped_early": False, **facts})


def test_promise__expected_and_spent_by_stage(run):
    found = promise(run)
    assert (found.promised, found.total, found.spent) == (60.0, 30.0, SPENT)
    assert list(found.expected) == [
        "start", "prepare", "plan", "train", "evaluate", "report", "record",
    ]  # fmt: skip
    assert found.expected["train"] > 8, "with what a training does before its first step"
    assert found.verdict() == "30.0 s unused (50%)"
    assert found.facts()["spent"] == 30.0


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"stopped_early": True, "epochs": 9}, "no better score since epoch 3"),
        ({"epochs": 10_000}, "more than {most} epochs gain nothing"),
        ({"epochs": 2}, ""),
    ],
)
def test_promise__time_that_is_left_is_explained(run, facts, why):
    end(run, **facts)
    said, why = promise(run).verdict(), why.format(most=Plan.read(run.plan).most_epochs)
    assert said.endswith(why) if why else said.endswith(")")


def test_promise__reads_numbers_however_they_are_written(run):
    text = run.plan.read_text()
    start = next(line for line in text.splitlines() if line.startswith("  start: "))
    run.plan.write_text(text.replace(start, "  start: 7.0e-05"))
    assert promise(run).expected["start"] == 7e-05


def test_promise__over(run):
    run.times.write_text(json.dumps({**SPENT, "train": 53.0}))
    assert promise(run).verdict() == "3.0 s over (5%)"


def test_promise__without_a_budget_or_files_nothing_is_claimed(tmp_path):
    assert promise(RunDir(tmp_path)).verdict() == ""
    run = RunDir(tmp_path)
    plan_for(profile("classification")).write(run.plan)
    run.times.write_text(json.dumps(SPENT))
    assert promise(run).verdict() == ""
    assert promise(run).promised is None


def test_left_s__the_record_may_wait_for_as_long_as_the_promise_lasts(run, tmp_path):
    assert left_s(run, 50.0) == pytest.approx(60 * (1 + OVER) - 50)
    assert 0 < left_s(run, 100.0) < 5
    assert left_s(RunDir(tmp_path / "none"), 1.0) == math.inf
    plan_for(profile("classification"), budget="10s").write(run.plan)
    assert left_s(run, 50.0) == math.inf, "a promise that could not be kept costs no record"
