import resource
from datetime import UTC, datetime

import pytest

from automl.errors import DataError, MachineError
from automl.record import journal
from automl.record.journal import Journal


def test_write__one_line_each_with_its_time(tmp_path):
    log = Journal(tmp_path / "new" / "journal.jsonl")
    before = datetime.now(UTC)
    log.write("start", recipe="pets.yaml", run="a")
    log.write("epoch", epoch=1, losses={"train": 0.5}, name="größe\nzwei")
    events = journal.read(log.path)
    assert [event["event"] for event in events] == ["start", "epoch"]
    assert events[1]["name"] == "größe\nzwei"
    assert log.path.read_text().count("\n") == 2
    stamp = datetime.fromisoformat(events[0]["time"])
    assert abs((stamp - before).total_seconds()) < 5
    assert stamp.utcoffset().total_seconds() == 0


def test_read__a_line_cut_short_costs_that_line_only(tmp_path):
    log = Journal(tmp_path / "journal.jsonl")
    log.write("start")
    with log.path.open("ab") as file:
        file.write(b'{"time": "2026-01-01T00:00:0')
    log.write("end")
    assert [event["event"] for event in journal.read(log.path)] == ["start", "end"]


def test_read__missing_is_empty_and_foreign_is_refused(tmp_path):
    assert journal.read(tmp_path / "none.jsonl") == []
    (tmp_path / "notes.txt").write_text("hello\n")
    with pytest.raises(DataError) as caught:
        journal.read(tmp_path / "notes.txt")
    assert caught.value.faults[0].where.endswith("notes.txt:1")


def events(*names):
    made = [name.split() for name in names]
    return [{"event": n[0], **({"epoch": int(n[1])} if n[1:] else {})} for n in made]


def test_last_training__the_later_of_two():
    told = events("start", "epoch 1", "trained", "start", "epoch 1", "trained", "scores")
    assert journal.last_training(told) == told[3:]


def test_last_training__a_resumed_one_is_one():
    told = events("start", "epoch 1", "start", "epoch 1", "epoch 2", "start", "epoch 3", "trained")
    assert journal.last_training(told) == told[2:]


def test_last_training__one_that_goes_on_after_its_instant_answer_is_one():
    told = events("start", "epoch 1", "start", "start", "epoch 0", "start", "epoch 1", "trained")
    for number, anew in ((0, True), (2, True), (3, False), (5, False)):
        told[number]["anew"] = anew
    assert journal.last_training(told) == told[3:]


def test_last_training__a_start_without_epochs_belongs_to_what_was():
    told = events("start", "epoch 1", "trained", "start", "trained")
    assert journal.last_training(told) == told
    assert journal.last_training([]) == []


def test_epochs__the_later_of_two_alike_counts():
    told = events("epoch 1", "epoch 2", "epoch 2", "epoch 3")
    told[2]["again"] = True
    found = journal.epochs(told)
    assert [event["epoch"] for event in found] == [1, 2, 3]
    assert found[1]["again"]


def test_told_epochs__of_the_training_that_last_began_anew():
    told = events("start", "epoch 1", "epoch 2", "start", "epoch 1", "start", "epoch 2")
    assert journal.told_epochs(told[:3]) == {1, 2}
    told[3]["anew"] = True
    assert journal.told_epochs(told[:4]) == set()
    assert journal.told_epochs(told) == {1, 2}


def test_write__a_line_that_does_not_fit_leaves_nothing_of_it(tmp_path):
    log = Journal(tmp_path / "journal.jsonl")
    log.write("start")
    before = log.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(MachineError, match="a line of the journal: File too large"):
            log.write("epoch", losses={"long": list(range(1000))})
        assert log.path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.write("end")
    assert [event["event"] for event in journal.read(log.path)] == ["start", "end"]
