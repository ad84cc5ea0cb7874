"""The runs of a workspace: found by reference, summed up, and a folder made for a new one."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from automl.errors import UsageError
from automl.files import read_object
from automl.record import journal
from automl.run_dir import RunDir

State = Literal["prepared", "planned", "training", "trained", "scored", "finished"]
_MARKS = ("journal.jsonl", "plan.yaml", "recipe.yaml", "dataset.json")


@dataclass(frozen=True)
class RunSummary:
    """One line of `automl runs`; `score` is the primary metric of the judged split."""

    id: str
    folder: Path
    started: datetime
    state: State
    task: str = ""
    model: str = ""
    metric: str = ""
    score: float | None = None
    seconds: float | None = None


def new_run(recipe_name: str, folder: Path) -> RunDir:
    """Makes the folder of a new run, `<recipe stem>-<time>`, counted up where it is taken."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(recipe_name).stem).strip("-.") or "run"
    name = f"{stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = folder / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
            continue
        return RunDir(path)


def find(reference: str, folder: Path) -> RunDir:
    """The run that an id, a unique prefix of one, a folder or `latest` stands for."""
    runs = _runs(folder)
    if reference == "latest":
        if not runs:
            raise UsageError("no run yet", where=str(folder), hint="start with `automl run RECIPE`")
        return RunDir(max(runs, key=_started))
    for path in (folder / reference, Path(reference)):
        if reference and path.is_dir() and is_run(path):
            return RunDir(path.absolute())
    matching = [path for path in runs if reference and path.name.startswith(reference)]
    if len(matching) == 1:
        return RunDir(matching[0])
    raise _not_found(reference, folder, [path.name for path in matching])


def summaries(folder: Path) -> list[RunSummary]:
    """All runs of the folder, the newest first."""
    return sorted(map(summary, _runs(folder)), key=lambda run: run.started, reverse=True)


def summary(path: Path) -> RunSummary:
    """One run, read from its files as far as they are there."""
    run = RunDir(path)
    plan = _plan_head(run.plan)
    scores = read_object(run.metrics, "evaluate")
    metric = str(scores.get("primary", ""))
    events = journal.last_training(journal.read(run.journal))
    ends = [event for event in events if event["event"] == "end"]
    return RunSummary(
        id=run.id,
        folder=path,
        started=_started(path),
        state=_state(run, events),
        task=plan.get("task", ""),
        model=plan.get("model", ""),
        metric=metric,
        score=scores.get(metric),
        seconds=ends[-1].get("seconds") if ends else None,
    )


def _runs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and is_run(path))


def is_run(path: Path) -> bool:
    """Whether a run has left anything in this folder."""
    return any((path / mark).is_file() for mark in _MARKS)


def _started(path: Path) -> datetime:
    """When the run last began to train, or else when its folder was last changed."""
    events = journal.last_training(journal.read(RunDir(path).journal))
    if events:
        return datetime.fromisoformat(events[0]["time"]).astimezone()
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone()


def _state(run: RunDir, events: list[dict[str, Any]]) -> State:
    happened = {event["event"] for event in events}
    if "end" in happened:
        return "finished"
    if run.metrics.is_file():
        return "scored"
    if "trained" in happened or (run.model / "model.json").is_file():
        return "trained"
    if "epoch" in happened:
        return "training"
    return "planned" if run.plan.is_file() else "prepared"


def _plan_head(path: Path) -> dict[str, str]:
    """Task and model of a plan; a plan is large, and its first lines are quick to read."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^(task|model): *([^\s#]+)", text, re.MULTILINE)
    return {key: value.strip("'\"") for key, value in found}


def _not_found(reference: str, folder: Path, matching: list[str]) -> UsageError:
    if matching:
        shown = ", ".join(matching[:5]) + (", ..." if len(matching) > 5 else "")
        return UsageError(
            f"`{reference}` is the beginning of {len(matching)} runs: {shown}",
            where=str(folder),
            hint="write more of the id",
        )
    return UsageError(
        f"no run `{reference}`",
        where=str(folder),
        hint="`automl runs` lists them; a run is an id, its beginning, a folder or `latest`",
    )
