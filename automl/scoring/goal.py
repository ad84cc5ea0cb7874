"""The gate: a goal and `metrics.json` in, nothing or an error out."""

from pathlib import Path

from automl.dataset import Dataset
from automl.errors import GateError, UsageError
from automl.files import read_object
from automl.plan import Goal
from automl.recipe.schema import Recipe


def refuse_unscored(recipe: Recipe, dataset: Dataset) -> None:
    """UsageError where this very set will have no such score: before training, not after it."""
    from automl.scoring.score import goals_of

    known = goals_of(dataset.task, several_labels=dataset.multi_label)
    if recipe.goal is None or recipe.goal.metric in known:
        return
    shown = "several classes" if dataset.multi_label else "one class"
    where = f" where each image shows {shown}" if dataset.task == "classification" else ""
    raise UsageError(
        f"`{recipe.goal.metric}` is no score of {dataset.task}{where}",
        where=recipe.place("goal.metric"),
        hint=f"a goal of {', '.join(known)}",
    )


def check(goal: Goal | None, metrics: Path) -> None:
    """GateError where the scores do not reach the goal, UsageError where it names no score."""
    if goal is None:
        return
    scores = read_object(metrics, "evaluate")
    value = scores.get(goal.metric)
    if not isinstance(value, int | float):
        known = ", ".join(name for name, v in scores.items() if isinstance(v, float))
        raise UsageError(
            f"the goal's metric `{goal.metric}` was not scored", hint=f"one of {known}"
        )
    if value < goal.at_least:
        raise GateError(
            f"{goal.metric} is {value:.4f}, the goal is {goal.at_least:g}",
            where=str(metrics),
            hint="train longer or with `effort: thorough`, or lower the goal in the recipe",
        )
