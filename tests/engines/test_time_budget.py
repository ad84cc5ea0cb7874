"""A promised time in steps: driven by a clock that the test turns on."""

import pytest

from automl.clock import Clock
from automl.engines.time_budget import TimeBudget
from automl.planning.times import UNTOUCHED


class World:
    """A machine whose step takes `step_s` and whose validation takes `ending_s`."""

    def __init__(self, promise: float, step_s: float, ending_s: float, **facts) -> None:
        self.time, self.step_s, self.ending_s = 0.0, step_s, ending_s
        self.after_s = facts.pop("after_s", 0.0)
        usual = {
            "steps_per_epoch": 10,
            "most_steps": 10_000,
            "batch_size": 8,
            "val_images": 20,
            "scored_images": 0,
        }
        self.clock = Clock(now=lambda: self.time)
        self.budget = TimeBudget(
            self.clock, promise_s=promise, after_s=self.after_s, **{**usual, **facts}
        )  # fmt: skip
        self.ends: list[int] = []

    def train(self, planned: int, slower=lambda done: 1.0) -> int:
        """Trains to the end as an engine does; the steps that were taken."""
        budget, end, epoch, steps = self.budget, planned, 0, self.budget.steps_per_epoch
        end = budget.total_steps(0, 0, end, now=True)
        while epoch * steps < end:
            budget.start_step()
            at = 0
            while at < min(steps, end - epoch * steps):
                self.time += self.step_s * slower(epoch * steps + at)
                at += 1
                budget.step_done()
                end = self.told(budget.total_steps(epoch, at, end), end)
            self.time += self.ending_s * slower(epoch * steps + at)
            if at < steps:
                return epoch * steps + at
            budget.epoch_done()
            epoch += 1
            end = self.told(budget.total_steps(epoch, 0, end, now=True), end)
        return epoch * steps

    def told(self, end: int, before: int) -> int:
        if end != before:
            self.ends.append(end)
        return end


@pytest.mark.parametrize("planned", [10, 100, 1000, 100_000])
@pytest.mark.parametrize(("step_s", "ending_s"), [(0.1, 0.2), (1.0, 3.0), (0.01, 0.001)])
def test_total_steps__fills_the_promise_and_keeps_it(planned, step_s, ending_s):
    world = World(100.0, step_s, ending_s)
    world.train(planned)
    assert 85 < world.time <= 100 or world.budget.most_steps * step_s < 100


@pytest.mark.parametrize("factor", [0.3, 2.0, 4.0])
def test_total_steps__kept_where_the_machine_changes_its_speed(factor):
    world = World(100.0, 0.5, 1.0)
    world.train(150, slower=lambda done: factor if done > 60 else 1.0)
    assert 85 < world.time <= 105


def test_total_steps__an_epoch_that_does_not_fit_ends_within_and_is_judged():
    world = World(10.0, 1.0, 1.0, steps_per_epoch=50, batch_size=10, val_images=20)
    taken = world.train(50)
    assert 5 <= taken <= 9
    assert 8.5 < world.time <= 10.5


def test_total_steps__at_least_one_step_and_no_more_where_the_time_is_over():
    world = World(1.0, 5.0, 5.0)
    assert world.train(100) == 1


def test_total_steps__never_more_than_help():
    world = World(1000.0, 0.1, 0.1, most_steps=40)
    assert world.train(20) == 40
    assert world.time < 10


def test_remaining_s__keeps_free_what_follows_and_more_on_a_machine_that_slows():
    quiet = World(100.0, 0.5, 1.0, after_s=20.0, scored_images=20)
    quiet.train(100)
    assert 65 < quiet.time <= 79
    busy = World(100.0, 0.5, 1.0, after_s=20.0, scored_images=20)
    busy.train(100, slower=lambda done: 2.0 if done > 30 else 1.0)
    assert busy.time <= 100 - 2 * 21 + 3


def test_total_steps__images_larger_than_crops_are_given_more_time_before_they_are_measured():
    facts = {"steps_per_epoch": 50, "batch_size": 10, "val_images": 20}
    world = World(40.0, 1.0, 8.0, **facts, val_pixels=8.0)
    world.train(50)
    assert world.time <= 40 * 1.05
    unaware = World(40.0, 1.0, 8.0, **facts)
    unaware.train(50)
    assert unaware.time > world.time


def test_total_steps__is_seldom_changed():
    world = World(100.0, 0.1, 0.2)
    world.train(100)
    assert len(world.ends) <= 12


@pytest.mark.parametrize("stalls", [(0,), (7,), (0, 7), (55,)])
def test_total_steps__a_stall_such_as_compiling_costs_its_own_time_alone(stalls):
    facts = {"steps_per_epoch": 9000, "most_steps": 90_000, "batch_size": 64}
    world = World(600.0, 0.02, 1.0, after_s=75.0, **facts)
    world.train(30_000, slower=lambda done: 3000.0 if done in stalls else 1.0)
    assert 500 < world.time <= 525


def test_step_done__steps_that_were_not_waited_for_take_their_mean():
    launched, synchronised = World(100.0, 0.0, 0.0), World(100.0, 0.0, 0.0)
    for number in range(200):
        launched.time += 0.01 if (number + 1) % 10 else 0.91
        launched.budget.step_done(settled=number == 0 or not (number + 1) % 10)
        synchronised.time += 0.1
        synchronised.budget.step_done()
    assert launched.budget.step_s == pytest.approx(0.1, rel=0.05)
    assert synchronised.budget.step_s == pytest.approx(0.1)


def test_total_steps__a_stall_within_the_first_group_that_is_waited_for_is_set_up():
    world = World(600.0, 0.1, 1.0, steps_per_epoch=1000)
    end = 900
    for at in range(1, 60):
        world.time += 60.0 if at == 3 else 0.1
        world.budget.step_done(settled=not at % 7)
        end = world.budget.total_steps(0, at, end)
    assert end > 4000


@pytest.mark.parametrize(("promise", "slow_start"), [(20.0, True), (8.0, True), (20.0, False)])
def test_total_steps__what_a_card_sets_up_says_nothing_of_other_steps(promise, slow_start):
    world = World(promise, 0.01, 1.0, val_images=80, slow_start=slow_start)
    world.budget.start_step()
    world.time += 5.0
    world.budget.step_done()
    assert world.budget.total_steps(0, 1, 400) == (400 if slow_start else 1)
    for _ in range(3):  # another step is timed before anything is said
        world.time += 0.01
        world.budget.step_done()
    assert not world.budget.knows_little
    assert world.budget.total_steps(0, 4, 400) > (400 if promise > 10 else 100)


def test_step_done__groups_that_stay_slow_are_a_slower_machine_and_no_stall():
    world = World(60.0, 0.0, 0.0, steps_per_epoch=1000)
    for number in range(1, 31):
        world.time += 0.02 if number < 5 else 0.4
        world.budget.step_done(settled=number < 5 or not number % 10)
    assert world.budget.step_s > 0.25
    assert world.budget.total_steps(0, 30, 1500, now=True) < 300, "at 0.4 s there is time for 150"


def test_step_done__a_stall_in_a_group_counts_as_one_step_does():
    launched, synchronised = World(100.0, 0.0, 0.0), World(100.0, 0.0, 0.0)
    for number in range(1, 221):
        took = 60.0 if number == 205 else 0.1
        for world, settled in ((launched, not number % 10), (synchronised, True)):
            world.time += took
            world.budget.step_done(settled=settled or number < 5)
        if number == 210:
            assert launched.budget.step_s < 0.1 * 1.7
    assert synchronised.budget.step_s < 0.1 * 1.7


def test_total_steps__an_answer_is_fine_tuned_on_after_a_first_step():
    world = World(40.0, 0.5, 5.0)
    world.budget.epoch_end_s = 5.0
    world.time = 20.0
    assert world.budget.total_steps(0, 0, 50, now=True, answered=True) == 50
    world.budget.start_step()
    world.time += 6.0
    world.budget.step_done()
    assert world.budget.total_steps(0, 1, 50, answered=True) == 50, "13 s are left, not 3 * 5"
    world.time += 8.5
    assert world.budget.total_steps(0, 1, 50, answered=True) == 1


def test_total_steps__an_unfinished_epoch_goes_on_after_a_restart():
    world = World(100.0, 1.0, 1.0)
    assert world.budget.total_steps(2, 1, 60, now=True) == 60, "nothing is measured yet"
    world.budget.start_step()
    for at in range(2, 7):
        world.time += 1
        world.budget.step_done()
        end = world.budget.total_steps(2, at, 60, now=True)
    assert 26 + 75 < end <= 26 + 95


def test_total_steps__a_restart_after_the_time_is_over_takes_what_is_there():
    world = World(10.0, 1.0, 1.0)
    world.time = 20.0
    assert world.budget.total_steps(3, 0, 60, now=True) == 30
    assert world.budget.total_steps(3, 4, 60, now=True) == 34
    assert world.budget.total_steps(0, 0, 60, now=True) == 60, "nothing would be kept"


def test_margin__is_part_of_what_may_be_unused():
    assert 0 < UNTOUCHED < 0.05


@pytest.mark.parametrize(("left_s", "total"), [(31.0, 50), (29.0, 0)])
def test_total_steps__an_answer_is_tuned_where_there_is_time_to_judge_that(left_s, total):
    """Before the first step, what judging takes is known from the answer itself."""
    world = World(100.0, step_s=1.0, ending_s=10.0, epoch_end_s=10.0)
    world.time = 100 * (1 - UNTOUCHED) - left_s
    assert world.budget.total_steps(0, 0, 50, now=True, answered=True) == total
    assert world.budget.total_steps(0, 0, 50, now=True) == 50, "without one, something is trained"


def test_total_steps__none_where_an_instant_answer_has_used_up_the_time():
    world = World(10.0, 1.0, 1.0)
    world.time = 9.95
    assert world.budget.total_steps(0, 0, 60, now=True, answered=True) == 0
    assert world.budget.total_steps(0, 0, 60, now=True) == 60, "nothing would be kept"
