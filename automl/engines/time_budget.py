"""How many steps a promised time allows: planned anew as steps and validations are measured.

The learning rate falls to zero at the last step, so the number of steps is decided ahead and
changed only where it has come to differ. A training that cannot finish one epoch ends within it.
"""

import math
from dataclasses import dataclass, field

from automl.clock import Clock
from automl.dataset import Dataset
from automl.plan import Plan
from automl.planning.cost import decode_seconds
from automl.planning.hardware import cores
from automl.planning.overhead import USUAL_S
from automl.planning.times import UNTOUCHED

MEMORY = 16
"""Steps that the mean time of a step looks back on."""
SETTLED = 4
"""Steps before which their time says little: it is looked at only where the promise is near."""
FEWER, MORE = 0.04, 0.08
"""Shares of the steps ahead by which their number must be wrong before it is changed."""
NOISE = 1.25
"""Steps slower than the first ones by more than this are a machine that has become slower."""
OUTLIER = 8.0
"""Times the mean that a single step counts for at most: compiling again takes a minute, once."""
FIRST = 32
"""Steps whose mean is what the machine took before."""
EVERY = 0.01
"""Share of the promise between two looks at it."""
GUESSED_VALIDATION = 0.4
"""Seconds of validating an image in those of training on one, until it is measured."""
WORTH = 0.5
"""A last part of an epoch trains for at least this share of the time that judging it takes."""
AFTER_ANSWER = 3.0
"""Validations for which there must be time, or an answer is not fine-tuned: it would be no use."""


@dataclass
class TimeBudget:
    """How many steps fit between a clock and the promised time.

    More than `most_steps` gain nothing. `after_s` is what follows the training, without the scoring
    of `scored_images`, each of which takes as long as one of the `val_images`. A position is the
    number of finished epochs and of finished steps of the next one.
    """

    clock: Clock
    promise_s: float
    steps_per_epoch: int
    most_steps: int
    batch_size: float
    val_images: int
    scored_images: int
    after_s: float
    val_pixels: float = 1.0
    """Pixels of a validated image in those of one that is trained on: training may see crops."""
    slow_start: bool = False
    """The first step sets up so much, for a card or by a compiler, that it tells nothing."""
    step_s: float = 0.0
    first_steps_s: float = 0.0
    epoch_end_s: float = 0.0
    """From the last step of an epoch to the first of the next, when a step took `_step_s_then`."""
    _step_s_then: float = 0.0
    _count: int = 0
    _first_s: float = 0.0
    _unsettled: int = 0
    _stalled: bool = False
    _mark: float = 0.0
    _looked: float = field(default=float("-inf"))

    def __post_init__(self) -> None:
        """A process may begin with a validation."""
        self._mark = self.clock.now()

    @property
    def knows_little(self) -> bool:
        """Whether so few steps are timed that a card should be waited for after the next."""
        return self._count < SETTLED

    def start_step(self) -> None:
        """The first of several steps begins."""
        self._mark, self._unsettled = self.clock.now(), 0

    def step_done(self, *, settled: bool = True) -> None:
        """A step is done; not `settled`: an accelerator has not been waited for."""
        self._unsettled += 1
        if not settled:
            return
        now, steps = self.clock.now(), self._unsettled
        took, self._mark, self._unsettled = (now - self._mark) / steps, now, 0
        if self._count > 1:
            took = self._without_outlier(took, steps)
        for _ in range(steps if self._count else 1):  # all of a first group wait for the set-up
            self._see(took)

    def _without_outlier(self, took: float, steps: int) -> float:
        """The mean of so many steps, one of which may be an outlier; but of several groups in a row
        that are so slow, only the first had one.
        """
        usual = (steps - 1 + OUTLIER) / steps * self.step_s
        stalled, self._stalled = self._stalled, took > usual
        return took if stalled and steps > 1 else min(took, usual)

    def _see(self, took: float) -> None:
        """The first step of a process pays for what is set up once, which others may do again."""
        self._count += 1
        if self._count == 1:
            self._first_s = took
            return
        if self._count == 2:
            self.step_s = self.first_steps_s = took
            return
        self.step_s += (took - self.step_s) / min(self._count - 1, MEMORY)
        if self._count <= FIRST:
            self.first_steps_s += (took - self.first_steps_s) / (self._count - 1)

    def epoch_done(self) -> None:
        """An epoch has been validated and saved since its last step."""
        now = self.clock.now()
        self.epoch_end_s, self._step_s_then, self._mark = now - self._mark, self.step_s, now

    def total_steps(
        self, epoch: int, at: int, planned: int, *, now: bool = False, answered: bool = False
    ) -> int:
        """The number of steps that fit in all; `planned` where that is still right.

        `now`: looks at the time, however lately it was looked at. `answered`: there is a model
        before the first step, which may have to do.
        """
        time, done = self.clock.now(), epoch * self.steps_per_epoch + at
        if not self.step_s:  # gone on with: what is there may have to do
            least_s = (AFTER_ANSWER if now else 1.0) * self.epoch_end_s
            if self._count and not self.slow_start:  # another step like the first, and judging
                least_s = max(least_s, self._first_s + self._guessed_validation(self._first_s))
            return done if (epoch or at or answered) and self.remaining_s() <= least_s else planned
        if not now and time - self._looked < EVERY * self.promise_s:
            return planned
        if (
            self._count < SETTLED
            and self.remaining_s() > 2 * SETTLED * self.step_s + self._epoch_end()
        ):
            return planned
        self._looked = time
        fitting = min(self.most_steps, done + self._steps_that_fit(epoch, at))
        least = done + 1 if not (epoch or at) else done
        fitting, ahead = max(fitting, least), planned - done
        if planned - FEWER * ahead <= fitting <= planned + MORE * ahead:
            return planned
        return fitting

    def remaining_s(self) -> float:
        """Seconds for steps and for judging them."""
        slower = self.step_s / self.first_steps_s if self.first_steps_s else 1.0
        slower = slower if slower > NOISE else 1.0
        per_image = self._epoch_end() / max(1, self.val_images)
        after = self.after_s * slower + self.scored_images * per_image
        return self.promise_s * (1 - UNTOUCHED) - self.clock.spent - after

    def _epoch_end(self) -> float:
        """Seconds of a validation and a checkpoint."""
        if self.epoch_end_s:
            return self.epoch_end_s * max(
                1.0, self.step_s / self._step_s_then if self._step_s_then else 1.0
            )
        return self._guessed_validation(self.step_s)

    def _guessed_validation(self, step_s: float) -> float:
        each = GUESSED_VALIDATION * self.val_pixels * step_s / self.batch_size
        return each * self.val_images

    def _steps_that_fit(self, epoch: int, at: int) -> int:
        """Steps that fit, with a validation after every epoch and after the last step."""
        left, ending = self.remaining_s(), self._epoch_end()
        found, whole = 0, self.steps_per_epoch - at
        while left >= whole * self.step_s + ending and found < self.most_steps:
            found, left = found + whole, left - whole * self.step_s - ending
            whole = self.steps_per_epoch
        more = min(whole - 1, int((left - ending) / self.step_s))
        needed = not found and (at > 0 or not epoch)  # what is trained must be judged
        worth = needed or more * self.step_s >= WORTH * ending
        return found + (max(0, more) if worth else 0)


def time_budget_of(
    plan: Plan, dataset: Dataset, steps: int, clock: Clock | None, *, judged_s: float = 0.0
) -> TimeBudget | None:
    """None where nothing is promised; without a clock the promise is the training's alone.

    `judged_s`: seconds of a validation, where there has been one.
    """
    if plan.budget_s is None:
        return None
    counts, train = dataset.counts(), plan.train
    pixels = sum(sample.width * sample.height for sample in dataset.split(plan.judge_on))
    decoded_s = decode_seconds(pixels, cores())  # validations have kept theirs
    return TimeBudget(
        clock or Clock(),
        promise_s=plan.budget_s,
        steps_per_epoch=steps,
        most_steps=steps * (plan.most_epochs or plan.train.epochs),
        batch_size=counts.get("train", 1) / steps,
        val_images=counts.get("val", 0),
        scored_images=counts.get(plan.judge_on, 0) if clock else 0,
        after_s=plan.after_s + USUAL_S["evaluate"] + decoded_s if clock else 0.0,
        val_pixels=math.prod(train.image_size) / math.prod(train.crop),
        epoch_end_s=judged_s,
        slow_start=plan.device != "cpu" or train.compile,
    )
