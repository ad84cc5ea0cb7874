"""The recipe: what the user wrote. Loading it finds every fault at once, each with its place."""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, create_model

from automl.credentials import bare
from automl.dataset import Task
from automl.errors import Fault, RecipeError
from automl.files import write_text
from automl.plan import Goal, Share, Strict, Train
from automl.recipe.checks import impossible
from automl.recipe.faults import rewrite
from automl.recipe.tree import absolute, merge, places, values
from automl.recipe.yaml_text import DEEPEST, Node, Origin, dump, parse, read_text

Policy = Literal["auto", "none", "light", "medium", "heavy"]
Format = Literal[
    "auto",
    "folders",
    "csv",
    "jsonl",
    "lists",
    "coco",
    "yolo",
    "voc",
    "masks",
    "object_masks",
    "labelme",
    "cvat",
    "datumaro",
    "openimages",
    "index",
]
Frame = Annotated[int, Field(ge=0)] | Literal["middle"]
Channel = Annotated[int, Field(ge=0, le=255)]

TrainSettings = create_model(
    "TrainSettings",
    __base__=Strict,
    **{  # type: ignore[call-overload]
        name: (field.rebuild_annotation() | None, Field(None, description=field.description))
        for name, field in Train.model_fields.items()
    },
)


class Split(Strict):
    """Shares of the images that are drawn for splits the set does not bring."""

    val: Annotated[Share, Field(description="share of images drawn for validation")] = 0.2
    test: Annotated[Share, Field(description="share of images drawn for the final test")] = 0.0


_BOX = "edge or size of a box, one box a line"


class Columns(Strict):
    """What a table calls its columns, where it is none of the usual names."""

    path: Annotated[str | None, Field(description="column of the image, relative to the table")] = (
        None
    )
    label: Annotated[str | None, Field(description="column of the class, one an image or box")] = (
        None
    )
    labels: Annotated[str | None, Field(description="column of several classes: `cat|dog`")] = None
    mask: Annotated[str | None, Field(description="column of the mask of ids")] = None
    runs: Annotated[
        str | None,
        Field(description="column of run lengths: start, length, down the columns, from 1"),
    ] = None
    split: Annotated[str | None, Field(description="column of train, val or test")] = None
    group: Annotated[str | None, Field(description="column of the patient, the video ...")] = None
    xmin: Annotated[str | None, Field(description=_BOX)] = None
    ymin: Annotated[str | None, Field(description=_BOX)] = None
    xmax: Annotated[str | None, Field(description=_BOX)] = None
    ymax: Annotated[str | None, Field(description=_BOX)] = None
    width: Annotated[str | None, Field(description=_BOX)] = None
    height: Annotated[str | None, Field(description=_BOX)] = None


class Data(Strict):
    """Where the data is and how to read it."""

    path: Annotated[str, Field(description="folder or file, relative to the recipe")]
    format: Annotated[Format, Field(description="layout of the set")] = "auto"
    classes: Annotated[
        list[str] | dict[int, str] | None,
        Field(description="class names in the order of their ids, or a map from id to name"),
    ] = None
    ignore: Annotated[list[int], Field(description="mask ids that mean: no label")] = [255]
    columns: Annotated[Columns, Field(description="names of a table's columns")] = Field(
        default_factory=Columns
    )
    attributes: Annotated[
        list[str], Field(description="further columns of a table to keep with each image")
    ] = []
    colours: Annotated[
        dict[str, Annotated[list[Channel], Field(min_length=3, max_length=3)]],
        Field(description="masks that are colours: red, green and blue of each class by name"),
    ] = {}
    group: Annotated[
        str, Field(description="pattern in an image's path whose first (...) must not be split")
    ] = ""
    frame: Annotated[
        Frame | None,
        Field(description="which picture of files that hold several: a number from 0, or `middle`"),
    ] = None
    split: Annotated[
        Split,
        Field(description="shares drawn where the set brings no split"),
    ] = Field(default_factory=Split)


class Checks(Strict):
    """What the checks of the data may let pass."""

    waive: Annotated[
        dict[str, str],
        Field(description="findings to let pass: `{near_duplicate: frames of one video}`"),
    ] = {}


class Track(Strict):
    """Where a run is recorded."""

    mlflow: Annotated[
        str,
        Field(description="tracking URI; `auto`: MLFLOW_TRACKING_URI or mlflow.db here; `off`"),
    ] = "auto"
    dvc: Annotated[
        Literal["auto", "off"],
        Field(description="`auto` tracks data and model in a Git + DVC workspace"),
    ] = "auto"
    experiment: Annotated[str, Field(description="MLflow experiment and registered model")] = (
        "automl"
    )


@dataclass(frozen=True)
class Places:
    """Where each set key was written, by dotted path; takes no part in comparing recipes."""

    by_key: dict[str, str] = field(default_factory=dict, compare=False)


class Recipe(Strict):
    """A task, its data, and whatever the user does not want to leave open."""

    task: Annotated[Task, Field(description="what is learnt")]
    data: Annotated[Data, Field(description="a path, or the mapping below")]
    checks: Annotated[Checks, Field(description="what the checks of the data let pass")] = Field(
        default_factory=Checks
    )
    model: Annotated[str, Field(description="`auto` or a name from `automl models`")] = "auto"
    weights: Annotated[
        Literal["auto", "pretrained", "none"],
        Field(description="`auto` prefers pretrained ones at hand; `none` trains from scratch"),
    ] = "auto"
    effort: Annotated[
        Literal["quick", "standard", "thorough"], Field(description="the one dial")
    ] = "standard"
    budget: Annotated[
        str | None, Field(description="longest time of the whole run: 90s, 10m, 1h30m")
    ] = None
    licence: Annotated[
        Literal["any", "permissive"],
        Field(description="which models `auto` may choose and `model` may name"),
    ] = "permissive"
    augment: Annotated[
        Policy | list[dict[str, dict[str, Any]]],
        Field(description="a policy, or a list of Albumentations transforms"),
    ] = "auto"
    train: Annotated[
        TrainSettings,  # type: ignore[valid-type]
        Field(description="any key of the plan's train section"),
    ] = Field(default_factory=TrainSettings)
    goal: Annotated[Goal | None, Field(description="gate on a metric of the judged split")] = None
    track: Annotated[Track, Field(description="where the run is recorded")] = Field(
        default_factory=Track
    )

    _places: Places = PrivateAttr(default_factory=Places)

    def place(self, key: str) -> str:
        """Where `key` (dotted) was written: `file:line:column` or `--set ...`; "" if left open."""
        return self._places.by_key.get(key, "")

    def set_by(self, key: str) -> str:
        """Who set `key`, as a reason of the plan."""
        by_option = self.place(key).startswith("--")
        return "set on the command line" if by_option else "set in the recipe"


Check = Callable[[Recipe], list[Fault]]
"""Finds what a recipe's fields alone do not show, such as a model that does not exist."""


def load_recipe(
    path: Path,
    overrides: Iterable[str] = (),
    params: Path | None = None,
    check: Check | None = None,
) -> Recipe:
    """The recipe in `path`, with the `set:` mapping of `params` and then `overrides` laid over it.

    Paths are relative to the file that says them, on the command line to the current folder.
    """
    shown = str(path)
    tree, faults = parse(read_text(path, shown), Origin(shown, path.parent))
    layers = [tree]
    if params is not None:
        layers.append(_params(params, faults))
    layers += [_override(text, faults) for text in overrides]
    return _recipe(layers, faults, check)


def read_recipe(path: Path) -> Recipe:
    """A run's recipe, as `write_recipe` left it."""
    return load_recipe(path)


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes a recipe that `load_recipe` reads back equal, but for a password in a URL.

    The data path is relative where both lie below the current folder, so that another clone
    writes the same bytes.
    """
    raw = recipe.model_dump(exclude_unset=True)
    here = Path.cwd()
    data, folder = Path(recipe.data.path), absolute(path.parent)
    if data.is_relative_to(here) and folder.is_relative_to(here):
        raw["data"]["path"] = Path(os.path.relpath(data, folder)).as_posix()
    if "mlflow" in raw.get("track", {}):
        raw["track"]["mlflow"] = bare(recipe.track.mlflow)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, dump(raw))


def _params(path: Path, faults: list[Fault]) -> Node:
    """The `set:` mapping of a parameter file; its other keys are not the recipe's."""
    text = read_text(path, str(path), what="the file of parameters")
    tree, found = parse(text, Origin(str(path), path.parent))
    faults += found
    nothing = Node({}, tree.origin)
    if isinstance(tree.value, dict) and "set" not in tree.value and not found:
        message, hint = "no `set:` in the parameters", "put the recipe's keys below `set:`"
        faults.append(Fault(message, str(path), hint))
    wanted = tree.value.get("set", nothing) if isinstance(tree.value, dict) else tree
    if wanted.value is None:
        return nothing
    if not isinstance(wanted.value, dict):
        message = "the parameters are no mapping of keys to values"
        faults.append(Fault(message, wanted.place, hint="`set:` with the recipe's keys below it"))
        return nothing
    return wanted


def _override(text: str, faults: list[Fault]) -> Node:
    """`train.epochs=5` as a tree with one leaf."""
    origin = Origin(f"--set {text}", Path.cwd(), lines=False)
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > DEEPEST or not key.isprintable():
        faults.append(
            Fault(
                "an override must have the form `key=value`",
                origin.label,
                hint="such as `--set train.epochs=5`",
            )
        )
        return Node({}, origin)
    node, found = parse(value, origin)
    faults += found
    for part in reversed(parts):
        name = int(part) if part.isdigit() else part
        node = Node({name: node}, origin, keys={name: origin.label})
    return node


def _recipe(layers: list[Node], faults: list[Fault], check: Check | None) -> Recipe:
    tree = merge(layers, faults)
    try:
        recipe = Recipe.model_validate(values(tree), strict=True)
    except ValidationError as error:
        faults += rewrite(error, tree, Recipe)
    else:
        recipe._places = Places(places(tree))
        faults += impossible(recipe)
        faults += check(recipe) if check else []
    if faults:
        faults.sort(key=_order)
        raise RecipeError(f"{len(faults)} faults in the recipe", faults=faults)
    return recipe


def _order(fault: Fault) -> tuple[str, int, int]:
    """By file, line and column."""
    at = re.fullmatch(r"(.*):(\d+):(\d+)", fault.where)
    return (at[1], int(at[2]), int(at[3])) if at else (fault.where, 0, 0)
