"""Wrong labels among right ones are what is doubted, and nothing else."""

import numpy as np
import pytest

from automl.prediction import IGNORE, Prediction, Truth
from automl.report.label_issues import in_boxes, in_labels, in_masks

BOXES = np.array([[10, 10, 30, 30], [50, 50, 80, 80]], np.float32)


def scene(path: str, labels=(0, 1), *, drop: int | None = None, crowd=(False, False)):
    """An image with a box of each class, of which `drop` is not annotated; both are predicted."""
    kept = [i for i in range(2) if i != drop]
    known = Truth(
        path, boxes=BOXES[kept], labels=np.array(labels)[kept], crowd=np.array(crowd)[kept]
    )
    sure = np.array([0.9, 0.8], np.float32)
    return known, Prediction(path, boxes=BOXES + 1, labels=np.array([0, 1]), confidences=sure)


def test_boxes__of_another_class():
    pairs = [scene(f"{n}.png") for n in range(10)]
    pairs.append(scene("wrong.png", labels=(1, 1)))
    (found,) = in_boxes(pairs)
    assert (found.path, found.given, found.seen) == ("wrong.png", 1, 0)
    assert found.box == (10, 10, 30, 30)
    assert found.seen_share == pytest.approx(0.9)


def test_boxes__a_thing_without_a_box():
    (found,) = in_boxes([*(scene(f"{n}.png") for n in range(10)), scene("lost.png", drop=0)])
    assert (found.path, found.given, found.seen) == ("lost.png", None, 0)
    assert found.box == (11, 11, 31, 31)


def test_boxes__a_box_without_a_thing():
    pairs = [scene(f"{n}.png") for n in range(10)]
    known, answer = scene("stray.png")
    stray = np.array([[85, 5, 99, 9], [60, 5, 90, 35]], np.float32)
    known = Truth(
        known.path,
        boxes=np.concatenate([BOXES, stray]),
        labels=np.array([0, 1, 0, 0]),
        crowd=np.zeros(4, bool),
    )
    (found,) = in_boxes([*pairs, (known, answer)])
    assert (found.path, found.given, found.seen) == ("stray.png", 0, None)
    assert found.box == (60, 5, 90, 35)  # the other is smaller than all that are found


def test_boxes__unsure_answers_and_crowds_say_nothing():
    pairs = [scene(f"{n}.png") for n in range(10)]
    known, answer = scene("unsure.png", labels=(1, 1))
    unsure = Prediction(
        answer.path, boxes=answer.boxes, labels=answer.labels, confidences=answer.confidences / 3
    )
    pairs += [(known, unsure), scene("crowd.png", labels=(1, 1), crowd=(True, False))]
    assert in_boxes(pairs) == []
    assert in_boxes([]) == []


def test_boxes__nothing_where_the_model_is_never_right():
    known, _ = scene("a.png")
    none = Prediction(
        "a.png",
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        confidences=np.zeros(0, np.float32),
    )
    assert in_boxes([(known, none)]) == []


def masks(path: str, *, given: int | None = 1, seen: int | None = 1, ignored: bool = False):
    """A square of class 1 in both masks, and another one as asked."""
    truth, answer = (np.zeros((100, 120), np.uint8) for _ in range(2))
    for mask, label in ((truth, given), (answer, seen)):
        mask[10:40, 10:40] = 1
        mask[60:90, 60:90] = label or 0
    answer[58:60, 58:92] = 1  # an edge that lies a little elsewhere
    if ignored:
        truth[55:95, 55:95] = IGNORE
    return Truth(path, mask=truth), Prediction(path, mask=answer)


@pytest.mark.parametrize(("given", "seen"), [(2, 1), (None, 1), (2, 0)])
def test_masks__regions_that_are_seen_as_another_class(given, seen):
    pairs = [masks(f"{n}.png") for n in range(6)]
    pairs.append(masks("wrong.png", given=given, seen=seen))
    (found,) = in_masks(pairs, 3)
    assert (found.path, found.given, found.seen) == ("wrong.png", given or 0, seen)
    assert found.box is not None
    assert np.abs(np.subtract(found.box, (60, 60, 90, 90))).max() <= 2
    assert found.given_share <= 0.2
    assert found.seen_share >= 0.7


def test_masks__ignored_pixels_and_untrusted_classes_say_nothing():
    pairs = [masks(f"{n}.png") for n in range(6)]
    assert in_masks([*pairs, masks("a.png", given=2, seen=1, ignored=True)], 3) == []
    assert in_masks([masks("a.png", given=1, seen=2)], 3) == []


def test_masks__a_large_picture_has_its_boxes_in_its_own_pixels():
    pairs = []
    for given in (2, 1, 1):
        large = [np.kron(one.mask, np.ones((12, 12), np.uint8)) for one in masks("", given=given)]
        pairs.append((Truth("w", mask=large[0]), Prediction("w", mask=large[1])))
    (found,) = in_masks(pairs, 3)
    assert np.abs(np.subtract(found.box, (720, 720, 1080, 1080))).max() <= 24


def test_labels__sure_of_another_class():
    shares = np.array([0.05, 0.9, 0.05], np.float32)
    pairs = [(Truth(p, label=n), Prediction(p, probabilities=shares)) for n, p in enumerate("abc")]
    assert [d.path for d in in_labels(pairs)] == ["a", "c"]
    unsure = Prediction("d", probabilities=np.array([0.15, 0.6, 0.25], np.float32))
    assert in_labels([(Truth("d", label=0), unsure)]) == []
