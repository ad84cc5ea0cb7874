"""Whether the data of a run was edited while it ran: noticed at its end, kept in the journal."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from automl.dataset import Dataset, SplitName
from automl.record import journal
from automl.record.journal import Journal
from automl.run_dir import RunDir
from automl.talk import Talk

if TYPE_CHECKING:
    from automl.data.verify import Again

Event = dict[str, Any]


def recheck_data(
    run: RunDir, dataset: Dataset, talk: Talk, stage: str, split: SplitName | None = None
) -> "Again":
    """Reads the data once more; what changed makes the run tainted.

    Not a training that was done before (stage `resume`): its model is what it was. Inside of a DVC
    stage other than training nothing is written, for the journal is another stage's output;
    `dvc repro` finds the edit by itself.
    """
    from automl.data.verify import SHOWN, recheck

    again = recheck(dataset, talk, split)
    if not again.changed and not _is_good_news(run, stage):
        return again
    event = {"stage": stage, "changed": len(again.changed), "files": [*again.changed[:SHOWN]]}
    if stage == "train" or (stage != "resume" and "DVC_STAGE" not in os.environ):
        Journal(run.journal).write("tainted", **event)
    if again.changed:
        talk.say(line(event))
    return again


def _is_good_news(run: RunDir, stage: str) -> bool:
    """Whether an evaluation has to take back what an earlier one has found changed."""
    events = journal.last_training(journal.read(run.journal))
    return stage == "evaluate" and any(event["stage"] == stage for event in standing(events))


def standing(events: Sequence[Event]) -> list[Event]:
    """The edits that still count: of an evaluation until another finds all as it was."""
    found = [event for event in events if event["event"] == "tainted"]
    learnt = [event for event in found if event["stage"] != "evaluate"]
    judged = [event for event in found if event["stage"] == "evaluate"][-1:]
    return [event for event in (*learnt, *judged) if int(event["changed"])]


def taint_notice(run: RunDir) -> str:
    """What is to be said of a run's last training; empty where its data stayed as it was."""
    return tainted(journal.last_training(journal.read(run.journal)))


def tainted(events: Sequence[Event]) -> str:
    """The same from the events of a training."""
    found = standing(events)
    return line(max(found, key=lambda event: int(event["changed"]))) if found else ""


def line(event: Event) -> str:
    """What a person is told of a tainted run; a change before an evaluation is no other there."""
    files, number = list(event["files"]), int(event["changed"])
    shown = ", ".join(files[:3]) + (f" and {number - 3} more" if number > 3 else "")
    if event["stage"] == "train":
        said = f"the data was changed during training: {shown}"
    else:
        said = f"the data differs from what the run was trained on: {shown}"
    if event["stage"] == "resume":
        return f"{said}; the model is as it was"
    return f"tainted: {said}; run again for a sound result"
