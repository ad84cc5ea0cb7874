"""What `dvc repro` clears before it repeats a stopped stage comes back; a finished one's not."""

import json
from pathlib import Path

import pytest

from automl import dvc_resume
from automl.record import journal
from automl.record.journal import Journal
from automl.run_dir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "run")
    Journal(run.journal).write("start")
    run.provenance.write_text('{"first": 1}')
    dvc_resume.keep(run)
    dvc_resume.keep_origin(run)
    return run


def told(run: RunDir) -> list[str]:
    return [event["event"] for event in journal.read(run.journal)]


def test_bring_back__all_lines_and_the_origin(run: RunDir) -> None:
    Journal(run.journal).write("epoch", epoch=1)
    dvc_resume.keep(run)
    run.journal.unlink()
    run.provenance.unlink()
    dvc_resume.bring_back(run)
    Journal(run.journal).write("epoch", epoch=2)
    assert told(run) == ["start", "epoch", "epoch"]
    assert json.loads(run.provenance.read_text()) == {"first": 1}
    assert run.journal.samefile(run.checkpoints / "journal.jsonl")


def test_bring_back__in_place_of_another_training_s(run: RunDir) -> None:
    for path, text in ((run.journal, ""), (run.provenance, '{"other": 1}')):
        path.unlink()
        path.write_text(text)
    dvc_resume.bring_back(run)
    assert told(run) == ["start"]
    assert json.loads(run.provenance.read_text()) == {"first": 1}


def test_bring_back__leaves_what_is_there(run: RunDir) -> None:
    run.provenance.write_text('{"newer": 1}')
    dvc_resume.bring_back(run)
    assert told(run) == ["start"]
    assert json.loads(run.provenance.read_text()) == {"newer": 1}


def test_let_go__a_finished_training_is_not_brought_back(run: RunDir) -> None:
    dvc_resume.let_go(run)
    run.journal.unlink()
    dvc_resume.bring_back(run)
    assert not run.journal.exists()


def test_keep__a_disk_without_hard_links_costs_nothing(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "no links here")

    (run.checkpoints / "journal.jsonl").unlink()
    monkeypatch.setattr("os.link", refused)
    dvc_resume.keep(run)
    assert told(run) == ["start"]
