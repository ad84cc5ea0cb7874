"""Several classes an image: scores against scikit-learn, and the edges."""

import numpy as np
import pytest
from sklearn import metrics

from automl.errors import AutomlError
from automl.prediction import Prediction, Truth
from automl.scoring.multi_label import average_precision
from automl.scoring.score import score

NAMES = ["a", "b", "c", "d"]


def pairs(shown, probabilities):
    for i, (row, shares) in enumerate(zip(shown, probabilities, strict=True)):
        yield Truth(str(i), shown=row), Prediction(str(i), probabilities=shares)


def drawn(images=200, seed=0):
    draw = np.random.default_rng(seed)
    shown = draw.random((images, 4)) < (0.5, 0.2, 0.05, 0.9)
    noise = draw.random((images, 4))
    return shown, np.round(0.5 * shown + 0.5 * noise, 2).astype(np.float32)


def test_scores__equal_scikit_learn():
    shown, probabilities = drawn()
    found = score("classification", "val", NAMES, pairs(shown, probabilities))
    given = probabilities >= 0.5
    assert found.primary == "mean_ap"
    expected = {
        "mean_ap": metrics.average_precision_score(shown, probabilities, average="macro"),
        "macro_f1": metrics.f1_score(shown, given, average="macro"),
        "micro_f1": metrics.f1_score(shown, given, average="micro"),
        "exact_match": metrics.accuracy_score(shown, given),
    }
    assert found.metrics == pytest.approx(expected, abs=1e-9)
    recall = metrics.recall_score(shown, given, average=None)
    assert [found.per_class[n]["recall"] for n in NAMES] == pytest.approx(recall)
    for name, (low, high) in found.intervals.items():
        assert low <= found.metrics[name] <= high
        assert high - low < 0.25


def test_average_precision__ties_count_together():
    shown = np.array([True, False, True, False])
    score_ = np.array([0.9, 0.9, 0.1, 0.1])
    assert average_precision(shown, score_) == metrics.average_precision_score(shown, score_)


def test_scores__a_class_that_no_image_shows_is_left_out():
    shown, probabilities = drawn()
    shown[:, 2] = False
    found = score("classification", "val", NAMES, pairs(shown, probabilities))
    assert found.per_class["c"]["ap"] is None
    rest = [found.per_class[n]["ap"] for n in "abd"]
    assert found.metrics["mean_ap"] == pytest.approx(np.mean(rest))
    shown[:] = False
    assert score("classification", "val", NAMES, pairs(shown, probabilities)).value == 0.0


def test_scores__answers_that_do_not_fit():
    shown, probabilities = drawn(2)
    with pytest.raises(AutomlError, match="gave no 4 probabilities"):
        score("classification", "val", NAMES, pairs(shown, probabilities[:, :3]))
    probabilities[0, 0] = np.nan
    with pytest.raises(AutomlError, match="not finite"):
        score("classification", "val", NAMES, pairs(shown, probabilities))
