"""The runs of a workspace: found by reference, summed up, and a folder made for a new one."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from automl.errors import DataError, UsageError
from automl.files import read_object
from automl.folder_swap import put_back
from automl.record import journal
from automl.record.taint import standing
from automl.run_dir import RunDir

State = Literal["prepared", "planned", "training", "trained", "scored", "finished", "damaged"]
_MARKS = ("journal.jsonl", "plan.yaml", "recipe.yaml", "dataset.json")

_EPOCH = re.compile(rb'\{"time": "([^"]+)", "event": "epoch", "epoch": (\d+),')
AGAIN = "-again"
"""Stands after the recipe's name in the id of a reproduction, which is a run of that recipe too."""
HEAD = 4096
"""Characters of a plan in which its task and its model stand."""


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
    recipe: str = ""
    split: str = ""
    epochs: int = 0
    dataset: str = ""
    weights: str = ""
    restarts: int = 0
    promoted: tuple[str, ...] = ()
    tainted: bool = False


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
    found = _find(reference, folder)
    put_back(found.model)
    return found


def _find(reference: str, folder: Path) -> RunDir:
    runs = _runs(folder)
    if reference == "latest":
        if not runs:
            raise UsageError("no run yet", where=str(folder), hint="start with `automl run RECIPE`")
        return RunDir(max(runs, key=lambda path: (_started(path), path.name)))
    for path in (folder / reference, Path(reference)):
        if reference and path.is_dir() and is_run(path):
            return RunDir(path.absolute())
    matching = [path for path in runs if reference and path.name.startswith(reference)]
    if len(matching) == 1:
        return RunDir(matching[0])
    raise _not_found(reference, folder, [path.name for path in matching])


def summaries(folder: Path) -> list[RunSummary]:
    """All runs of the folder, the newest first."""
    found = map(summary_or_damaged, _runs(folder))
    return sorted(found, key=lambda run: (run.started, run.id), reverse=True)


def summary_or_damaged(path: Path) -> RunSummary:
    """The same for a list of many, in which a damaged run must not hide the others."""
    try:
        return summary(path)
    except DataError:
        changed = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        return RunSummary(id=path.name, folder=path, started=changed, state="damaged")


def summary(path: Path) -> RunSummary:
    """One run, read from its files as far as they are there."""
    run = RunDir(path)
    put_back(run.model)
    plan = _plan_head(run.plan)
    scores = read_object(run.metrics, "evaluate")
    metric = str(scores.get("primary", ""))
    events = journal.last_training(read_quickly(run.journal))
    ends = [event for event in events if event["event"] == "end"]
    origin = read_object(run.provenance, "train")
    return RunSummary(
        id=run.id,
        folder=path,
        started=_started(path, events),
        state=_state(run, events),
        task=plan.get("task", ""),
        model=plan.get("model", ""),
        metric=metric,
        score=scores.get(metric),
        seconds=ends[-1].get("seconds") if ends else None,
        recipe=recipe_name(run.id),
        split=str(scores.get("split", "")),
        epochs=max((event["epoch"] for event in events if event["event"] == "epoch"), default=0),
        dataset=str(origin.get("dataset_digest", "")),
        weights=str((origin.get("weights") or {}).get("final") or ""),
        restarts=len(origin.get("restarts") or ()),
        promoted=promoted(run),
        tainted=bool(standing(events)),
    )


def read_quickly(path: Path) -> list[dict[str, Any]]:
    """The journal's events, those of epochs by their numbers alone, which makes it fast to read."""
    if not path.is_file():
        return []
    events = []
    for line in path.read_bytes().splitlines():
        quick = _EPOCH.match(line)
        if quick and line.endswith(b"}"):
            time, number = quick.groups()
            events.append({"time": time.decode(), "event": "epoch", "epoch": int(number)})
            continue
        try:
            event = json.loads(line)
        except ValueError:  # cut short by a crash
            continue
        if journal.is_event(event):
            events.append(event)
    return events


def recipe_name(run_id: str) -> str:
    """The recipe's name, which an id begins with; empty for a folder that was named by hand."""
    named = re.fullmatch(r"(.+)-\d{8}-\d{6}(-\d+)?", run_id)
    return named.group(1).removesuffix(AGAIN) if named else ""


def promoted(run: RunDir) -> tuple[str, ...]:
    """The aliases that were given to the run's model from here."""
    if not run.promotions.is_file():
        return ()
    found = []
    for line in run.promotions.read_bytes().splitlines():
        try:
            found.append(str(json.loads(line)["alias"]))
        except (ValueError, KeyError, TypeError):  # cut short by a crash
            continue
    return tuple(dict.fromkeys(found))


def _runs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in visible if path.is_dir() and is_run(path))


def is_run(path: Path) -> bool:
    """Whether a run has left anything in this folder."""
    return any((path / mark).is_file() for mark in _MARKS)


def _started(path: Path, known: list[dict[str, Any]] | None = None) -> datetime:
    """When the run last began to train, or else when its folder was last changed."""
    events = journal.last_training(read_quickly(RunDir(path).journal)) if known is None else known
    if events:
        return datetime.fromisoformat(events[0]["time"]).astimezone()
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone()


def _state(run: RunDir, events: list[dict[str, Any]]) -> State:
    happened = {event["event"] for event in events}
    if "end" in happened:
        return "finished"
    if run.metrics.is_file():
        return "scored"
    if "trained" in happened:
        return "trained"
    if "epoch" in happened:  # its model is the best so far
        return "training"
    if (run.model / "model.json").is_file():
        return "trained"
    return "planned" if run.plan.is_file() else "prepared"


def _plan_head(path: Path) -> dict[str, str]:
    """Task and model of a plan; a plan is large, and its first lines are quick to read."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(HEAD)
    found = re.findall(r"^(task|model): *([^\s#]+)", text, re.MULTILINE)
    return {key: value.strip("'\"") for key, value in found}


def _not_found(reference: str, folder: Path, matching: list[str]) -> UsageError:
    if matching:
        shown = ", ".join(matching[:5]) + (", ..." if len(matching) > 5 else "")
        return UsageError(
            f"`{reference}` matches {len(matching)} runs: {shown}",
            where=str(folder),
            hint="write more characters of the id",
        )
    return UsageError(
        f"no run `{reference}`",
        where=str(folder),
        hint="`automl runs` lists them; a run is an id, a unique prefix, a folder or `latest`",
    )
