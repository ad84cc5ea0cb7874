"""How many steps an instant answer takes: as planned, more or fewer as a promised time allows.

The learning rate falls to zero at the last step, so that their number is looked at after each. A
classifier's answer has no steps: how many images it sees is decided once. What was decided is in
the journal, and a reproduction decides the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from automl.clock import Clock
from automl.engines.protocol import Event, OnEvent, ignore_event
from automl.engines.time_budget import FEWER, MEMORY, MORE, SETTLED
from automl.plan import Plan
from automl.planning.instant_rules import LEAST_IMAGES
from automl.planning.times import UNTOUCHED

SPARED = 0.04
"""Share of the promise that steps beyond the plan leave alone: what follows is an estimate."""
FITTED = 0.15
"""Share of what is left, that fitting a head takes beside its features: a rule of thumb."""
Ends = Sequence[tuple[int, int]]
"""Finished steps, and the steps in all from there on."""


@dataclass
class InstantPace:
    """Without a `promise_s` the steps are those of the plan. `after_s` is what follows them.

    `most` are the steps that there may be where there is time for more than planned. `judged_s`:
    what it took to score the answer by passes through the whole net.
    """

    clock: Clock
    promise_s: float | None = None
    after_s: float = 0.0
    repeated: Ends = ()
    on_event: OnEvent = ignore_event
    most: int = 0
    judged_s: float = 0.0
    _step_s: float = 0.0
    _mark: float = 0.0

    def begin(self, planned: int) -> int:
        """The steps that there are to be."""
        self._mark, self._step_s = self.clock.now(), 0.0
        return self._decided(0, planned, self._repeated(0, planned))

    def images(self, planned: int, each_s: float, scored: int) -> int:
        """How many images a head is fitted on, where the features of each take so long.

        As many are computed again for those that it is `scored` on.
        """
        if self.repeated or self.promise_s is None:
            return self._repeated(0, planned)
        left_s = self.promise_s * (1 - UNTOUCHED) - self.clock.spent - self.after_s
        left_s = left_s * (1 - FITTED) - scored * each_s
        fitting = int(left_s / max(each_s, 1e-9))
        if fitting >= planned * (1 - FEWER):
            return self._decided(0, planned, planned)
        count = max(min(planned, LEAST_IMAGES), fitting)
        why = f"{1e3 * each_s:.0f} ms each to read and to see are more than was planned"
        text = f"budget: the head is fitted on {count} of {planned} images: {why}"
        return self._decided(0, planned, count, text)

    def after_step(self, done: int, steps: int) -> int:
        """The steps that there are to be, once so many are done; the first one is set-up."""
        now = self.clock.now()
        took, self._mark = now - self._mark, now
        if self.repeated:
            return self._repeated(done, steps)
        if self.promise_s is None or done == 1:
            return steps
        self._step_s += (took - self._step_s) / min(done - 1, MEMORY)
        left_s = self.promise_s * (1 - UNTOUCHED) - self.clock.spent - self.after_s
        fitting, ahead = self._fitting(done, left_s), steps - done
        if done < SETTLED:
            return steps
        if fitting < steps - FEWER * ahead:
            return self._decided(done, steps, fitting)
        more = min(self.most, self._fitting(done, left_s - SPARED * self.promise_s))
        return self._decided(done, steps, more) if more > steps + MORE * ahead else steps

    def _fitting(self, done: int, left_s: float) -> int:
        return done + max(0, int(left_s / max(self._step_s, 1e-9)))

    def _decided(self, done: int, before: int, steps: int, text: str = "") -> int:
        """The number that an answer begins with is recorded in any case: it may begin anew."""
        if self.promise_s is not None and (steps != before or not done):
            self.on_event(Event("pace", text, {"instant_step": done, "instant_steps": steps}))
        return steps

    def _repeated(self, done: int, default: int) -> int:
        passed = [steps for at, steps in self.repeated if at <= done]
        return passed[-1] if passed else default


def instant_pace(plan: Plan, clock: Clock | None, repeated: Ends, on_event: OnEvent) -> InstantPace:
    """What follows: judging and, on the clock of a whole run, judging again and all the rest."""
    judge_s = plan.expected_s.get("evaluate", 0.0)
    after_s = judge_s + (judge_s + plan.after_s if clock else 0.0)
    most = plan.most_instant_steps or plan.train.instant_steps
    return InstantPace(clock or Clock(), plan.budget_s, after_s, repeated, on_event, most)
