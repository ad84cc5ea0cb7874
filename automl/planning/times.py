"""How long a training may take: effort and budget in, seconds and numbers of epochs out."""

import math

from automl.dataset import Task
from automl.planning.choice import Situation
from automl.recipe.checks import seconds

GOAL_SECONDS: dict[Task, float] = {
    "classification": 75.0,
    "segmentation": 200.0,
    "detection": 200.0,
}
"""Training time that standard effort aims at where the data lets it."""
FEWEST: dict[Task, float] = {"classification": 8.0, "segmentation": 14.0, "detection": 16.0}
"""Epochs that standard effort never goes below for a set of `USUAL_IMAGES`, pretrained."""
MOST: dict[Task, float] = {"classification": 30.0, "segmentation": 80.0, "detection": 100.0}
"""Epochs after which standard effort gains nothing more, pretrained."""
USUAL_IMAGES: dict[Task, tuple[int, int]] = {
    "classification": (100, 250),
    "segmentation": (150, 400),
    "detection": (150, 400),
}
"""Between these numbers of images `FEWEST` holds; fewer need more epochs, more need fewer."""
EFFORT = {"quick": (0.35, 0.4), "standard": (1.0, 1.0), "thorough": (6.0, 2.5)}
"""Factors of time and of epochs by effort."""
SCRATCH = 3.0
"""Factor of epochs where nothing is pretrained."""
LEAST_EPOCHS = 3
LONGEST = 3.0
"""`model: auto` takes no model that needs more than this many times the goal, if another does."""
UNTOUCHED = 0.01
"""Share of a budget that is planned for nothing."""
LEAST_S = 1.0
"""Time for training that is planned for where a budget leaves none."""


def budget_seconds(text: str | None) -> float | None:
    """A recipe's budget in seconds; it was checked when it was read."""
    return None if text is None else seconds(text)


def goal_seconds(at: Situation) -> float:
    """Training time to aim at: the budget, or what the effort stands for."""
    budget = budget_seconds(at.recipe.budget)
    if budget is not None:
        return max(LEAST_S, usable(at, budget))
    return GOAL_SECONDS[at.task] * EFFORT[at.recipe.effort][0]


def usable(at: Situation, budget: float) -> float:
    """Seconds of a budget that epochs and the judging of images may fill; it may leave none."""
    return budget * (1 - UNTOUCHED) - sum(at.hardware.overhead_s.values())


def fewest_epochs(
    at: Situation, size: tuple[int, int], crop: tuple[int, int], *, pretrained: bool
) -> int:
    """Epochs below which the effort's quality is not to be had, counted in passes over crops."""
    return max(LEAST_EPOCHS, math.ceil(FEWEST[at.task] * _factor(at, size, crop, pretrained)))


def most_epochs(
    at: Situation, size: tuple[int, int], crop: tuple[int, int], *, pretrained: bool
) -> int:
    """Epochs beyond which more time is wasted."""
    return max(LEAST_EPOCHS, round(MOST[at.task] * _factor(at, size, crop, pretrained)))


def _factor(at: Situation, size: tuple[int, int], crop: tuple[int, int], pretrained: bool) -> float:
    """By effort, number of images, pretraining, and the share of an image that a crop shows."""
    few, many = USUAL_IMAGES[at.task]
    images = at.train_images
    by_number = min(3.0, math.sqrt(few / images))
    if images >= few:
        by_number = math.sqrt(min(1.0, many / images))
    seen = crop[0] * crop[1] / (size[0] * size[1])
    return EFFORT[at.recipe.effort][1] * by_number * (1.0 if pretrained else SCRATCH) / seen


def in_words(seconds: float) -> str:
    """A length of time as a person says it."""
    if seconds < 1:
        return f"{max(seconds, 0.01):.1g} s"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
