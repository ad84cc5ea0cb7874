"""Pairs of recipe values that cannot both be meant, found before any data is read."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from automl.errors import Fault

if TYPE_CHECKING:
    from automl.recipe import Recipe

_BUDGET = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h)")


LARGEST_ID = 2**31 - 1
LARGEST_MASK_ID = 2**16 - 1
"""A mask has 16 bits a pixel at most."""
STRIDE = 32
"""Decoders and pyramids halve an image five times."""


def impossible(recipe: "Recipe") -> list[Fault]:
    """Every fault that shows only when two values, or a value's inner form, are looked at."""
    return [*_general(recipe), *_data(recipe), *_sizes(recipe), *_batches(recipe)]


def _fault(recipe: "Recipe", key: str, message: str, hint: str) -> Fault:
    return Fault(message, recipe.place(key), hint)


def _general(recipe: "Recipe") -> Iterator[Fault]:
    budget = _BUDGET.fullmatch(recipe.budget) if recipe.budget is not None else None
    if recipe.budget is not None and (budget is None or not 0 < float(budget[1]) < 1e6):
        message = f"`budget` cannot be `{recipe.budget}`"
        yield _fault(recipe, "budget", message, "a time such as `90s`, `10m` or `2h`")


def _data(recipe: "Recipe") -> Iterator[Fault]:
    if recipe.data.split.val + recipe.data.split.test >= 1:
        message = "`data.split` leaves no image to train on"
        yield _fault(recipe, "data.split", message, "`val` and `test` together below 1")
    classes = recipe.data.classes
    if classes is not None:
        names = list(classes.values()) if isinstance(classes, dict) else classes
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not all(names) or not names:
            message = f"class `{twice[0]}` stands twice" if twice else "a class without a name"
            message = message if names else "`data.classes` is empty"
            yield _fault(recipe, "data.classes", message, "one name per class")
    largest = LARGEST_MASK_ID if recipe.task == "segmentation" else LARGEST_ID
    ids = classes if isinstance(classes, dict) else {}
    for number in ids:
        if not 0 <= number <= largest:
            message = f"no class can have the id {number}"
            hint = f"ids of {recipe.task} are 0 to {largest}"
            yield _fault(recipe, f"data.classes.{number}", message, hint)
    if not recipe.data.path:
        yield _fault(recipe, "data.path", "`data.path` is empty", "name a folder; `.` is this one")
    elif "\0" in recipe.data.path:
        yield _fault(recipe, "data.path", "a NUL character in `data.path`", "take it out")


def _sizes(recipe: "Recipe") -> Iterator[Fault]:
    train: Any = recipe.train
    for key in ("image_size", "crop") if recipe.task != "classification" else ():
        sides = getattr(train, key) or ()
        if any(side % STRIDE for side in sides):
            near = ", ".join(str(max(STRIDE, round(side / STRIDE) * STRIDE)) for side in sides)
            shown = "x".join(map(str, sides))
            message = f"`train.{key}` is {shown}; {recipe.task} needs multiples of {STRIDE}"
            yield _fault(recipe, f"train.{key}", message, f"`{key}: [{near}]` is nearest")
    if train.crop is None:
        return
    if recipe.task != "segmentation":
        message = f"`train.crop` does not fit the task {recipe.task}"
        yield _fault(recipe, "train.crop", message, "leave it out; `train.image_size` is the size")
    elif train.image_size and any(c > s for c, s in zip(train.crop, train.image_size, strict=True)):
        message = "`train.crop` is larger than `train.image_size`"
        yield _fault(recipe, "train.crop", message, "a crop is cut from an image of image_size")


def _batches(recipe: "Recipe") -> Iterator[Fault]:
    train: Any = recipe.train
    if train.batch_size and train.micro_batch and train.batch_size % train.micro_batch:
        message = (
            f"`train.batch_size` {train.batch_size} is no multiple of "
            f"`train.micro_batch` {train.micro_batch}"
        )
        yield _fault(
            recipe, "train.micro_batch", message, "gradients of whole micro-batches add up"
        )
    if train.epochs and train.warmup_epochs is not None and train.warmup_epochs > train.epochs:
        message = "`train.warmup_epochs` is more than `train.epochs`"
        yield _fault(recipe, "train.warmup_epochs", message, "warm up for a few epochs, or 0")
    if train.label_smoothing and recipe.task != "classification":
        message = f"`train.label_smoothing` does not fit the task {recipe.task}"
        yield _fault(
            recipe, "train.label_smoothing", message, "it is for classification; leave it out"
        )
