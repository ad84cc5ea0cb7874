"""Runs are found by what is known of them, in the order that is asked for."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from automl.errors import UsageError
from automl.record import runs
from automl.record.run_filter import RunQuery, parse_time, select
from automl.record.runs import RunSummary

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


def made(name, days=0, **facts):
    usual = {"task": "classification", "model": "resnet18", "metric": "accuracy", "score": 0.5}
    return RunSummary(
        id=name, folder=None, started=NOW - timedelta(days=days), state="finished",
        **{**usual, **facts},
    )  # fmt: skip


RUNS = [
    made("pets-1", 0, score=0.7),
    made("pets-2", 1, score=0.9, seconds=5.0),
    made("cars-1", 2, task="detection", model="fcos-resnet50", metric="map", score=0.3),
    made("cars-2", 9, task="detection", model="yolo11n", metric="map", score=0.4, seconds=9.0),
    made("pets-3", 3, score=None),
]


def names(**wanted):
    return [run.id for run in select(RUNS, RunQuery(**wanted))]


def test_chosen__newest_first_and_by_each_fact():
    assert names() == ["pets-1", "pets-2", "cars-1", "pets-3", "cars-2"]
    assert names(task="detection") == ["cars-1", "cars-2"]
    assert names(model="RESNET", task="detection") == ["cars-1"]
    assert names(recipe="pets", limit=2) == ["pets-1", "pets-2"]
    assert names(since=NOW - timedelta(days=2, hours=1)) == ["pets-1", "pets-2", "cars-1"]
    assert names(state="training") == []


def test_chosen__orders():
    assert names(sort="score")[:2] == ["pets-2", "pets-1"]
    assert names(sort="score")[-1] == "pets-3"
    assert names(sort="seconds")[:2] == ["cars-2", "pets-2"]
    assert names(sort="id") == ["cars-1", "cars-2", "pets-1", "pets-2", "pets-3"]
    assert names(sort="model")[-1] == "cars-2"


def test_chosen__the_best_of_each_metric():
    assert names(best=1) == ["pets-2", "cars-2"]
    assert names(best=9) == ["pets-2", "pets-1", "cars-2", "cars-1"]


@pytest.mark.parametrize(
    ("text", "back"),
    [("90m", timedelta(minutes=90)), ("12h", timedelta(hours=12)), ("2w", timedelta(weeks=2))],
)
def test_moment__spans(text, back):
    assert parse_time(text, NOW) == NOW - back


def test_moment__days_and_nonsense():
    assert parse_time("2026-01-31").replace(tzinfo=None) == datetime(2026, 1, 31)
    assert parse_time("2026-01-31T12:00+00:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert parse_time("999999w", NOW) < parse_time("2000-01-01")
    for text in ("", "soon", "7", "-3d", "2026-13-01"):
        with pytest.raises(UsageError, match="not a time"):
            parse_time(text)


def test_summaries__a_thousand_runs_are_quick(tmp_path):
    stamp = "2026-01-01T00:00:00.000+00:00"
    losses = {"losses": {"cross_entropy": 0.5}, "metrics": {f"m{i}": 0.123456 for i in range(12)}}
    epochs = [
        {"time": stamp, "event": "epoch", "epoch": n, "total": 40, "lr": 0.1, **losses}
        for n in range(1, 41)
    ]
    events = [{"time": stamp, "event": "start"}, *epochs, {"time": stamp, "event": "trained"}]
    journal = "".join(json.dumps(event) + "\n" for event in events)
    plan = "task: detection\nmodel: fcos\n" + "# a reason\n" * 400
    for number in range(1000):
        folder = tmp_path / f"pets-20260101-{number:06d}"
        folder.mkdir()
        (folder / "journal.jsonl").write_text(journal)
        (folder / "plan.yaml").write_text(plan)
        (folder / "metrics.json").write_text('{"primary": "map", "map": 0.5, "split": "val"}')
        (folder / "provenance.json").write_text(json.dumps({"dataset_digest": "ab" * 32}))
    began = time.process_time()
    found = runs.summaries(tmp_path)
    took = time.process_time() - began
    assert len(found) == 1000
    assert (found[0].epochs, found[0].recipe, found[0].state) == (40, "pets", "scored")
    assert took < 3.0, f"{took:.2f} s of CPU"


def test_summaries__a_damaged_run_hides_no_other(tmp_path):
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text("task: detection\n")
    (tmp_path / "bad" / "metrics.json").write_text("{")
    assert {run.id: run.state for run in runs.summaries(tmp_path)} == {
        "good": "prepared", "bad": "damaged",
    }  # fmt: skip


def test_outline__agrees_with_the_whole_journal(run):
    from automl.record import journal

    whole, quick = journal.read(run.journal), runs.read_quickly(run.journal)
    assert [(e["time"], e["event"], e.get("epoch")) for e in whole] == [
        (e["time"], e["event"], e.get("epoch")) for e in quick
    ]
    with run.journal.open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00.000+00:00", "event": "epoch", "epoch": 3, "to')
    assert len(runs.read_quickly(run.journal)) == len(journal.read(run.journal)) == len(quick)
