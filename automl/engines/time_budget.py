"""How many steps a promised time allows: planned anew as steps and validations are measured.

The learning rate falls to zero at the last step, so the number of steps is decided ahead and
changed only where it has come to differ. A training that cannot finish one epoch ends within it.
"""

import math
from dataclasses import dataclass, field

from automl.clock import Clock
from automl.dataset import Dataset
from automl.plan import Plan
from automl.planning.overhead import USUAL_S

MEMORY = 16
"""Steps that the mean time of a step looks back on."""
SETTLED = 4
"""Steps before which their time says little: it is looked at only where the promise is near."""
FEWER, MORE = 0.04, 0.08
"""Shares of the steps ahead by which their number must be wrong before it is changed."""
NOISE = 1.25
"""Steps slower than the first ones by more than this are a machine that has become slower."""
FIRST = 32
"""Steps whose mean is what the machine took before."""
EVERY = 0.01
"""Share of the promise between two looks at it."""
GUESSED_VALIDATION = 0.4
"""Seconds of validating an image in those of training on one, until it is measured."""
WORTH = 0.5
"""A last part of an epoch trains for at least this share of the time that judging it takes."""
MARGIN = 0.01
"""Share of the promise that is left alone."""


@dataclass
class Pace:
    """The steps that fit between a clock and its promise; `most` help, `steps` make an epoch.

    `after_s` is for all that follows the training but judging `judged` images, of which each takes
    as long as one of the `validated` ones. Positions are finished epochs and steps of the next.
    """

    clock: Clock
    promise: float
    steps: int
    most: int
    batch: float
    validated: int
    judged: int
    after_s: float
    larger: float = 1.0
    """Pixels of a validated image in those of one that is trained on: training may see crops."""
    step_s: float = 0.0
    usual_s: float = 0.0
    ending_s: float = 0.0
    """From the last step of an epoch to the first of the next; `_at_s` is `step_s` of then."""
    _at_s: float = 0.0
    _count: int = 0
    _mark: float = 0.0
    _looked: float = field(default=float("-inf"))

    def __post_init__(self) -> None:
        """A process may begin with a validation."""
        self._mark = self.clock.now()

    def begin(self) -> None:
        """Steps follow now."""
        self._mark = self.clock.now()

    def stepped(self) -> None:
        """A step is done; the first one of a process pays for what is set up once."""
        now = self.clock.now()
        took, self._mark = now - self._mark, now
        self._count += 1
        if self._count <= 2:
            self.step_s = self.usual_s = took
            return
        self.step_s += (took - self.step_s) / min(self._count - 1, MEMORY)
        if self._count <= FIRST:
            self.usual_s += (took - self.usual_s) / (self._count - 1)

    def ended(self) -> None:
        """An epoch is validated and saved, `begin` or the last step was before it."""
        now = self.clock.now()
        self.ending_s, self._at_s, self._mark = now - self._mark, self.step_s, now

    def end(self, epoch: int, at: int, planned: int, *, due: bool = False) -> int:
        """The steps in all, from a position on; `planned` where that is still right.

        `due`: looks at the time, however lately it was looked at.
        """
        now, done = self.clock.now(), epoch * self.steps + at
        if not self.step_s:  # gone on with: what is there may have to do
            return done if (epoch or at) and self.left_s() <= 0 else planned
        if not due and now - self._looked < EVERY * self.promise:
            return planned
        if self._count < SETTLED and self.left_s() > 2 * SETTLED * self.step_s + self._ending():
            return planned
        self._looked = now
        fitting = min(self.most, done + self._fitting(epoch, at))
        least = done + 1 if not (epoch or at) else done
        fitting, ahead = max(fitting, least), planned - done
        if planned - FEWER * ahead <= fitting <= planned + MORE * ahead:
            return planned
        return fitting

    def left_s(self) -> float:
        """Seconds for steps and for judging them."""
        slower = self.step_s / self.usual_s if self.usual_s else 1.0
        slower = slower if slower > NOISE else 1.0
        per_image = self._ending() / max(1, self.validated)
        after = self.after_s * slower + self.judged * per_image
        return self.promise * (1 - MARGIN) - self.clock.spent - after

    def _ending(self) -> float:
        """Seconds of a validation and a checkpoint."""
        if self.ending_s:
            return self.ending_s * max(1.0, self.step_s / self._at_s if self._at_s else 1.0)
        each = GUESSED_VALIDATION * self.larger * self.step_s / self.batch
        return each * self.validated

    def _fitting(self, epoch: int, at: int) -> int:
        """Steps that fit, with a validation after every epoch and after the last step."""
        left, ending = self.left_s(), self._ending()
        found, whole = 0, self.steps - at
        while left >= whole * self.step_s + ending and found < self.most:
            found, left = found + whole, left - whole * self.step_s - ending
            whole = self.steps
        more = min(whole - 1, int((left - ending) / self.step_s))
        needed = not found and (at > 0 or not epoch)  # what is trained must be judged
        worth = needed or more * self.step_s >= WORTH * ending
        return found + (max(0, more) if worth else 0)


def pace_of(plan: Plan, dataset: Dataset, steps: int, clock: Clock | None) -> Pace | None:
    """None where nothing is promised; without a clock the promise is the training's alone."""
    if plan.budget_s is None:
        return None
    counts, train = dataset.counts(), plan.train
    return Pace(
        clock or Clock(),
        promise=plan.budget_s,
        steps=steps,
        most=steps * (plan.most_epochs or plan.train.epochs),
        batch=counts.get("train", 1) / steps,
        validated=counts.get("val", 0),
        judged=counts.get(plan.judge_on, 0) if clock else 0,
        after_s=plan.after_s + USUAL_S["evaluate"] if clock else 0.0,
        larger=math.prod(train.image_size) / math.prod(train.crop),
    )
