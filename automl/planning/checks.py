"""What no plan may hold: impossible combinations, all named at once, each with its place."""

from collections.abc import Iterator

from automl.dataset import Profile
from automl.errors import Fault, RecipeError
from automl.plan import Plan
from automl.recipe import Recipe

STRIDE = 32
SMALLEST = 32

Found = Iterator[tuple[str, str, str]]
"""Key of `train`, what is wrong with it, and the cure."""


def check_plan(plan: Plan, recipe: Recipe, profile: Profile) -> None:
    """RecipeError with every impossible combination."""
    found = [*_sides(plan), *_crop(plan), *_amounts(plan, profile)]
    if plan.train.precision == "bf16" and plan.device == "cpu":
        found.append(("precision", "`precision: bf16` needs a graphics card", "leave it out"))
    if not found:
        return
    faults = [Fault(message, recipe.place(f"train.{key}"), hint) for key, message, hint in found]
    raise RecipeError(f"{len(faults)} impossible settings in `train`", faults=faults)


def _sides(plan: Plan) -> Found:
    """Pyramids and decoders halve an image five times."""
    for key in ("image_size", "crop"):
        sides: tuple[int, int] = getattr(plan.train, key)
        shown = f"`{key}` is {sides[0]}x{sides[1]} px"
        if plan.task != "classification" and any(side % STRIDE for side in sides):
            near = ", ".join(str(max(STRIDE, round(side / STRIDE) * STRIDE)) for side in sides)
            message = f"{shown}, {plan.task} needs sides that are multiples of {STRIDE}"
            yield key, message, f"`{key}: [{near}]` is nearest"
        elif min(sides) < SMALLEST:
            yield key, f"{shown}, below {SMALLEST} px", "64 is small and works"
        if plan.task != "segmentation":
            return


def _crop(plan: Plan) -> Found:
    """A crop is a part of an image, and cuts neither boxes nor what a label speaks of."""
    train = plan.train
    if plan.task != "segmentation" and train.crop != train.image_size:
        yield "crop", f"`crop` is for segmentation, the task is {plan.task}", "leave it out"
    elif any(c > s for c, s in zip(train.crop, train.image_size, strict=True)):
        yield "crop", "`crop` is larger than `image_size`", "leave it out"
    if plan.task == "detection" and train.fit == "crop":
        yield "fit", "`fit: crop` would cut boxes off", "set letterbox or squash"


def _amounts(plan: Plan, profile: Profile) -> Found:
    """Numbers that must fit each other or the set."""
    train, images = plan.train, profile.images.get("train", 0)
    if train.batch_size > images:
        message = f"`batch_size` is {train.batch_size}, but only {images} images train"
        yield "batch_size", message, f"set at most {images}, or leave it out"
    if train.batch_size % train.micro_batch:
        message = f"`micro_batch` {train.micro_batch} does not divide `batch_size` "
        yield "micro_batch", f"{message}{train.batch_size}", "leave it out"
    if train.warmup_epochs > train.epochs:
        message = f"`warmup_epochs` {train.warmup_epochs:g} is more than `epochs` {train.epochs}"
        yield "warmup_epochs", message, "leave it out"
