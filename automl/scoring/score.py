"""Pairs of truth and prediction in, `Scores` out: one judge for every engine."""

from collections.abc import Iterable
from typing import Protocol

from automl.dataset import Task
from automl.errors import AutomlError, DataError
from automl.prediction import Prediction, Truth
from automl.scoring.scores import Scores

PRIMARY: dict[Task, str] = {
    "classification": "accuracy",
    "segmentation": "miou",
    "detection": "map",
}
"""The metric by which a task's models are compared; `mean_ap` where images show several classes."""


_ONE_LABEL = ("accuracy", "balanced_accuracy", "macro_f1", "auc")
_SEVERAL_LABELS = ("mean_ap", "macro_f1", "micro_f1", "exact_match")

SHARES: dict[Task, tuple[str, ...]] = {
    "classification": tuple(dict.fromkeys((*_ONE_LABEL, *_SEVERAL_LABELS))),
    "segmentation": ("miou", "dice", "pixel_accuracy", "mean_accuracy"),
    "detection": (
        *("map", "map50", "map75", "map_small", "map_medium", "map_large"),
        *("ar100", "ar_small", "ar_medium", "ar_large", "precision", "recall", "f1"),
    ),
}
"""The metrics from 0 to 1 of which more is better: what a goal may name."""


def goals_of(task: Task, *, several_labels: bool) -> tuple[str, ...]:
    """What a goal may name for a set, the primary metric first."""
    if task != "classification":
        return SHARES[task]
    return _SEVERAL_LABELS if several_labels else _ONE_LABEL


class Tally(Protocol):
    """What each task's scorer does."""

    def add(self, truth: Truth, prediction: Prediction) -> None:
        """Takes one image."""

    def scores(self, split: str) -> Scores:
        """The scores of everything that was added."""


def score(
    task: Task, split: str, classes: list[str], pairs: Iterable[tuple[Truth, Prediction]]
) -> Scores:
    """Scores one split; pairs may be a stream, and their order settles ties in confidence."""
    tally: Tally | None = None
    images = 0
    for truth, prediction in pairs:
        if truth.path != prediction.path:
            raise AutomlError(f"`{prediction.path}` was judged by the truth of `{truth.path}`")
        tally = tally or _tally(task, classes, several=truth.shown is not None)
        tally.add(truth, prediction)
        images += 1
    if tally is None or not images:
        raise DataError(
            f"split `{split}` has no images to score",
            hint="give the split images, or judge on another one",
        )
    return tally.scores(split)


def _tally(task: Task, classes: list[str], *, several: bool) -> Tally:
    match task:
        case "classification" if several:
            from automl.scoring.multi_label import MultiLabelTally

            return MultiLabelTally(classes)
        case "classification":
            from automl.scoring.classification import ClassificationTally

            return ClassificationTally(classes)
        case "segmentation":
            from automl.scoring.segmentation import SegmentationTally

            return SegmentationTally(classes)
        case "detection":
            from automl.scoring.detection import DetectionTally

            return DetectionTally(classes)
