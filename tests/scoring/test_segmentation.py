import json

import numpy as np
import pytest
from sklearn import metrics as oracle

from automl.errors import AutomlError
from automl.prediction import IGNORE, Prediction, Truth
from automl.scoring.score import score


def draw(seed, images=4, classes=5, side=24, ignored=0.1, used=None):
    """Pairs of masks that agree on most pixels; image sizes differ."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(images):
        shape = (side + i, side)
        mask = rng.integers(0, used or classes, shape).astype(np.uint8)
        other = rng.integers(0, classes, shape).astype(np.uint8)
        guessed = np.where(rng.random(shape) < 0.6, mask, other).astype(np.uint8)
        mask[rng.random(shape) < ignored] = IGNORE
        pairs.append((Truth(f"{i}.png", mask=mask), Prediction(f"{i}.png", mask=guessed)))
    return pairs


def judged(pairs, classes):
    return score("segmentation", "val", [f"class {k}" for k in range(classes)], pairs)


def pair(truth, guessed, path="a"):
    return (
        Truth(path, mask=np.array(truth, np.uint8)),
        Prediction(path, mask=np.array(guessed, np.uint8)),
    )


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("classes", [2, 5, 40])
def test_score__equals_scikit_learn(seed, classes):
    pairs = draw(seed, classes=classes)
    truth = np.concatenate([t.mask.ravel() for t, _ in pairs])
    guessed = np.concatenate([p.mask.ravel() for _, p in pairs])
    truth, guessed = truth[truth != IGNORE], guessed[truth != IGNORE]
    scores = judged(pairs, classes)
    every = range(classes)
    columns = {
        "iou": oracle.jaccard_score(truth, guessed, labels=every, average=None, zero_division=0),
        "dice": oracle.f1_score(truth, guessed, labels=every, average=None, zero_division=0),
        "precision": oracle.precision_score(
            truth, guessed, labels=every, average=None, zero_division=0
        ),
        "recall": oracle.recall_score(truth, guessed, labels=every, average=None, zero_division=0),
        "pixels": np.bincount(truth, minlength=classes),
    }
    for name, values in columns.items():
        got = [row[name] for row in scores.per_class.values()]
        assert got == pytest.approx(values.tolist(), abs=1e-12), name
    assert scores.value == pytest.approx(columns["iou"].mean(), abs=1e-12)
    assert scores.metrics["dice"] == pytest.approx(columns["dice"].mean(), abs=1e-12)
    expected = oracle.accuracy_score(truth, guessed)
    assert scores.metrics["pixel_accuracy"] == pytest.approx(expected, abs=1e-12)
    expected = oracle.confusion_matrix(truth, guessed, labels=every)
    assert scores.details["confusion"] == expected.tolist()


def test_score__by_hand():
    scores = judged([pair([[0, 0, 1], [1, 1, IGNORE]], [[0, 1, 1], [1, 0, 0]])], 2)
    assert scores.per_class["class 0"]["iou"] == pytest.approx(1 / 3)
    assert scores.per_class["class 1"]["iou"] == pytest.approx(2 / 4)
    assert scores.value == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert scores.metrics["dice"] == pytest.approx((2 / 4 + 4 / 6) / 2)
    assert scores.metrics["pixel_accuracy"] == pytest.approx(3 / 5)
    assert scores.per_class["class 1"]["pixels"] == 3


def test_score__is_one_for_the_truth_itself():
    pairs = [pair(t.mask, np.where(t.mask == IGNORE, 0, t.mask), t.path) for t, _ in draw(0)]
    scores = judged(pairs, 5)
    assert set(scores.metrics.values()) == {1.0}
    assert {value for _, value in scores.per_image} == {1.0}
    assert scores.intervals == {}  # equal draws say nothing about other images


def test_score__a_class_without_true_pixels_takes_no_part_in_means():
    scores = judged([pair([[0, 0, 1, 1]], [[0, 2, 1, 1]])], 4)
    assert scores.per_class["class 2"]["iou"] == 0
    assert scores.per_class["class 3"]["iou"] is None
    assert scores.per_class["class 3"]["dice"] is None
    assert scores.value == pytest.approx((0.5 + 1) / 2)


def test_score__false_classes_lower_the_score_of_their_image():
    pairs = [pair([[0, 0, 1, 1]], [[0, 2, 1, 1]], "false"), pair([[0, 1]], [[0, 1]], "right")]
    assert judged(pairs, 3).per_image == [("false", pytest.approx(0.5)), ("right", 1.0)]


def test_score__an_image_without_labelled_pixels_counts_nowhere():
    pairs = [pair([[IGNORE] * 2], [[0, 1]], "blank"), pair([[0, 1]], [[0, 1]], "right")]
    scores = judged(pairs, 2)
    assert scores.value == 1
    assert scores.images == 2
    assert scores.per_image == [("right", 1.0)]


def test_score__nothing_but_ignored_pixels_has_no_merit():
    scores = judged([pair([[IGNORE]], [[0]])], 2)
    assert scores.metrics == {"miou": 0.0}
    assert scores.intervals == {}


@pytest.mark.parametrize("used", [None, 3])
def test_intervals__equal_a_plain_bootstrap(used):
    pairs = draw(2, images=40, side=6, used=used)
    rng = np.random.default_rng(5)
    drawn = [
        judged_plainly([pairs[i] for i in chosen]) for chosen in rng.integers(40, size=(150, 40))
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert judged(pairs, 5).intervals["miou"] == pytest.approx((low, high), abs=0.25 * (high - low))


def judged_plainly(pairs):
    truth = np.concatenate([t.mask.ravel() for t, _ in pairs])
    guessed = np.concatenate([p.mask.ravel() for _, p in pairs])
    truth, guessed = truth[truth != IGNORE], guessed[truth != IGNORE]
    return oracle.jaccard_score(truth, guessed, labels=np.unique(truth), average="macro")


def test_score__two_hundred_and_fifty_five_classes_fit():
    mask = np.arange(255, dtype=np.uint8).reshape(5, 51)
    scores = judged([pair(mask, mask)], 255)
    assert scores.value == 1
    assert scores.metrics["pixel_accuracy"] == 1


def test_score__masks_of_other_integer_types_are_taken():
    mask = np.array([[0, 1], [1, IGNORE]])
    assert judged([(Truth("a", mask=mask), Prediction("a", mask=mask % IGNORE))], 2).value == 1


def test_score__a_mask_of_another_size_is_refused():
    with pytest.raises(AutomlError, match=r"\(1, 2\), the true one \(1, 3\)"):
        judged([pair([[0, 0, 0]], [[0, 0]])], 2)


def test_score__a_predicted_class_that_there_is_not_is_refused():
    with pytest.raises(AutomlError, match="holds 2, there are 2 classes"):
        judged([pair([[0, 0]], [[0, 2]])], 2)


def test_score__a_true_class_that_there_is_not_is_refused():
    with pytest.raises(AutomlError, match="more than 2 classes"):
        judged([pair([[0, 2]], [[0, 0]])], 2)


def test_score__is_finite_json(tmp_path):
    judged(draw(0, used=2), 5).write(tmp_path / "metrics.json", tmp_path / "evaluation.json")
    whole = json.loads((tmp_path / "evaluation.json").read_text())
    assert whole["per_class"]["class 4"]["iou"] == 0
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert not [name for name, value in numbers.items() if isinstance(value, dict | list)]
