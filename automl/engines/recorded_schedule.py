"""What a reproduction repeats beyond the plan: where the clock or the memory decided, not the plan.

A budget shortens a training by the time that passed, and full memory halves the images at once at
some step. The journal has both; a reproduction does them again, by `replay.json`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
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

    `micro_batches`: finished epochs, finished steps, and the images at once from there on. `ends`:
    the same two, and the steps that the training was to have in all from there on. `instant_ends`:
    finished steps of an instant answer, and those that it was to have.
    """

    totals: tuple[int, ...] = ()
    micro_batches: tuple[tuple[int, int, int], ...] = field(default=())
    ends: tuple[tuple[int, int, int], ...] = field(default=())
    instant_ends: tuple[tuple[int, int], ...] = field(default=())

    def total_steps(self, position: Position, default: int) -> int:
        """The steps in all, as they were to be at a position."""
        passed = [count for *at, count in self.ends if tuple(at) <= position]
        return passed[-1] if passed else default

    def in_steps(self, steps: int) -> "Replay":
        """For a run that counted its time in epochs, of so many steps each."""
        if self.ends or not self.totals:
            return self
        ends = [(done, 0, total * steps) for done, total in enumerate(self.totals, start=1)]
        return replace(self, ends=tuple(ends))

    def micro_batch(self, position: Position, default: int) -> int:
        """The images at once at a position."""
        passed = [count for *at, count in self.micro_batches if tuple(at) <= position]
        return min([default, *passed])

    def next_change(self, position: Position, steps: int) -> int:
        """The step of this epoch up to which the micro-batch keeps its size."""
        epoch, done = position
        return min(
            [steps, *(step for e, step, _ in self.micro_batches if e == epoch and step > done)]
        )

    def write(self, run: RunDir, of: RunDir) -> None:
        """Into the folder of the reproduction."""
        write_json(run.replay, {"of": of.id, "folder": str(of.root), **asdict(self)})


def read(run: RunDir) -> Replay:
    """What a run repeats; nothing for a run of its own."""
    known = read_object(run.replay, "reproduce")
    micro, ends, instant = (
        tuple(tuple(entry) for entry in known.get(key, ()))
        for key in ("micro_batches", "ends", "instant_ends")
    )
    return Replay(tuple(known.get("totals", ())), micro, ends, instant)


def recorded(plan: Plan, events: Sequence[dict[str, Any]]) -> Replay:
    """What the journal of a training says of clock and memory."""
    epochs = [e for e in journal.epochs(list(events)) if e["epoch"] > 0]
    totals: list[int] = []
    if plan.budget_s is not None and epochs:
        # an epoch says how many there were to be while it ran, so the next one says it of the end
        totals = [int(epoch["total"]) for epoch in epochs[1:]] + [int(epochs[-1]["epoch"])]
    micro, ends, instant = _micro_batches(events), _ends(events), _instant_ends(events)
    return Replay(tuple(totals), tuple(micro), tuple(ends), tuple(instant))


def _ends(events: Sequence[dict[str, Any]]) -> list[tuple[int, int, int]]:
    """Steps in all, by where that was decided, less what was undone by going back before it."""
    found: list[tuple[int, int, int]] = []
    for event in events:
        if event["event"] == "pace" and "step" in event:
            at = (event["epoch"], event["step"])
            found = [entry for entry in found if entry[:2] < at]
            found.append((*at, event["steps"]))
    return found


def _instant_ends(events: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """Steps of the instant answer, by when that was decided; one that was stopped begins anew."""
    found: list[tuple[int, int]] = []
    for event in events:
        if event["event"] == "pace" and "instant_step" in event:
            done = event["instant_step"]
            found = [entry for entry in found if entry[0] < done]
            found.append((done, event["instant_steps"]))
    return found


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
