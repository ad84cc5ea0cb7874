"""What a reproduction repeats beyond the plan: where the clock or the memory decided, not the plan.

A budget shortens a training by the time that passed, and full memory halves the images at once at
some step. The journal has both; a reproduction does them again, by `replay.json`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from automl.files import read_object, write_json
from automl.plan import Plan
from automl.record import journal
from automl.run_dir import RunDir

Position = tuple[int, int]
"""Finished epochs, and finished steps of the next one."""


@dataclass(frozen=True)
class Replay:
    """`totals`: epochs that the run was to have, after each epoch that it took.

    `micro_batches`: finished epochs, finished steps, and the images at once from there on.
    """

    totals: tuple[int, ...] = ()
    micro_batches: tuple[tuple[int, int, int], ...] = field(default=())

    def total(self, finished: int) -> int | None:
        """The epochs in all after so many finished ones; None where the plan says it."""
        if not self.totals:
            return None
        return self.totals[min(finished, len(self.totals)) - 1]

    def micro_batch(self, here: Position, otherwise: int) -> int:
        """The images at once at a position."""
        passed = [count for *at, count in self.micro_batches if tuple(at) <= here]
        return min([otherwise, *passed])

    def until(self, here: Position, steps: int) -> int:
        """The step of this epoch up to which that stays so."""
        later = [step for epoch, step, _ in self.micro_batches if (epoch, step) > here]
        same = [step for epoch, step, _ in self.micro_batches if epoch == here[0] and step in later]
        return min([steps, *(step for step in same if step > here[1])])

    def write(self, run: RunDir, of: RunDir) -> None:
        """Into the folder of the reproduction."""
        write_json(run.replay, {"of": of.id, "folder": str(of.root), **asdict(self)})


def read(run: RunDir) -> Replay:
    """What a run repeats; nothing for a run of its own."""
    known = read_object(run.replay, "reproduce")
    micro = [tuple(entry) for entry in known.get("micro_batches", ())]
    return Replay(tuple(known.get("totals", ())), tuple(micro))


def recorded(plan: Plan, events: Sequence[dict[str, Any]]) -> Replay:
    """What the journal of a training says of clock and memory."""
    epochs = journal.epochs(list(events))
    totals: list[int] = []
    if plan.budget_s is not None and epochs:
        # an epoch says how many there were to be while it ran, so the next one says it of the end
        totals = [int(epoch["total"]) for epoch in epochs[1:]] + [int(epochs[-1]["epoch"])]
    return Replay(tuple(totals), tuple(_micro_batches(events)))


def _micro_batches(events: Sequence[dict[str, Any]]) -> list[tuple[int, int, int]]:
    """Where memory ran out, less what was undone by going on from an earlier checkpoint."""
    found: list[tuple[int, int, int]] = []
    fresh = False
    for event in events:
        if event["event"] == "memory":
            found.append((event["epoch"] - 1, event["step"] - 1, event["micro_batch"]))
            fresh = True
        elif event["event"] == "resume":
            at = (event["epoch"], event["step"])
            if fresh:  # it ran out while weights were moved: the checkpoint before is gone back to
                found[-1] = (*at, found[-1][2])
            found = [entry for entry in found if entry[:2] <= at]
            fresh = False
        else:
            fresh = False
    return found
