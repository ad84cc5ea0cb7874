"""A promised time in steps: driven by a clock that the test turns on."""

import pytest

from automl.clock import Clock
from automl.engines.time_budget import MARGIN, Pace


class World:
    """A machine whose step takes `step_s` and whose validation takes `ending_s`."""

    def __init__(self, promise: float, step_s: float, ending_s: float, **facts) -> None:
        self.time, self.step_s, self.ending_s = 0.0, step_s, ending_s
        self.after_s = facts.pop("after_s", 0.0)
        usual = {"steps": 10, "most": 10_000, "batch": 8, "validated": 20, "judged": 0}
        self.clock = Clock(now=lambda: self.time)
        self.pace = Pace(
            self.clock, promise=promise, after_s=self.after_s, **{**usual, **facts}
        )  # fmt: skip
        self.ends: list[int] = []

    def train(self, planned: int, slower=lambda done: 1.0) -> int:
        """Trains to the end as an engine does; the steps that were taken."""
        pace, end, epoch, steps = self.pace, planned, 0, self.pace.steps
        end = pace.end(0, 0, end, due=True)
        while epoch * steps < end:
            pace.begin()
            at = 0
            while at < min(steps, end - epoch * steps):
                self.time += self.step_s * slower(epoch * steps + at)
                at += 1
                pace.stepped()
                end = self.told(pace.end(epoch, at, end), end)
            self.time += self.ending_s * slower(epoch * steps + at)
            if at < steps:
                return epoch * steps + at
            pace.ended()
            epoch += 1
            end = self.told(pace.end(epoch, 0, end, due=True), end)
        return epoch * steps

    def told(self, end: int, before: int) -> int:
        if end != before:
            self.ends.append(end)
        return end


@pytest.mark.parametrize("planned", [10, 100, 1000, 100_000])
@pytest.mark.parametrize(("step_s", "ending_s"), [(0.1, 0.2), (1.0, 3.0), (0.01, 0.001)])
def test_end__fills_the_promise_and_keeps_it(planned, step_s, ending_s):
    world = World(100.0, step_s, ending_s)
    world.train(planned)
    assert 85 < world.time <= 100 or world.pace.most * step_s < 100


@pytest.mark.parametrize("factor", [0.3, 2.0, 4.0])
def test_end__kept_where_the_machine_changes_its_speed(factor):
    world = World(100.0, 0.5, 1.0)
    world.train(150, slower=lambda done: factor if done > 60 else 1.0)
    assert 85 < world.time <= 105


def test_end__an_epoch_that_does_not_fit_ends_within_and_is_judged():
    world = World(10.0, 1.0, 1.0, steps=50, batch=10, validated=20)
    taken = world.train(50)
    assert 5 <= taken <= 9
    assert 8.5 < world.time <= 10.5


def test_end__at_least_one_step_and_no_more_where_the_time_is_over():
    world = World(1.0, 5.0, 5.0)
    assert world.train(100) == 1


def test_end__never_more_than_help():
    world = World(1000.0, 0.1, 0.1, most=40)
    assert world.train(20) == 40
    assert world.time < 10


def test_left_s__keeps_free_what_follows_and_more_on_a_machine_that_slows():
    quiet = World(100.0, 0.5, 1.0, after_s=20.0, judged=20)
    quiet.train(100)
    assert 65 < quiet.time <= 79
    busy = World(100.0, 0.5, 1.0, after_s=20.0, judged=20)
    busy.train(100, slower=lambda done: 2.0 if done > 30 else 1.0)
    assert busy.time <= 100 - 2 * 21 + 3


def test_end__images_larger_than_crops_are_given_more_time_before_they_are_measured():
    facts = {"steps": 50, "batch": 10, "validated": 20}
    world = World(40.0, 1.0, 8.0, **facts, larger=8.0)
    world.train(50)
    assert world.time <= 40 * 1.05
    unaware = World(40.0, 1.0, 8.0, **facts)
    unaware.train(50)
    assert unaware.time > world.time


def test_end__is_seldom_changed():
    world = World(100.0, 0.1, 0.2)
    world.train(100)
    assert len(world.ends) <= 12


def test_end__an_unfinished_epoch_goes_on_after_a_restart():
    world = World(100.0, 1.0, 1.0)
    assert world.pace.end(2, 1, 60, due=True) == 60, "nothing is measured yet"
    world.pace.begin()
    for at in range(2, 7):
        world.time += 1
        world.pace.stepped()
        end = world.pace.end(2, at, 60, due=True)
    assert 26 + 75 < end <= 26 + 95


def test_end__a_restart_after_the_time_is_over_takes_what_is_there():
    world = World(10.0, 1.0, 1.0)
    world.time = 20.0
    assert world.pace.end(3, 0, 60, due=True) == 30
    assert world.pace.end(3, 4, 60, due=True) == 34
    assert world.pace.end(0, 0, 60, due=True) == 60, "nothing would be kept"


def test_margin__is_part_of_what_may_be_unused():
    assert 0 < MARGIN < 0.05
