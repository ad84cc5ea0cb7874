"""Recipes and runs by the names that a person types."""

import shlex
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from automl.commands.run_lock import command_line, working
from automl.commands.scratch import scratch
from automl.commands.terminal import leads
from automl.errors import DataError, MachineError, UsageError
from automl.folder_swap import put_back
from automl.record import runs
from automl.run_dir import RunDir, runs_folder

if TYPE_CHECKING:
    from automl.recipe.schema import Recipe


def load(recipe: Path, sets: Iterable[str] = (), params: Path | None = None) -> "Recipe":
    """The recipe with what lies over it; names that do not exist are found here."""
    from automl.commands.name_checks import unknown_names
    from automl.recipe.schema import load_recipe

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

    `again` allows a folder that already holds a plan. The folder of an unfinished run of the same
    recipe is gone on with: the same command again does what it did not get done.
    """
    if resume is not None:
        return _resumed(resume, recipe, sets, params)
    if recipe is None:
        raise UsageError("no recipe given", hint="`automl run RECIPE`, or `--resume RUN`")
    loaded = load(recipe, sets, params)
    if not leads():
        return loaded, RunDir(run_dir or runs_folder())
    if run_dir is None:
        _outside_of_data(runs_folder(), loaded)
        return loaded, runs.new_run(recipe.name, runs_folder())
    folder = _folder(run_dir, loaded)
    if folder.plan.is_file() and not again and not _unfinished(folder, loaded):
        raise UsageError(
            "the folder already holds a run",
            where=str(run_dir),
            hint=f"`{resuming(folder)}` continues it; a new run needs another folder",
        )
    return loaded, folder


@contextmanager
def running(
    run: RunDir, *, new: bool, smoke: bool = False, device: str | None = None
) -> Iterator[None]:
    """Holds the folder of a run; a new one that is refused before its data is read leaves nothing.

    Otherwise `latest`, and the beginning of an id, would stand for a run that never was.
    """
    try:
        with working(run, lambda: resuming(run, smoke=smoke, device=device)):
            yield
    except (UsageError, DataError, MachineError):
        if new and leads() and set(run.root.iterdir()) <= {run.recipe, run.times}:
            shutil.rmtree(run.root, ignore_errors=True)
        raise


def refuse_other_plan(run: RunDir, *, smoke: bool, device: str | None, resumed: bool) -> None:
    """UsageError where a run is planned already, and not as the options say now.

    `--resume` need not say again what is planned; a command that is repeated has to.
    """
    if not leads() or not run.plan.is_file():
        return
    from automl.plan import Plan

    plan, hint = Plan.read(run.plan), f"`{resuming(run)}` keeps its plan; else start a new run"
    if smoke != plan.smoke and (smoke or not resumed):
        kind = "a full run" if smoke else "a smoke run"
        raise UsageError(f"the run was planned as {kind}", where=str(shown(run.plan)), hint=hint)
    if device in (None, "auto"):
        return
    from automl.planning.hardware import require_device

    if require_device(device) != plan.device:
        message = f"the run was planned for `{plan.device}`, not for `{device}`"
        raise UsageError(message, where=str(shown(run.plan)), hint=hint)


def keep(recipe: "Recipe", run: RunDir) -> None:
    """From here on the run can be gone on with, whenever it is stopped."""
    from automl.recipe.schema import write_recipe

    if leads() and not run.recipe.is_file():
        write_recipe(recipe, run.recipe)


def resuming(run: RunDir, *, smoke: bool = False, device: str | None = None) -> str:
    """The command that goes on with a stopped run; what is planned need not be said again."""
    if not runs.is_run(run.root):
        return command_line()
    said = ["automl", "run", "--resume", name(run)]
    if not run.plan.is_file():
        said += [*(["--smoke"] if smoke else []), *(["--device", device] if device else [])]
    return shlex.join(said)


def find(reference: str) -> RunDir:
    """The run that an id, the beginning of one, a folder or `latest` stands for."""
    return runs.find(reference, runs_folder())


def bundle(reference: str) -> Path:
    """The folder of a model: named itself, or that of a run.

    `latest` is the newest run with a model: one that is still at work, or failed, is passed over.
    """
    named = Path(reference)
    put_back(named)
    if (named / "model.json").is_file():
        return named
    models = (RunDir(run.folder).model for run in summaries()) if reference == "latest" else ()
    finished = (model for model in models if (model / "model.json").is_file())
    return next(finished, None) or find(reference).model


def summaries() -> list[runs.RunSummary]:
    """Every run of the workspace, the newest first."""
    return runs.summaries(runs_folder())


@contextmanager
def planning(run_dir: Path | None, recipe: "Recipe") -> Iterator[RunDir]:
    """The folder to plan in; without a name it is thrown away."""
    if run_dir is not None:
        folder = _folder(run_dir, recipe)
        with working(folder):
            yield folder
        return
    with scratch() as folder_:
        yield RunDir(folder_)


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
            f"the folder holds other files than a run's: {shown}",
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


def _resumed(
    resume: str, recipe: Path | None, sets: Iterable[str], params: Path | None
) -> "tuple[Recipe, RunDir]":
    folder = find(resume)
    kept = load(folder.recipe)
    said = load(recipe, sets, params) if recipe is not None else None
    if said != kept and (said is not None or params is not None or list(sets)):
        raise UsageError(
            "a resumed run keeps its recipe",
            where=str(shown(folder.recipe)),
            hint=f"`automl run --resume {shlex.quote(resume)}` alone, or a new run without it",
        )
    left = folder.checkpoints.is_dir() or folder.engine.is_dir()
    if not left and runs.summary(folder.root).state == "finished":
        raise UsageError(
            "the run is finished and its checkpoints are gone: nothing is left to continue",
            where=str(shown(folder.root)),
            hint=f"`automl show {shlex.quote(resume)}`; `automl run RECIPE` trains anew",
        )
    return kept, folder


def _unfinished(run: RunDir, recipe: "Recipe") -> bool:
    """Whether the folder holds a run of this very recipe that was stopped."""
    if not run.recipe.is_file() or runs.summary(run.root).state == "finished":
        return False
    return load(run.recipe) == recipe


def name(run: RunDir) -> str:
    """The id where the run lies among the others, otherwise its folder."""
    return run.id if run.root.parent == runs_folder() else str(shown(run.root))
