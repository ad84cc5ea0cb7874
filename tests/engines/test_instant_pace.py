"""The steps of an instant answer within a promised time, by a clock that the test turns on."""

import pytest

from automl.clock import Clock
from automl.engines.instant_pace import SPARED, InstantPace, instant_pace
from automl.engines.recorded_schedule import recorded
from automl.planning.instant_rules import LEAST_IMAGES
from automl.planning.times import UNTOUCHED
from tests.engines.toy import draw_set, plan_of, toy_plan


class Machine:
    """Takes steps of so many seconds, as an answer does."""

    def __init__(self, promise_s=None, after_s=0.0, repeated=(), most=0):
        self.time, self.events = 0.0, []
        clock = Clock(now=lambda: self.time)
        self.pace = InstantPace(clock, promise_s, after_s, repeated, self.events.append, most)

    def taken(self, planned, step_s=lambda done: 1.0):
        done, steps = 0, self.pace.begin(planned)
        while done < steps:
            self.time += step_s(done)
            done += 1
            steps = self.pace.after_step(done, steps)
        return done

    @property
    def decided(self):
        assert {event.kind for event in self.events} <= {"pace"}
        return [(e.facts["instant_step"], e.facts["instant_steps"]) for e in self.events]


def test_steps__are_those_of_the_plan_where_nothing_is_promised():
    machine = Machine()
    assert machine.taken(50) == 50
    assert machine.events == []


def test_steps__are_those_of_the_plan_where_they_fit():
    machine = Machine(promise_s=100.0, after_s=20.0)
    assert machine.taken(50) == 50
    assert machine.decided == [(0, 50)], "what it begins with is recorded"


@pytest.mark.parametrize("slower_from", [0, 10, 30])
def test_steps__are_fewer_where_they_would_not_fit_and_use_the_time(slower_from):
    machine = Machine(promise_s=100.0, after_s=20.0)
    taken = machine.taken(70, lambda done: 2.5 if done >= slower_from else 1.0)
    assert taken < 70
    assert 72 <= machine.time <= 80, "what follows keeps its time"
    assert machine.decided[-1][1] == taken


def test_steps__the_first_is_setup_and_says_nothing():
    machine = Machine(promise_s=100.0)
    assert machine.taken(60, lambda done: 30.0 if not done else 1.0) == 60


def test_images__are_those_of_the_plan_where_they_fit_or_nothing_is_promised():
    assert Machine().pace.images(5000, 1.0, 100) == 5000
    machine = Machine(promise_s=100.0, after_s=20.0)
    assert machine.pace.images(5000, 0.01, 100) == 5000
    assert machine.decided == [(0, 5000)]


def test_images__are_fewer_where_reading_takes_long_and_a_reproduction_takes_as_many():
    machine = Machine(promise_s=100.0, after_s=20.0)
    machine.time = 10.0
    count = machine.pace.images(5000, 0.05, 100)
    assert LEAST_IMAGES < count < 5000
    assert 50 < 0.05 * (count + 100) < 70, "what follows keeps its time"
    assert f"{count} of 5000 images" in machine.events[0].text
    again = Machine(promise_s=100.0, repeated=machine.decided)
    assert again.pace.images(5000, 99.0, 100) == count
    assert Machine(promise_s=9.0, after_s=20.0).pace.images(5000, 1.0, 0) == LEAST_IMAGES
    assert Machine(promise_s=9.0, after_s=20.0).pace.images(50, 1.0, 0) == 50


def test_steps__end_soon_where_the_time_is_over():
    machine = Machine(promise_s=10.0, after_s=20.0)
    assert 1 <= machine.taken(50) <= 4


def test_steps__a_reproduction_repeats_them_whatever_the_time():
    first = Machine(promise_s=100.0)
    taken = first.taken(90, lambda done: 3.0)
    assert len(first.decided) > 1
    events = [{"event": e.kind, **e.facts} for e in first.events]
    # stopped within a first attempt, of which nothing counts
    events = [{"event": "pace", "instant_step": 5, "instant_steps": 7}, *events]
    repeated = recorded(plan_of("detection", budget_s=5.0), events).instant_ends
    assert list(repeated) == first.decided
    again = Machine(promise_s=100.0, repeated=repeated)
    assert again.taken(90, lambda done: 0.01) == taken


def test_pace__keeps_what_follows_free(tmp_path):
    toy = draw_set("detection", tmp_path, train=2, val=1)
    known = {"evaluate": 3.0, "report": 2.0, "record": 4.0, "end": 1.0, "prepare": 50.0}
    plan = toy_plan("detection", toy).model_copy(update={"budget_s": 60.0, "expected_s": known})
    assert instant_pace(plan, Clock(), (), print).after_s == 2 * 3.0 + 7.0
    alone = instant_pace(plan, None, (), print)  # a stage by itself: the promise is its own
    assert (alone.promise_s, alone.after_s) == (60.0, 3.0)
    assert 0 < UNTOUCHED < 0.05


def test_steps__are_more_where_the_machine_is_faster_than_planned():
    machine = Machine(promise_s=100.0, after_s=20.0, most=60)
    assert machine.taken(20) == 60, "never more than gain anything"
    machine = Machine(promise_s=100.0, after_s=20.0, most=800)
    taken = machine.taken(20)
    assert 70 <= taken == machine.decided[-1][1]
    assert machine.time <= 80 - 100 * SPARED + 1, "what follows is an estimate"
    assert len(machine.decided) <= 4, "the rate falls to zero at the last step: rarely changed"


def test_steps__a_given_number_stays():
    machine = Machine(promise_s=100.0, after_s=20.0, most=20)
    assert machine.taken(20) == 20
