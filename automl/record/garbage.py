"""The runs folder in; what can go, what it frees, and what stays for which reason, out.

Nothing outside of the runs folder is ever touched, and no link is followed.
"""

import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from automl.errors import LockedError
from automl.lock import holder, locked
from automl.record.dvc_files import tracked_by, workspace
from automl.record.runs import RunSummary, is_run, summary_or_damaged
from automl.run_dir import RunDir

DAY_S = 86400.0
LEFTOVER_S = 3600.0
"""A temporary file that nobody has touched for so long belongs to no process any more."""
MADE_STATES = ("trained", "scored", "finished")
GONE = ".gone-"
_LEFTOVER = re.compile(
    r"\.(epoch-.*\.(partial|gone)|(.*\.)?\d+\.(new|probe)|model\.(new|old)|.*\.partial)"
)


@dataclass(frozen=True)
class Item:
    """Something that can go: a path inside the runs folder, the bytes it frees, and why."""

    path: Path
    bytes: int
    why: str
    run: str = ""


@dataclass(frozen=True)
class Garbage:
    """What goes and what is left alone, each with its reason."""

    folder: Path
    items: list[Item] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """What all of it frees."""
        return sum(item.bytes for item in self.items)


@dataclass(frozen=True)
class Rules:
    """`keep` newest runs are left alone; unfinished ones go when they are older than `days`."""

    keep: int = 3
    days: float = 30.0
    tracked: bool = False


def find_garbage(folder: Path, rules: Rules) -> Garbage:
    """What would go; nothing is touched."""
    found = Garbage(folder)
    if not folder.is_dir():
        return found
    now = time.time()
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    runs = []
    for entry in entries:
        path = folder / entry.name
        if entry.is_symlink():
            found.kept.append((entry.name, "a link, which is not followed"))
        elif entry.is_dir(follow_symlinks=False):
            if entry.name.startswith(GONE):
                found.items.append(_item(path, "half removed by an earlier `gc`"))
            elif is_run(path):
                runs.append(path)
            elif _empty(path) and _age(path, now) > LEFTOVER_S:
                found.items.append(Item(path, 0, "an empty folder"))
    _add_runs(found, [summary_or_damaged(path) for path in runs], rules, now)
    return found


def remove(found: Garbage) -> tuple[list[Item], list[tuple[str, str]]]:
    """Removes what was found; what has been removed, and what could not be, with the reason."""
    done, failed = [], []
    for item in found.items:
        try:
            _remove(found.folder, item)
            done.append(item)
        except LockedError as error:
            failed.append((item.path.name, str(error)))
        except OSError as error:
            failed.append((str(item.path), f"cannot be removed: {error.strerror or error}"))
    return done, failed


def _add_runs(found: Garbage, runs: list[RunSummary], rules: Rules, now: float) -> None:
    newest = sorted(runs, key=lambda run: (run.started, run.id), reverse=True)[: rules.keep]
    best = {run.id for run in _best(runs)}
    for run in runs:
        why = _protected(run, {r.id for r in newest}, best)
        tracked = _tracked(run.folder)
        if why:
            found.kept.append((run.id, why))
            if holder(run.folder) is None:
                found.items.extend(_leftovers(run, now))
            continue
        items = list(_of_run(run, rules, now))
        if tracked and not rules.tracked:
            if any(item.path == run.folder for item in items):
                found.kept.append((run.id, f"DVC tracks {tracked}; `--tracked` takes it too"))
            items = [item for item in items if not _by_dvc(item.path, run.folder)]
        found.items.extend(items)


def _best(runs: Iterable[RunSummary]) -> list[RunSummary]:
    """The best of each recipe; an id that no recipe has named is a recipe of its own."""
    best: dict[tuple[str, str, str], RunSummary] = {}
    for run in runs:
        key = (run.recipe or run.id, run.task, run.metric)
        known = best.get(key)
        if run.score is not None and (known is None or run.score > (known.score or 0.0)):
            best[key] = run
    return list(best.values())


def _protected(run: RunSummary, newest: set[str], best: set[str]) -> str:
    by = holder(run.folder)
    if by is not None:
        return f"process {by.pid} on {by.host} works in it"
    if run.state == "damaged":
        return "damaged: look at it first, `automl show` says what is wrong"
    if run.promoted:
        return f"promoted as {', '.join(run.promoted)}"
    if run.id in best:
        return f"the best of `{run.recipe or run.id}`"
    return "one of the newest" if run.id in newest else ""


def _of_run(run: RunSummary, rules: Rules, now: float) -> Iterator[Item]:
    """Checkpoints of a run that has its model, all of an old one that has none."""
    made = run.state in MADE_STATES and (run.folder / "model" / "model.json").is_file()
    age = _age(run.folder, now) / DAY_S
    if not made and age > rules.days:
        yield _item(run.folder, f"{run.state} and no more, {age:.0f} days old", run.id)
        return
    if made:
        for name in ("checkpoints", "engine"):
            path = run.folder / name
            if path.is_dir() and not path.is_symlink():
                yield _item(path, f"the run is {run.state}", run.id)
    yield from _leftovers(run, now)


def _leftovers(run: RunSummary, now: float) -> Iterator[Item]:
    """What killed processes left half written."""
    here = RunDir(run.folder)
    for folder in (here.root, here.checkpoints):
        if folder.is_symlink() or not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if _LEFTOVER.fullmatch(path.name) and _age(path, now) > LEFTOVER_S:
                yield _item(path, "left by a killed process", run.id)


def _tracked(run: Path) -> str:
    """What of a run DVC tracks: by a `.dvc` file beside it, or by links into the cache."""
    files = sorted(path.name for path in run.glob("*.dvc"))
    if files:
        return files[0]
    names = ("model", "checkpoints", "predictions")
    linked = next((f"`{name}`, a link" for name in names if (run / name).is_symlink()), "")
    top = workspace(run)
    known = tracked_by(top, run.resolve() / "model") if top and not linked else None
    return f"`{known.path}`" if known else linked


def _by_dvc(path: Path, run: Path) -> bool:
    """Whether removing a path would remove what DVC tracks."""
    top = workspace(run)
    return path == run or (top is not None and tracked_by(top, path.resolve()) is not None)


def _item(path: Path, why: str, run: str = "") -> Item:
    return Item(path, _size(path), why, run)


def _size(path: Path) -> int:
    """Bytes that go with a path; a file that has a second name elsewhere frees nothing."""
    if not path.is_dir() or path.is_symlink():
        return _bytes(path)
    total = 0
    for folder, _, names in os.walk(path, followlinks=False):
        total += sum(_bytes(Path(folder) / name) for name in names)
    return total


def _bytes(path: Path) -> int:
    try:
        facts = path.lstat()
    except OSError:
        return 0
    return facts.st_size if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 else 0


def _age(path: Path, now: float) -> float:
    """Seconds since anything right inside changed."""
    times = [path.lstat().st_mtime]
    if path.is_dir() and not path.is_symlink():
        times += [entry.lstat().st_mtime for entry in path.iterdir()]
    return now - max(times)


def _empty(path: Path) -> bool:
    return not any(path.iterdir())


def _remove(folder: Path, item: Item) -> None:
    """Under another name first where it is a whole run, so that half of one is never seen."""
    relative = item.path.relative_to(folder)
    if any((folder / part).is_symlink() for part in [*relative.parents][:-1]):
        raise OSError(0, "a folder on the way became a link")
    if len(relative.parts) == 1:
        if item.run:
            with locked(item.path, "automl gc"):
                gone = item.path.with_name(GONE + item.path.name)
                item.path.rename(gone)
            shutil.rmtree(gone)
        else:
            _delete(item.path)
        return
    with locked(folder / relative.parts[0], "automl gc"):
        _delete(item.path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
