import json
from math import comb

import numpy as np
import pytest
from sklearn import metrics as oracle

from automl.errors import AutomlError, NumbersError
from automl.prediction import Prediction, Truth
from automl.scoring.score import score


def draw(seed, images=60, classes=5, skill=1.5, used=None):
    """Labels from `used` classes and probabilities that know them a little."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, used or classes, images)
    logits = rng.normal(size=(images, classes)).round(1)
    logits[np.arange(images), labels] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, probabilities.astype(np.float32)


def judged(labels, probabilities):
    names = [f"class {k}" for k in range(probabilities.shape[1])]
    pairs = (
        (Truth(f"{i}.png", label=int(label)), Prediction(f"{i}.png", probabilities=row))
        for i, (label, row) in enumerate(zip(labels, probabilities, strict=True))
    )
    return score("classification", "val", names, pairs)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_score__equals_scikit_learn(seed, classes):
    labels, probabilities = draw(seed, classes=classes)
    guesses = probabilities.argmax(1)
    scores = judged(labels, probabilities)
    every = range(classes)
    assert scores.value == pytest.approx(oracle.accuracy_score(labels, guesses), abs=1e-12)
    expected = oracle.balanced_accuracy_score(labels, guesses)
    assert scores.metrics["balanced_accuracy"] == pytest.approx(expected, abs=1e-12)
    expected = oracle.f1_score(labels, guesses, average="macro")
    assert scores.metrics["macro_f1"] == pytest.approx(expected, abs=1e-12)
    expected = oracle.confusion_matrix(labels, guesses, labels=every)
    assert scores.details["confusion"] == expected.tolist()
    columns = oracle.precision_recall_fscore_support(
        labels, guesses, labels=every, zero_division=np.nan
    )
    for name, values in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        got = [row[name] for row in scores.per_class.values()]
        assert got == [None if np.isnan(v) else pytest.approx(v) for v in values]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("classes", [2, 4])
def test_score__auc_and_log_loss_equal_scikit_learn(seed, classes):
    labels, probabilities = draw(seed, classes=classes)
    exact = probabilities.astype(float)
    exact /= exact.sum(1, keepdims=True)
    scores = judged(labels, exact)
    given = exact[:, 1] if classes == 2 else exact
    expected = oracle.roc_auc_score(labels, given, multi_class="ovr", average="macro")
    assert scores.metrics["auc"] == pytest.approx(expected, abs=1e-12)
    expected = oracle.log_loss(labels, exact, labels=range(classes))
    assert scores.metrics["log_loss"] == pytest.approx(expected, abs=1e-9)


def test_score__auc_is_the_mean_over_classes_where_it_is_defined():
    labels, probabilities = draw(1, classes=5, used=3)
    scores = judged(labels, probabilities)
    expected = [oracle.roc_auc_score(labels == k, probabilities[:, k]) for k in range(3)]
    assert scores.metrics["auc"] == pytest.approx(np.mean(expected))
    assert scores.per_class["class 4"]["auc"] is None


def test_score__one_class_in_truth_leaves_auc_out():
    scores = judged(np.zeros(4, int), np.array([[0.9, 0.1]] * 3 + [[0.2, 0.8]]))
    assert "auc" not in scores.metrics
    assert scores.metrics["balanced_accuracy"] == 0.75


def test_score__a_class_that_never_occurs_is_undefined_and_not_averaged():
    scores = judged(np.array([0, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    assert scores.per_class["class 2"] == {
        "precision": None,
        "recall": None,
        "f1": None,
        "support": 0,
        "auc": None,
    }
    assert scores.metrics["macro_f1"] == 1


def test_score__is_one_for_the_truth_itself():
    labels = np.array([0, 1, 2, 2])
    scores = judged(labels, np.eye(3)[labels])
    best = {"accuracy", "balanced_accuracy", "macro_f1", "auc"}
    assert {name: scores.metrics[name] for name in best} == dict.fromkeys(best, 1.0)
    assert scores.metrics["log_loss"] == 0
    assert scores.metrics["calibration_loss"] == 0
    assert scores.per_image == [(f"{i}.png", 1.0) for i in range(4)]
    assert scores.intervals == {"accuracy": pytest.approx((0.5101, 1.0), abs=1e-4)}


def test_score__calibration_by_hand():
    """Four images at 0.9, half of them right, and one at 0.6, right: (4 * 0.4 + 0.4) / 5."""
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.6])
    scores = judged(np.array([0, 0, 1, 1, 0]), np.stack([sure, 1 - sure], 1))
    assert scores.metrics["calibration_loss"] == pytest.approx(0.4)
    assert scores.details["calibration"]["images"] == [1, 4]
    assert scores.details["calibration"]["accuracy"] == [1.0, 0.5]


def test_score__a_sure_miss_costs_a_finite_loss():
    scores = judged(np.array([0]), np.array([[0.0, 1.0]]))
    assert scores.metrics["log_loss"] == pytest.approx(15.94, abs=0.01)


def test_score__images_are_ranked_by_the_true_classs_probability():
    scores = judged(np.array([0, 1]), np.array([[0.3, 0.7], [0.1, 0.9]], np.float32))
    assert scores.per_image == [("0.png", pytest.approx(0.3)), ("1.png", pytest.approx(0.9))]


@pytest.mark.parametrize("seed", range(3))
def test_intervals__equal_a_plain_bootstrap(seed):
    labels, probabilities = draw(seed, images=300)
    guesses = probabilities.argmax(1)
    rng = np.random.default_rng(99)
    drawn = [
        (
            oracle.accuracy_score(labels[i], guesses[i]),
            oracle.f1_score(labels[i], guesses[i], average="macro"),
        )
        for i in rng.integers(300, size=(400, 300))
    ]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    scores = judged(labels, probabilities)
    for column, name in enumerate(("accuracy", "macro_f1")):
        width = high[column] - low[column]
        expected = (low[column], high[column])
        assert scores.intervals[name] == pytest.approx(expected, abs=0.15 * width)


@pytest.mark.parametrize(("images", "low"), [(359, 0.989), (20, 0.839)])
def test_intervals__a_perfect_score_of_few_images_is_no_certainty(images, low):
    labels = np.arange(images) % 2
    found = judged(labels, np.eye(2)[labels]).intervals
    assert found == {"accuracy": pytest.approx((low, 1.0), abs=1e-3)}  # Wilson 1927


def test_intervals__are_the_same_every_time():
    labels, probabilities = draw(0)
    assert judged(labels, probabilities) == judged(labels, probabilities)


def test_intervals__cover_the_true_accuracy_about_as_often_as_they_say():
    covered = 0.0
    for right in range(101):  # of 100 images, each right with 0.8
        labels = np.array([0] * right + [1] * (100 - right))
        low, high = judged(labels, np.tile([0.9, 0.1], (100, 1))).intervals["accuracy"]
        covered += comb(100, right) * 0.8**right * 0.2 ** (100 - right) * (low <= 0.8 <= high)
    assert 0.92 <= covered <= 0.97


def test_score__not_finite_is_refused():
    with pytest.raises(NumbersError, match="not finite"):
        judged(np.array([0]), np.array([[np.nan, 1.0]]))


@pytest.mark.parametrize("label", [-1, 2])
def test_score__a_label_that_is_no_class_is_refused(label):
    with pytest.raises(AutomlError, match="none of 2 classes"):
        judged(np.array([label]), np.array([[0.5, 0.5]]))


def test_score__probabilities_of_other_classes_are_refused():
    pair = (Truth("a", label=0), Prediction("a", probabilities=np.ones(3) / 3))
    with pytest.raises(AutomlError, match="no 2 probabilities"):
        score("classification", "val", ["x", "y"], [pair])


@pytest.mark.parametrize("images", [1, 2, 30])
def test_score__is_finite_json(images, tmp_path):
    scores = judged(*draw(3, images=images, classes=6))
    scores.write(tmp_path / "metrics.json", tmp_path / "evaluation.json")
    assert json.loads((tmp_path / "evaluation.json").read_text())["images"] == images
