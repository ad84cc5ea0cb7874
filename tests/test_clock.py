"""Seconds by stage, on a clock that the test turns."""

import json
from pathlib import Path

import pytest

from automl.clock import BEAT_S, Clock, process_age, read, timed


class Hand:
    """The time, moved by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_clock__counts_from_the_start_of_the_command_without_gaps(hand):
    clock = Clock(age=4.0, now=hand)
    hand.time += 1
    with clock.stage("prepare"):
        hand.time += 2
    hand.time += 0.5
    with clock.stage("plan"):
        hand.time += 3
    assert clock.passed() == {"start": 5.0, "prepare": 2.5, "plan": 3.0}
    assert clock.spent == 10.5


def test_clock__goes_on_where_an_attempt_ended_and_down_time_does_not_count(tmp_path, hand):
    file = tmp_path / "times.json"
    first = Clock(file, age=1.0, now=hand)
    with first.stage("train"):
        hand.time += 20
    hand.time += 3600
    second = Clock(file, age=2.0, now=hand)
    assert second.resumed
    with second.stage("train"):
        hand.time += 5
    assert read(file) == {"start": 3.0, "train": 25.0}
    assert second.spent == 28


def test_clock__a_kill_loses_no_more_than_a_beat(tmp_path, hand):
    file = tmp_path / "times.json"
    clock = Clock(file, now=hand)
    with clock.stage("train"):
        for _ in range(30):
            hand.time += 1
            clock.beat()
        assert clock.spent - sum(read(file).values()) < BEAT_S


def test_timed__a_stage_alone_begins_itself_and_what_follows_anew(tmp_path):
    file = tmp_path / "times.json"
    file.write_text(json.dumps({"prepare": 3.0, "plan": 1.0, "train": 60.0, "report": 2.0}))
    with timed(file, "plan", None):
        pass
    assert set(read(file)) == {"start", "prepare", "plan"}
    assert read(file)["prepare"] == 3.0
    assert read(file)["plan"] < 1.0


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"train": "x"}', '{"train": -1, "else": 2}'])
def test_read__what_is_damaged_counts_for_nothing(tmp_path: Path, text: str):
    (tmp_path / "times.json").write_text(text)
    assert read(tmp_path / "times.json") == {}


def test_keep__without_a_folder_or_room_nothing_happens(tmp_path, hand):
    Clock(tmp_path / "none" / "times.json", now=hand).keep()
    assert list(tmp_path.iterdir()) == []


def test_process_age__is_that_of_this_process():
    first = process_age()
    assert 0 <= first <= process_age()
