"""What a recipe names and does not exist: model, metric, transform. Found before data is read."""

from dataclasses import replace
from typing import TYPE_CHECKING

from automl.errors import Fault, RecipeError
from automl.suggestions import did_you_mean

if TYPE_CHECKING:
    from automl.recipe.schema import Recipe


def unknown_names(recipe: "Recipe") -> list[Fault]:
    """Every such name with its place in the recipe."""
    return [*_model(recipe), *_metric(recipe), *_transforms(recipe)]


def _model(recipe: "Recipe") -> list[Fault]:
    """A model that no library knows, or whose licence the recipe does not accept."""
    from automl.planning.backbones import find

    if recipe.model == "auto":
        return []
    try:
        row = find(recipe.model, recipe.task)
    except RecipeError as error:
        return [replace(fault, where=recipe.place("model")) for fault in error.faults]
    if recipe.licence == "any" or row.permissive(pretrained=False):
        return []
    message = f"model `{row.name}` is not permissive: {row.licence}"
    hint = "set `licence: any` if you accept that, or `model: auto`"
    return [Fault(message, recipe.place("model"), hint)]


def _metric(recipe: "Recipe") -> list[Fault]:
    """A gate on a score that this task does not have, or that no model can reach."""
    from automl.scoring.score import SHARES

    goal, known = recipe.goal, SHARES[recipe.task]
    if goal is None:
        return []
    if goal.metric not in known:
        message = f"the goal's metric `{goal.metric}` is not a metric of {recipe.task}"
        return [Fault(message, recipe.place("goal.metric"), did_you_mean(goal.metric, known))]
    if goal.at_least > 1:
        message = f"{goal.metric} {goal.at_least:g} cannot be reached: scores lie between 0 and 1"
        hint = f"such as `at_least: {goal.at_least / 100:g}`" if goal.at_least <= 100 else ""
        return [Fault(message, recipe.place("goal.at_least"), hint or "set a number from 0 to 1")]
    return []


def _transforms(recipe: "Recipe") -> list[Fault]:
    """Steps of an augmentation list that Albumentations cannot make."""
    if not isinstance(recipe.augment, list) or not recipe.augment:
        return []
    from automl.engines.transform_list import build
    from automl.plan import Augment

    faults = []
    for number, step in enumerate(recipe.augment):
        try:
            build(Augment(policy="custom", transforms=(step,)))
        except RecipeError as error:
            where = recipe.place(f"augment.{number}")
            faults += [replace(fault, where=where) for fault in error.faults]
    return faults
