"""Recipes and runs by the names that a person types."""

import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from automl.commands.terminal import leads
from automl.errors import LockedError, UsageError
from automl.record import runs
from automl.run_dir import RunDir, runs_folder

if TYPE_CHECKING:
    from automl.recipe import Recipe


def load(recipe: Path, sets: Iterable[str] = (), params: Path | None = None) -> "Recipe":
    """The recipe with what lies over it; names that do not exist are found here."""
    from automl.commands.names import unknown_names
    from automl.recipe import load_recipe

    return load_recipe(recipe, sets, params, check=unknown_names)


def begin(
    recipe: Path | None,
    sets: Iterable[str],
    params: Path | None,
    *,
    resume: str | None = None,
    run_dir: Path | None = None,
    again: bool = False,
) -> "tuple[Recipe, RunDir]":
    """The recipe and the folder of a new run, or of the one that is gone on with.

    `again` allows a folder that already holds a plan.
    """
    if resume is not None:
        return _resumed(resume, recipe, sets)
    if recipe is None:
        raise UsageError("no recipe", hint="`automl run RECIPE`, or `--resume RUN`")
    loaded = load(recipe, sets, params)
    if not leads():
        return loaded, RunDir(run_dir or runs_folder())
    if run_dir is None:
        _outside_of_data(runs_folder(), loaded)
        return loaded, runs.new_run(recipe.name, runs_folder())
    folder = _folder(run_dir, loaded)
    if folder.plan.is_file() and not again:
        raise UsageError(
            "the folder holds a run already",
            where=str(run_dir),
            hint=f"`{resuming(folder)}` goes on with it; a new run needs another folder",
        )
    return loaded, folder


def resuming(run: RunDir) -> str:
    """The command that goes on with a stopped run."""
    return shlex.join(["automl", "run", "--resume", name(run)])


def find(reference: str) -> RunDir:
    """The run that an id, the beginning of one, a folder or `latest` stands for."""
    return runs.find(reference, runs_folder())


def bundle(reference: str) -> Path:
    """The folder of a model: named itself, or that of a run."""
    named = Path(reference)
    return named if (named / "model.json").is_file() else find(reference).model


def summaries() -> list[runs.RunSummary]:
    """Every run of the workspace, the newest first."""
    return runs.summaries(runs_folder())


@contextmanager
def planning(run_dir: Path | None, recipe: "Recipe") -> Iterator[RunDir]:
    """The folder to plan in; without a name it is thrown away."""
    if run_dir is not None:
        folder = _folder(run_dir, recipe)
        with alone(folder):
            yield folder
        return
    with tempfile.TemporaryDirectory(prefix="automl-plan-") as thrown_away:
        yield RunDir(Path(thrown_away))


@contextmanager
def alone(run: RunDir) -> Iterator[None]:
    """Refuses a run that another process works in; those that only help one may."""
    if not leads():
        yield
        return
    import fcntl

    new = not run.root.exists()
    run.root.mkdir(parents=True, exist_ok=True)
    handle = os.open(run.root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise LockedError(
            "another process works in this run",
            where=str(shown(run.root)),
            hint="wait until it is done, or end it",
        ) from None
    except OSError:
        pass  # some network file systems have no locks, which stops nobody
    try:
        yield
    finally:
        os.close(handle)
        if new:
            with suppress(OSError):  # empty: refused before anything was written
                run.root.rmdir()


def shown(path: Path) -> Path:
    """A path as short as it can be from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _folder(named: Path, recipe: "Recipe") -> RunDir:
    """The folder of a run by its name; a run never writes into data or among strange files."""
    folder = RunDir(named.absolute())
    _outside_of_data(folder.root, recipe)
    strangers = [] if runs.is_run(folder.root) else folder.strangers()
    if strangers:
        shown = ", ".join(strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        raise UsageError(
            f"the folder holds something else than a run: {shown}",
            where=str(named),
            hint="name a new folder, or an empty one",
        )
    return folder


def _outside_of_data(folder: Path, recipe: "Recipe") -> None:
    """A run inside the data would be read as data by the next one."""
    data = Path(recipe.data.path)
    if data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
        raise UsageError(
            "the run would lie inside the data, which is never written to",
            where=str(shown(folder)),
            hint="start in another folder, or name one with `--run-dir`",
        )


def _resumed(resume: str, recipe: Path | None, sets: Iterable[str]) -> "tuple[Recipe, RunDir]":
    if recipe is not None or list(sets):
        raise UsageError(
            "a resumed run keeps its recipe",
            hint=f"`automl run --resume {shlex.quote(resume)}` alone, or a new run without it",
        )
    folder = find(resume)
    return load(folder.recipe), folder


def name(run: RunDir) -> str:
    """What finds the run again: its id where it lies among the others, otherwise its folder."""
    return run.id if run.root.parent == runs_folder() else str(shown(run.root))
