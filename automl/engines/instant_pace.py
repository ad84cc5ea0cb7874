"""How many steps an instant answer takes: as planned, fewer where a promised time runs short.

The learning rate falls to zero at the last step, so that their number is looked at after each. What
was decided is in the journal, and a reproduction decides the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from automl.clock import Clock
from automl.engines.protocol import Event, OnEvent, ignore_event
from automl.engines.time_budget import FEWER, MEMORY, SETTLED
from automl.plan import Plan
from automl.planning.times import UNTOUCHED

Ends = Sequence[tuple[int, int]]
"""Finished steps, and the steps in all from there on."""


@dataclass
class InstantPace:
    """Without a `promise_s` the steps are those of the plan. `after_s` is what follows them.

    `judged_s`: what it took to score the answer by passes through the whole net.
    """

    clock: Clock
    promise_s: float | None = None
    after_s: float = 0.0
    repeated: Ends = ()
    on_event: OnEvent = ignore_event
    judged_s: float = 0.0
    _step_s: float = 0.0
    _mark: float = 0.0

    def begin(self, planned: int) -> int:
        """The steps that there are to be."""
        self._mark, self._step_s = self.clock.now(), 0.0
        return self._decided(0, planned, self._repeated(0, planned))

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
        fitting = done + max(0, int(left_s / max(self._step_s, 1e-9)))
        if done < SETTLED or fitting >= steps - FEWER * (steps - done):
            return steps
        return self._decided(done, steps, fitting)

    def _decided(self, done: int, before: int, steps: int) -> int:
        """The number that an answer begins with is recorded in any case: it may begin anew."""
        if self.promise_s is not None and (steps != before or not done):
            self.on_event(Event("pace", "", {"instant_step": done, "instant_steps": steps}))
        return steps

    def _repeated(self, done: int, default: int) -> int:
        passed = [steps for at, steps in self.repeated if at <= done]
        return passed[-1] if passed else default


def instant_pace(plan: Plan, clock: Clock | None, repeated: Ends, on_event: OnEvent) -> InstantPace:
    """What follows: judging and, on the clock of a whole run, judging again and all the rest."""
    judge_s = plan.expected_s.get("evaluate", 0.0)
    after_s = judge_s + (judge_s + plan.after_s if clock else 0.0)
    return InstantPace(clock or Clock(), plan.budget_s, after_s, repeated, on_event)
