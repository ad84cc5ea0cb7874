"""A finished run in, the same training in a new folder and what came of it out.

The recorded plan is repeated as it is, with the recorded index of the data: what the machine would
choose today is told, not taken.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from automl import pipeline
from automl.dataset import Profile
from automl.engines import recorded_schedule
from automl.errors import AutomlError, Interrupted, MachineError
from automl.files import read_object, write_json
from automl.plan import EXPECTED
from automl.record import journal
from automl.record.compare import Row, differing
from automl.record.journal import Journal
from automl.record.verdict import TOLERANCE, Verdict, judge
from automl.reproduce_inputs import Inputs, gathered
from automl.run_dir import RunDir
from automl.talk import Talk

_CHILD = """
import sys
from pathlib import Path
from automl.environment import settle
settle()
from automl import pipeline
from automl.commands.terminal import show_faults, talk
from automl.errors import AutomlError
from automl.run_dir import RunDir
run = RunDir(Path(sys.argv[1]))
try:
    pipeline.train(run, talk())
    pipeline.evaluate(run, talk())
except AutomlError as error:
    show_faults(error)
    raise SystemExit(error.exit_code)
"""
"""Trains and scores in another process, whose `automl` is that of a worktree."""


@dataclass(frozen=True)
class Reproduction:
    """What came of repeating `run` in `again`; `today` is how a plan made today differs."""

    run: RunDir
    again: RunDir
    verdict: Verdict
    today: list[Row]
    notes: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """`automl reproduce --json`, and `reproduction.json`."""
        found = self.verdict
        return {
            "run": self.run.id,
            "again": self.again.id,
            "folder": str(self.again.root),
            "verdict": found.word,
            "because": _row(found.because) if found.because else None,
            "differences": [_row(row) for row in found.differences],
            "metrics": [
                {**asdict(metric), "difference": metric.difference} for metric in found.metrics
            ],
            "tolerance": TOLERANCE,
            "weights": {"a": found.weights[0], "b": found.weights[1]},
            "plan_today": [_row(row) for row in self.today],
            "notes": self.notes,
        }


def reproduce(run: RunDir, again: RunDir, talk: Talk, *, here: bool = False) -> Reproduction:
    """Trains and scores once more; every missing input is told before anything is trained."""
    with gathered(run, again.root / "data", talk, here=here) as found:
        notes = list(found.notes)
        for note in notes:
            talk.say(f"code: {note}")
        _lay_out(found, again)
        today = _planned_today(found, again, notes)
        if found.code is None:
            pipeline.train(again, talk)
            pipeline.evaluate(again, talk)
        else:
            _in_worktree(found.code, again)
    _close(again)
    answer = Reproduction(run, again, judge(run, again), today, notes)
    write_json(again.reproduction, answer.facts())
    return answer


def repeats(folder: RunDir, run: RunDir) -> bool:
    """Whether a folder holds a begun reproduction of this very run."""
    return read_object(folder.replay, "reproduce").get("folder") == str(run.root)


def _lay_out(found: Inputs, again: RunDir) -> None:
    """All that the train stage reads; what a stopped reproduction has left stays."""
    if repeats(again, found.run):
        return
    from automl.recipe.schema import read_recipe, write_recipe

    run = found.run
    again.root.mkdir(parents=True, exist_ok=True)
    write_recipe(read_recipe(run.recipe), again.recipe)
    # as it was recorded: the code of then need not know what a dataset holds today
    write_json(again.dataset, {**read_object(run.dataset, "prepare"), "root": found.dataset.root})
    for old, new in (
        (run.findings, again.findings), (run.profile, again.profile), (run.plan, again.plan)
    ):  # fmt: skip
        if old.is_file():
            shutil.copyfile(old, new)
    events = journal.last_training(journal.read(run.journal))
    recorded_schedule.recorded(found.plan, events).write(again, run)


def _planned_today(found: Inputs, again: RunDir, notes: list[str]) -> list[Row]:
    """How a plan made now, of the same recipe, would differ; told, and no more."""
    from automl.model.weights import at_hand
    from automl.planning.candidates import recorded_measurements
    from automl.planning.hardware import probe
    from automl.planning.rules import make_plan
    from automl.recipe.schema import TrainSettings, read_recipe

    recipe = read_recipe(again.recipe)
    try:
        profile, machine = Profile.read(again.profile), probe(found.plan.device)
        measure = recorded_measurements(found.plan)  # measured then: now it would differ by chance
        as_then = 2.0 if found.plan.train.precision == "bf16" else 1.0
        made = make_plan(
            recipe, found.dataset, profile, machine, at_hand,
            measure=measure, measure_gain=lambda _: as_then, smoke=found.plan.smoke,
        )  # fmt: skip
    except AutomlError as error:
        notes.append(f"a plan cannot be made today: {error}")
        return []
    asked: TrainSettings = recipe.train
    if found.plan.device.startswith("cuda") and not asked.micro_batch:
        micro = found.plan.train.micro_batch  # tried then, only guessed at by the rules
        made = made.model_copy(
            update={"train": made.train.model_copy(update={"micro_batch": micro})}
        )
    then, now = (p.model_dump(mode="json", exclude=set(EXPECTED)) for p in (found.plan, made))
    return differing(then, now)


def _in_worktree(code: Path, again: RunDir) -> None:
    """Train and evaluate by the program of another commit; it is stopped when we are."""
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH", "")]))
    words = [sys.executable, "-P", "-c", _CHILD, str(again.root.absolute())]
    child = subprocess.Popen(  # noqa: S603
        words, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL
    )
    try:
        status = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if status == Interrupted.exit_code:
        raise Interrupted("stopped")
    if status:
        raise MachineError(
            f"the program of the run ended with exit code {status}",
            where=str(again.root),
            hint="`--here` repeats the run with the current code",
        )


def _close(again: RunDir) -> None:
    """The journal of a whole run ends with its scores."""
    scores = read_object(again.metrics, "evaluate")
    heads = ("task", "split", "images", "primary")
    metrics = {key: value for key, value in scores.items() if key not in heads}
    events = journal.read(again.journal)
    trained = [event for event in events if event["event"] == "trained"]
    Journal(again.journal).write("scores", split=scores.get("split"), metrics=metrics)
    Journal(again.journal).write("end", seconds=trained[-1].get("seconds") if trained else None)


def _row(row: Row) -> dict[str, Any]:
    return {"field": row[0], "a": row[1], "b": row[2]}
