"""Pairs of recipe values that cannot both be meant, found before any data is read."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from automl.dataset import Task
from automl.errors import Fault
from automl.finding_codes import BINDING, CODES
from automl.suggestions import did_you_mean

if TYPE_CHECKING:
    from automl.recipe.schema import Recipe

_PART = r"([0-9]+(?:\.[0-9]+)?)([smh])"
_SECONDS = {"s": 1, "m": 60, "h": 3600}
LONGEST_BUDGET_S = 1e9
LARGEST_ID = 2**31 - 1
LARGEST_MASK_ID = 2**16 - 1
"""A mask has 16 bits a pixel at most."""
STORES = frozenset(
    ("file", "http", "https", "databricks", "uc", "databricks-uc")
    + ("sqlite", "postgresql", "mysql", "mssql")
)
"""What an MLflow tracking URI may begin with."""
STRIDE = 32
"""Nets halve an image five times: sides in front of a decoder or pyramid are multiples of it."""
Clash = tuple[str, str, str]
"""Key of `train`, what is wrong with it, and the cure."""
_CLASSIFIERS_ALONE = ("label_smoothing", "instant_images", "stored_size")
UNFIT: dict[Task, tuple[str, ...]] = {
    "classification": ("instant_steps", "mosaic"),
    "segmentation": (*_CLASSIFIERS_ALONE, "mosaic"),
    "detection": (*_CLASSIFIERS_ALONE, "compile"),
}
"""Keys of `train` that would do nothing for a task."""


def impossible(recipe: "Recipe") -> list[Fault]:
    """Every fault that shows only when two values, or a value's inner form, are looked at."""
    found = [*_general(recipe), *_data(recipe)]
    for key, message, hint in clashes(recipe.task, recipe.train):
        found.append(_fault(recipe, f"train.{key}", message, hint))
    return found


def seconds(time: str) -> float | None:
    """`90s`, `10m` or `1h30m` in seconds; None where it is no length of time."""
    if not re.fullmatch(f"(?:{_PART})+", time):
        return None
    total = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, time))
    return total if 0 < total < LONGEST_BUDGET_S else None


def _fault(recipe: "Recipe", key: str, message: str, hint: str) -> Fault:
    return Fault(message, recipe.place(key), hint)


def _general(recipe: "Recipe") -> Iterator[Fault]:
    if recipe.budget is not None and seconds(recipe.budget) is None:
        message = f"`budget` cannot be `{recipe.budget}`"
        yield _fault(recipe, "budget", message, "a time such as `90s`, `10m` or `1h30m`")
    scheme, colon, _ = recipe.track.mlflow.partition("://")
    if colon and scheme.partition("+")[0] not in STORES and not _brought_along(scheme):
        message = f"MLflow keeps no runs at `{scheme}://`"
        hint = "such as `http://host:5000`, `sqlite:///mlflow.db`, or `off`"
        yield _fault(recipe, "track.mlflow", message, hint)


def _brought_along(scheme: str) -> bool:
    """Whether an installed package teaches MLflow this kind of store."""
    from importlib.metadata import entry_points

    return any(plugin.name == scheme for plugin in entry_points(group="mlflow.tracking_store"))


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
    yield from _patterns(recipe)
    yield from _waived(recipe)
    if not recipe.data.path:
        yield _fault(recipe, "data.path", "`data.path` is empty", "name a folder; `.` is this one")
    elif "\0" in recipe.data.path:
        yield _fault(recipe, "data.path", "a NUL character in `data.path`", "take it out")


def _patterns(recipe: "Recipe") -> Iterator[Fault]:
    colours = [tuple(colour) for colour in recipe.data.colours.values()]
    if len(set(colours)) < len(colours):
        message = "two classes of `data.colours` have one colour"
        yield _fault(recipe, "data.colours", message, "give each class its own")
    try:
        re.compile(recipe.data.group)
    except (re.error, RecursionError, OverflowError) as error:
        message = f"`data.group` is no pattern: {error}"
        hint = r"a regular expression such as `(patient\d+)_`"
        yield _fault(recipe, "data.group", message, hint)


def _waived(recipe: "Recipe") -> Iterator[Fault]:
    for code, reason in recipe.checks.waive.items():
        place, known = f"checks.waive.{code}", code.replace("-", "_")
        if known in BINDING:
            hint = "mend the data: there would be nothing to train on or to judge by"
            yield _fault(recipe, place, f"`{code}` cannot be waived", hint)
        elif known not in CODES:
            message = f"no finding has the code `{code}`"
            yield _fault(recipe, place, message, did_you_mean(code, sorted(set(CODES) - BINDING)))
        elif not reason.strip():
            yield _fault(recipe, place, f"`{code}` is waived without a reason", "say why")


def clashes(task: Task, train: Any) -> Iterator[Clash]:
    """Settings that a task cannot have, or not with one another; what is still open is None.

    A recipe is asked before its data is read, its plan again when nothing is open any more.
    """
    yield from _sides(task, train)
    for key in UNFIT[task]:
        if getattr(train, key):
            yield key, f"`train.{key}` does not fit the task {task}", "leave it out"
    yield from _together(task, train)


def _together(task: Task, train: Any) -> Iterator[Clash]:
    if train.crop and task != "segmentation" and train.crop != train.image_size:
        message = f"`train.crop` does not fit the task {task}"
        yield "crop", message, "leave it out; `train.image_size` is the size"
    elif any(c > s for c, s in zip(train.crop or (), train.image_size or (), strict=False)):
        message = "`train.crop` is larger than `train.image_size`"
        yield "crop", message, "a crop is cut from an image of image_size"
    if train.fit == "crop" and task == "detection":
        yield "fit", "`train.fit: crop` would cut boxes off", "set letterbox or squash"
    if train.batch_size and train.micro_batch and train.batch_size % train.micro_batch:
        message = (
            f"`train.batch_size` {train.batch_size} is no multiple of "
            f"`train.micro_batch` {train.micro_batch}"
        )
        yield "micro_batch", message, "gradients of whole micro-batches add up"
    if train.epochs and train.warmup_epochs and train.warmup_epochs > train.epochs:
        message = f"`train.warmup_epochs` is more than `train.epochs`: {train.epochs}"
        yield "warmup_epochs", message, "warm up for a few epochs, or 0"


def _sides(task: Task, train: Any) -> Iterator[Clash]:
    for key in ("image_size", "crop") if task == "segmentation" else ("image_size",):
        sides = getattr(train, key) or ()
        shown = f"`train.{key}` is {'x'.join(map(str, sides))}"
        if task != "classification" and any(side % STRIDE for side in sides):
            near = ", ".join(str(max(STRIDE, round(side / STRIDE) * STRIDE)) for side in sides)
            message = f"{shown}; {task} needs multiples of {STRIDE}"
            yield key, message, f"`{key}: [{near}]` is nearest"
        elif sides and min(sides) < STRIDE:
            yield key, f"{shown}; nets need {STRIDE} px at least", "64 is small and works"
