"""What `evaluate --data` means: the recipe that reads the other set, and where results go."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.commands.scratch import scratch
from automl.commands.terminal import talk
from automl.commands.workspace import load
from automl.errors import UsageError
from automl.model import bundle as bundles
from automl.run_dir import RunDir

if TYPE_CHECKING:
    from automl.data.other_set import Part
    from automl.recipe.schema import Recipe

OWN = {
    *("dataset.json", "findings.json", "metrics.json", "evaluation.json", "suspects.json"),
    *("predictions", "plots", "report.html"),
}
"""What an earlier evaluation has left in its folder."""


def scored(
    model: Path,
    data: Path,
    sets: Iterable[str],
    split: "Part | None",
    out: Path | None,
    device: str | None,
) -> dict[str, Any]:
    """What `evaluate` shows of other data."""
    recipe = recipe_for(model, data, sets)
    folder = folder_for(out, recipe)
    from automl.other_data import evaluate  # a fault of the recipe is told without it

    scores = evaluate(model, recipe, talk(), split=split, out=folder, device=device)
    shown = {**scores.head, **scores.metrics, "per_class": scores.per_class}
    return {"scores": shown, "intervals": scores.intervals}


def refuse_options(**options: object) -> None:
    """UsageError for options that belong to `--data`, where that is not there."""
    given = [f"--{name}" for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"{' and '.join(given)} without `--data`",
            hint="a run's own data is scored as its plan says; name other data with `--data PATH`",
        )


def recipe_for(model: Path, data: Path, sets: Iterable[str]) -> "Recipe":
    """The recipe of the model's run, or a bare one, with the other data in place of its own."""
    bundle, own = bundles.read(model), RunDir(model.parent).recipe
    over = [f"data.path={json.dumps(str(data))}"]
    if bundle.frame is not None:
        over.append(f"data.frame={bundle.frame}")
    with scratch() as folder:
        bare = folder / "recipe.yaml"
        bare.write_text(f"task: {bundle.task}\ndata: unknown\n", encoding="utf-8")
        recipe = load(own if own.is_file() else bare, [*over, *sets])
    if recipe.task != bundle.task:
        raise UsageError(
            f"the model was trained for {bundle.task}, not for {recipe.task}",
            where=recipe.place("task"),
            hint="leave `task` out",
        )
    return recipe


def folder_for(out: Path | None, recipe: "Recipe") -> RunDir | None:
    """The folder that is written to; not a run's, not one with strange files, not in the data."""
    if out is None:
        return None
    run, data = RunDir(out.absolute()), Path(recipe.data.path)
    if data.is_dir() and run.root.resolve().is_relative_to(data.resolve()):
        message = "`--out` lies inside the data, which is never written to"
        raise UsageError(message, where=str(out), hint="name a folder elsewhere")
    if run.root.exists() and not run.root.is_dir():
        raise UsageError("`--out` is a file", where=str(out), hint="name a folder")
    names = {path.name for path in run.root.iterdir()} if run.root.is_dir() else set()
    if strange := sorted(names - OWN):
        few = ", ".join(strange[:3]) + (", ..." if len(strange) > 3 else "")
        raise UsageError(
            f"the folder holds other files than an evaluation's: {few}",
            where=str(out),
            hint="name a new folder, or an empty one",
        )
    return run
