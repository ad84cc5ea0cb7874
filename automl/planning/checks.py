"""What no plan may hold: impossible combinations, all named at once, each with its place."""

from collections.abc import Iterator

from automl.dataset import Profile
from automl.errors import Fault, RecipeError
from automl.plan import Plan
from automl.recipe.checks import Clash, clashes
from automl.recipe.schema import Recipe


def check_plan(plan: Plan, recipe: Recipe, profile: Profile, *, native_bf16: bool) -> None:
    """RecipeError with every impossible combination of what was asked for and what was chosen."""
    found = [*clashes(plan.task, plan.train), *_with_data(plan, profile)]
    if plan.train.precision == "bf16" and plan.device == "cpu" and not native_bf16:
        message = "`train.precision: bf16` needs a graphics card, or a processor that knows bf16"
        found.append(("precision", message, "leave it out"))
    if plan.engine != "native" and plan.train.instant != "none":
        message = f"`train.instant` does not fit the model `{plan.model}`"
        found.append(("instant", message, "leave it out"))
    if not found:
        return
    faults = [Fault(message, recipe.place(f"train.{key}"), hint) for key, message, hint in found]
    raise RecipeError(f"{len(faults)} impossible settings in `train`", faults=faults)


def _with_data(plan: Plan, profile: Profile) -> Iterator[Clash]:
    train, images = plan.train, profile.images.get("train", 0)
    if train.batch_size > images:
        message = f"`train.batch_size` is {train.batch_size}, but only {images} images train"
        yield "batch_size", message, f"set at most {images}, or leave it out"
