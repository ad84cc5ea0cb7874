from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from automl.dataset import Task
from automl.errors import AutomlError, DataError
from automl.prediction import Prediction, Truth
from automl.scoring.score import PRIMARY, SHARES, goals_of, score
from tests.scoring.scenes import draw_scene


def test_primary__is_told_for_every_task():
    assert set(PRIMARY) == set(get_args(Task))


@pytest.mark.parametrize("task", get_args(Task))
def test_score__no_images_is_an_error_with_a_cure(task):
    with pytest.raises(DataError, match="split `test` has no images") as caught:
        score(task, "test", ["x"], [])
    assert caught.value.faults[0].hint


@pytest.mark.parametrize(
    ("task", "truth", "found"),
    [
        ("classification", {"label": 0}, {"probabilities": np.array([1.0])}),
        (
            "segmentation",
            {"mask": np.zeros((2, 2), np.uint8)},
            {"mask": np.zeros((2, 2), np.uint8)},
        ),
        (
            "detection",
            {"boxes": np.array([[0.0, 0, 5, 5]]), "labels": np.array([0])},
            {
                "boxes": np.array([[0.0, 0, 5, 5]]),
                "labels": np.array([0]),
                "confidences": np.array([0.5]),
            },
        ),
    ],
)
def test_score__one_class_and_one_image_is_enough(task, truth, found):
    scores = score(task, "val", ["x"], iter([(Truth("a", **truth), Prediction("a", **found))]))
    assert (scores.task, scores.split, scores.images) == (task, "val", 1)
    assert scores.primary == PRIMARY[task]
    assert scores.value == 1


@pytest.mark.parametrize("task", get_args(Task))
def test_score__an_empty_truth_or_prediction_names_the_image(task):
    with pytest.raises(AutomlError) as caught:
        score(task, "val", ["x"], [(Truth("a.png"), Prediction("a.png"))])
    assert caught.value.faults[0].where == "a.png"


def test_score__pairs_of_different_images_are_refused():
    pair = (Truth("a", label=0), Prediction("b", probabilities=np.array([1.0])))
    with pytest.raises(AutomlError, match="`b` was judged by the truth of `a`"):
        score("classification", "val", ["x"], [pair])


def _a_few(task: Task) -> list[tuple[Truth, Prediction]]:
    """Images on which every metric of the task is defined."""
    if task == "detection":
        return draw_scene(0)
    draw, pairs = np.random.default_rng(0), []
    for number in range(8):
        if task == "classification":
            truth = Truth(str(number), label=number % 4)
            found = Prediction(str(number), probabilities=draw.dirichlet(np.ones(4)))
        else:
            truth = Truth(str(number), mask=draw.integers(0, 4, (8, 8)).astype(np.uint8))
            found = Prediction(str(number), mask=draw.integers(0, 4, (8, 8)).astype(np.uint8))
        pairs.append((truth, found))
    return pairs


@pytest.mark.parametrize("task", get_args(Task))
def test_shares__are_the_metrics_of_which_more_is_better(task):
    metrics = dict(score(task, "val", list("abcd"), _a_few(task)).metrics)
    if task == "classification":
        several = [(replace(t, shown=np.arange(4) == t.label), p) for t, p in _a_few(task)]
        metrics |= score(task, "val", list("abcd"), several).metrics
    assert {name for name in metrics if not name.endswith("_loss")} == set(SHARES[task])
    assert PRIMARY[task] in SHARES[task]
    assert all(0 <= metrics[name] <= 1 for name in SHARES[task])


def test_goals_of__the_primary_metric_comes_first():
    for task, primary in PRIMARY.items():
        assert goals_of(task, several_labels=False)[0] == primary
    assert goals_of("classification", several_labels=True)[0] == "mean_ap"
