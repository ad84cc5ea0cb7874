"""What a machine usually takes, learnt from its runs."""

import pytest

from automl.clock import Clock
from automl.planning.overhead import (
    KEPT,
    MOST_BUSY,
    USUAL_S,
    load_factor,
    overhead_seconds,
    record_overhead,
)
from tests.planning.situations import recipe


class Ran(Clock):
    """A clock that has run for some stages."""

    def __init__(self, **seconds: float) -> None:
        super().__init__(now=lambda: 0.0)
        self.seconds = seconds


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_around__usual_until_something_is_learnt(cache):
    asked = recipe("classification")
    found = overhead_seconds(asked, Ran(start=2.0, prepare=0.5, plan=0.1))
    assert found == {**USUAL_S, "start": 2.0, "prepare": 0.5}
    assert overhead_seconds(asked, Ran(plan=9.0))["plan"] == 9.0, (
        "what has passed is not to be had again"
    )


def test_around__a_record_that_is_off_takes_little(cache):
    assert overhead_seconds(recipe("classification", track={"mlflow": "off"}), Ran())["record"] < 1


def test_habits__are_those_of_an_idle_machine_and_longer_on_a_busy_one(cache):
    asked = recipe("classification")
    record_overhead(asked, Ran(report=6.0), slower=3.0)
    assert overhead_seconds(asked, Ran())["report"] == 2.0
    found = overhead_seconds(asked, Ran(start=2.0, prepare=1.0), slower=2.0)
    assert (found["report"], found["record"]) == (4.0, 2 * USUAL_S["record"])
    assert (found["start"], found["prepare"]) == (2.0, 1.0), "what has passed is no longer"
    assert 1 <= load_factor() <= MOST_BUSY


def test_habits__a_machine_that_was_slow_to_start_is_slow_until_it_is_known(cache):
    asked = recipe("classification")
    record_overhead(asked, Ran(report=6.0))
    found = overhead_seconds(asked, Ran(start=2 * USUAL_S["start"]))
    assert (found["report"], found["record"]) == (6.0, 2 * USUAL_S["record"])
    found = overhead_seconds(asked, Ran(start=100 * USUAL_S["start"]))
    assert found["record"] == MOST_BUSY * USUAL_S["record"]


def test_learn__a_start_that_nobody_timed_is_none(cache):
    asked = recipe("classification")
    record_overhead(asked, Ran(start=7e-05, report=2.0))
    assert overhead_seconds(asked, Ran())["start"] == USUAL_S["start"]


def test_learn__keeps_what_half_of_the_runs_took(cache):
    asked = recipe("classification")
    for seconds in (1.0, 9.0, 2.0, 3.0):
        ran = Ran(report=seconds, train=100.0)
        ran.setup_s = seconds / 2
        record_overhead(asked, ran)
    found = overhead_seconds(asked, Ran())
    assert (found["report"], found["setup"]) == (3.0, 1.5)
    assert found["record"] == USUAL_S["record"]
    assert overhead_seconds(recipe("detection"), Ran())["report"] == USUAL_S["report"]
    for _ in range(KEPT):
        record_overhead(asked, Ran(report=1.0))
    assert overhead_seconds(asked, Ran())["report"] == 1.0, "what is long ago is forgotten"


def test_learn__nothing_of_a_run_in_parts_and_nothing_where_nothing_can_be_kept(cache, monkeypatch):
    asked, resumed = recipe("classification"), Ran(report=50.0)
    resumed.resumed = True
    record_overhead(asked, resumed)
    assert not cache.exists()
    cache.write_text("a file is in the way")
    record_overhead(asked, Ran(report=50.0))
    monkeypatch.setenv("AUTOML_CACHE", "off")
    record_overhead(asked, Ran(report=50.0))
    assert overhead_seconds(asked, Ran())["report"] == USUAL_S["report"]


@pytest.mark.parametrize("text", ["", "[]", '{"x": 1}', "\xff", "nul"])
def test_around__a_damaged_file_is_as_good_as_none(cache, text):
    cache.mkdir()
    (cache / "times.json").write_text(text, encoding="utf-8")
    assert overhead_seconds(recipe("classification"), Ran())["report"] == USUAL_S["report"]
