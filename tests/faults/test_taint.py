"""Data that is edited while a run trains: noticed at its end, said wherever the run is shown."""

import json
import os
import shutil
from pathlib import Path

import pytest

from automl import pipeline
from automl.commands.summary import run_facts, run_lines, runs_lines
from automl.data.verify import recheck
from automl.dataset import Dataset
from automl.record import journal, runs, taint
from automl.record.mlflow_facts import read_facts
from automl.report import page
from automl.talk import Silent
from tests.toy_run import planned_run


class Editor(Silent):
    """Changes a file as soon as the first step of training is told of."""

    def __init__(self, edit) -> None:
        self.edit, self.lines = edit, []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, label: str, done: int, total: int, note: str = "") -> None:
        if label.startswith("epoch") and self.edit:
            edit, self.edit = self.edit, None
            edit()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return planned_run(tmp_path, "segmentation", epochs=1)


def replaced(path: Path, other: Path) -> None:
    """An edit that the time of change does not give away."""
    facts = path.stat()
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_train__an_edit_is_noticed_and_said_everywhere(run):
    data = Path(Dataset.read(run.dataset).root)

    def edit() -> None:
        replaced(data / "000.png", data / "002.png")
        replaced(data / "mask-001.png", data / "mask-003.png")

    told = Editor(edit)
    pipeline.train(run, told)

    assert told.edit is None  # it did happen
    event = next(e for e in journal.read(run.journal) if e["event"] == "tainted")
    assert (event["changed"], event["files"]) == (2, ["000.png", "mask-001.png"])
    line = "tainted: the data was changed during training: 000.png, mask-001.png"
    assert any(text.startswith(line) for text in told.lines)
    origin = json.loads(run.provenance.read_text())["dataset"]
    assert origin["after"]["digest"] != origin["digest"]
    assert taint.taint_notice(run).startswith(line)
    assert runs.summary(run.root).tainted
    assert "tainted" in runs_lines([runs.summary(run.root)])[1]
    assert any(line in text for text in run_lines(run_facts(run)))
    assert read_facts(run).tags["automl.tainted"] == "true"
    page.write(run)
    assert "Tainted</b> · the data was changed" in run.report.read_text()


def test_train__untouched_data_says_nothing(run):
    told = Editor(None)
    pipeline.train(run, told)
    assert "tainted" not in run.journal.read_text()
    origin = json.loads(run.provenance.read_text())["dataset"]
    assert origin["after"]["digest"] == origin["digest"]
    assert "automl.tainted" not in read_facts(run).tags
    assert not runs.summary(run.root).tainted


def test_evaluate__a_change_of_the_judged_split(run, monkeypatch):
    pipeline.train(run, Silent())
    judged = Path(Dataset.read(run.dataset).root) / "020.png"
    shutil.copy(judged.with_name("021.png"), judged)
    monkeypatch.setenv("DVC_STAGE", "evaluate")
    told = Editor(None)
    pipeline.evaluate(run, told)
    differs = "tainted: the data differs from what the run was trained on: 020.png"
    assert any(differs in text for text in told.lines)
    assert not taint.taint_notice(run)  # the journal is another stage's output
    monkeypatch.delenv("DVC_STAGE")
    pipeline.evaluate(run, Silent())
    assert differs in taint.taint_notice(run)
    assert runs.summary(run.root).tainted


def test_evaluate__of_data_that_was_brought_back_takes_the_mark_away(run):
    pipeline.train(run, Silent())
    judged = Path(Dataset.read(run.dataset).root) / "020.png"
    genuine = judged.read_bytes()
    shutil.copy(judged.with_name("021.png"), judged)
    pipeline.evaluate(run, Silent())
    judged.write_bytes(genuine)
    told = Editor(None)
    pipeline.evaluate(run, told)
    pipeline.evaluate(run, told)
    assert not any("differs" in text for text in told.lines)
    assert not taint.taint_notice(run)
    assert not runs.summary(run.root).tainted
    assert read_facts(run).tags["automl.tainted"] == "false"
    assert run.journal.read_text().count('"tainted"') == 2


def test_train__of_a_finished_run_says_what_was_edited_since_and_keeps_it_sound(run):
    pipeline.train(run, Silent())
    origin = json.loads(run.provenance.read_text())["dataset"]
    edited = Path(Dataset.read(run.dataset).root) / "000.png"
    shutil.copy(edited.with_name("002.png"), edited)
    told = Editor(None)
    pipeline.train(run, told)
    line = "the data differs from what the run was trained on: 000.png; the model is as it was"
    assert line in told.lines
    assert not taint.taint_notice(run)
    assert not runs.summary(run.root).tainted
    assert json.loads(run.provenance.read_text())["dataset"] == origin


def test_train__of_a_finished_run_tells_the_time_of_all_of_it(run):
    pipeline.train(run, Silent())
    pipeline.train(run, Silent())
    first, second = (e["seconds"] for e in journal.read(run.journal) if e["event"] == "trained")
    assert second > first


def test_recheck__folders_that_changed_places(run):
    dataset = Dataset.read(run.dataset)
    root = Path(dataset.root)
    (root / "000.png").rename(root / "spare")
    (root / "001.png").rename(root / "000.png")
    (root / "spare").rename(root / "001.png")
    again = recheck(dataset, Silent())
    assert again.changed == ("000.png", "001.png")
    assert again.dataset.digest != dataset.digest
    assert recheck(dataset, Silent(), "val").changed == ()


def test_line__names_a_few():
    event = {"stage": "train", "changed": 12, "files": [f"{n}.png" for n in range(10)]}
    assert "0.png, 1.png, 2.png and 9 more; run again" in taint.line(event)
