import json
import time

import numpy as np
import pytest

from automl.errors import AutomlError, NumbersError
from automl.prediction import Prediction, Truth
from automl.scoring.score import score
from tests.scoring.scenes import STATS, coco, draw_scene


def names(count):
    return [f"class {k}" for k in range(count)]


def truth(path, boxes=(), labels=None, crowd=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    return Truth(path, boxes=boxes, labels=labels, crowd=crowd)


def found(path, boxes=(), confidences=(), labels=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    return Prediction(
        path, boxes=boxes, labels=labels, confidences=np.array(confidences, np.float32)
    )


def assert_equals_coco(pairs, classes):
    scores = score("detection", "val", names(classes), pairs)
    judge = coco(pairs, classes)
    for name, index in STATS.items():
        expected = judge.stats[index]
        if expected < 0:
            assert name not in scores.metrics or (name == "map" and scores.metrics["map"] == 0)
        else:
            assert scores.metrics[name] == pytest.approx(expected, abs=1e-6), name
    precision = judge.eval["precision"][:, :, :, 0, 2]
    for k, name in enumerate(names(classes)):
        row = scores.per_class[name]
        if precision[0, 0, k] < 0:
            assert row["ap"] is None
            assert name not in scores.details["curves"]
            continue
        assert row["ap"] == pytest.approx(precision[:, :, k].mean(), abs=1e-6)
        assert row["ap50"] == pytest.approx(precision[0, :, k].mean(), abs=1e-6)
        curve = scores.details["curves"][name]
        assert curve["precision"] == pytest.approx(precision[0, :, k], abs=5.1e-5)
        assert curve["confidence"] == pytest.approx(judge.eval["scores"][0, :, k, 0, 2], abs=5.1e-5)


@pytest.mark.parametrize("seed", range(40))
def test_score__equals_pycocotools(seed):
    assert_equals_coco(draw_scene(seed), classes=4)


@pytest.mark.parametrize("seed", range(20))
def test_score__equals_pycocotools_on_whole_pixels_where_overlaps_tie(seed):
    pairs = draw_scene(100 + seed, classes=2, whole=True, ties=1.0, most_truth=14, most_found=60)
    assert_equals_coco(pairs, classes=2)


@pytest.mark.parametrize("seed", range(8))
def test_score__equals_pycocotools_beyond_a_hundred_detections(seed):
    pairs = draw_scene(200 + seed, images=3, classes=1 + seed % 2, most_found=400, most_truth=30)
    assert_equals_coco(pairs, classes=2)


@pytest.mark.parametrize("crowds", [0.0, 0.5, 1.0])
def test_score__equals_pycocotools_for_any_share_of_crowds(crowds):
    for seed in range(6):
        assert_equals_coco(draw_scene(300 + seed, crowds=crowds), classes=3 + 1)


def test_score__equals_pycocotools_where_many_boxes_lie_on_each_other():
    rng = np.random.default_rng(7)
    pairs = []
    for i in range(4):
        boxes = 50 + rng.integers(0, 4, (25, 4)) + np.array([0, 0, 30, 31])
        guesses = 50 + rng.integers(0, 5, (90, 4)) + np.array([0, 0, 30, 31])
        sure = np.sort(rng.random(90).round(2))[::-1]
        crowd = rng.random(25) < 0.2
        pairs.append((truth(str(i), boxes, crowd=crowd), found(str(i), guesses, sure)))
    assert_equals_coco(pairs, classes=1)


def test_score__equals_pycocotools_with_images_without_truth_or_predictions():
    drawn = draw_scene(5, images=6)
    pairs = [
        (truth("empty"), found("empty")),
        *drawn,
        (truth("false alarm"), found("false alarm", [[0, 0, 9, 9]], [0.99])),
        (truth("missed", [[0, 0, 50, 50]], crowd=np.array([False])), found("missed")),
    ]
    assert_equals_coco(pairs, classes=6)


def test_score__equals_pycocotools_at_the_edges_of_the_size_buckets():
    sides = [31, 32, 33, 95, 96, 97]
    boxes = [[200 * i, 0, 200 * i + s, s] for i, s in enumerate(sides)]
    moved = [[x0, y0, x1 - 1, y1] for x0, y0, x1, y1 in boxes]
    sure = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    pairs = [(truth("a", boxes, crowd=np.zeros(6, bool)), found("a", moved, sure))]
    assert_equals_coco(pairs, classes=1)


@pytest.mark.slow
def test_score__equals_pycocotools_on_a_thousand_scenes():
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        classes = int(rng.integers(1, 6))
        pairs = draw_scene(
            10_000 + seed,
            images=int(rng.integers(1, 12)),
            classes=classes,
            most_truth=int(rng.integers(0, 25)),
            most_found=int(rng.integers(1, 150)),
            crowds=float(rng.choice([0, 0.1, 0.6])),
            whole=bool(rng.random() < 0.5),
            ties=float(rng.random()),
        )
        if any(len(prediction.boxes) for _, prediction in pairs):
            assert_equals_coco(pairs, classes)


def test_score__is_one_for_the_truth_itself():
    pairs = [
        (t, found(t.path, t.boxes, np.ones(len(t.boxes)), t.labels))
        for t, _ in draw_scene(3, crowds=0.0)
    ]
    scores = score("detection", "val", names(4), pairs)
    assert scores.value == 1
    assert set(scores.metrics.values()) == {1.0}
    assert {value for _, value in scores.per_image} == {1.0}
    assert scores.intervals == {}  # equal draws say nothing about other images


def test_score__by_hand():
    """Two true boxes; found are one exactly, one at IoU 0.6, and a false alarm between them."""
    pairs = [
        (
            truth("a", [[0, 0, 10, 10], [100, 0, 110, 10]]),
            found("a", [[0, 0, 10, 10], [50, 50, 60, 60], [100, 0, 106, 10]], [0.9, 0.8, 0.7]),
        )
    ]
    scores = score("detection", "val", ["x"], pairs)
    # Recall 0..0.5 at precision 1 (51 of 101 points); up to 1 at 2/3, while IoU 0.6 suffices.
    full, half = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert scores.metrics["map50"] == pytest.approx(full)
    assert scores.metrics["map75"] == pytest.approx(half)
    assert scores.value == pytest.approx((3 * full + 7 * half) / 10)
    assert scores.metrics["ar100"] == pytest.approx((3 * 1 + 7 * 0.5) / 10)
    assert "map_large" not in scores.metrics
    assert scores.details["threshold"] == pytest.approx(0.7)
    row = scores.per_class["x"]
    assert (row["boxes"], row["found"]) == (2, 3)
    assert row["precision"] == pytest.approx(2 / 3)
    assert row["recall"] == 1
    assert scores.per_image == [("a", pytest.approx(0.8))]


def test_score__threshold_keeps_all_of_equal_confidence():
    pairs = [
        (
            truth("a", [[0, 0, 10, 10]]),
            found("a", [[0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]], [0.5, 0.5, 0.4]),
        )
    ]
    scores = score("detection", "val", ["x"], pairs)
    assert scores.details["threshold"] == 0.5
    assert scores.metrics["f1"] == pytest.approx(2 / 3)


def test_score__threshold_never_splits_equal_confidence():
    """One right box at 0.9; at 0.5 another one, but five false alarms with it."""
    boxes = [[20 * i, 0, 20 * i + 10, 10] for i in range(7)]
    sure = [0.9] + [0.5] * 6
    scores = score("detection", "val", ["x"], [(truth("a", boxes[:2]), found("a", boxes, sure))])
    assert scores.details["threshold"] == pytest.approx(0.9)
    assert scores.metrics["f1"] == pytest.approx(2 / 3)


def test_score__an_overlap_of_just_a_half_suffices():
    pairs = [(truth("a", [[0, 0, 10, 10]]), found("a", [[0, 0, 10, 5]], [0.9]))]
    scores = score("detection", "val", ["x"], pairs)
    assert scores.metrics["map50"] == 1
    assert scores.value == pytest.approx(0.1)
    assert_equals_coco(pairs, classes=1)


def test_score__threshold_selects_in_the_confidences_own_precision():
    confidence = np.float32(0.1)
    pairs = [(truth("a", [[0, 0, 10, 10]]), found("a", [[0, 0, 10, 10]], [confidence]))]
    scores = score("detection", "val", ["x"], pairs)
    assert np.array([confidence])[0] >= scores.details["threshold"]


def test_score__best_threshold_is_best_of_all():
    pairs = draw_scene(11, crowds=0.0, ties=0.0)
    scores = score("detection", "val", names(4), pairs)
    for least in np.linspace(0, 1, 41):
        kept = [
            (t, found(p.path, p.boxes[c], p.confidences[c], p.labels[c]))
            for t, p in pairs
            for c in [p.confidences >= least]
        ]
        other = score("detection", "val", names(4), kept)
        assert other.metrics["f1"] <= scores.metrics["f1"] + 1e-12


def test_score__images_are_ranked_by_what_was_missed():
    pairs = [
        (truth("right", [[0, 0, 10, 10]]), found("right", [[0, 0, 10, 10]], [0.9])),
        (truth("missed", [[0, 0, 10, 10]]), found("missed")),
        (truth("nothing there"), found("nothing there")),
        (truth("false alarm"), found("false alarm", [[0, 0, 10, 10]], [0.95])),
    ]
    scores = score("detection", "val", ["x"], pairs)
    assert dict(scores.per_image) == {
        "right": 1.0,
        "missed": 0.0,
        "nothing there": 1.0,
        "false alarm": 0.0,
    }


def test_score__a_crowd_excuses_detections_and_is_never_missed():
    crowd = truth("a", [[0, 0, 100, 100]], crowd=np.array([True]))
    inside = found("a", [[10, 10, 20, 20], [30, 30, 40, 40]], [0.99, 0.98])
    plain = (truth("b", [[0, 0, 10, 10]]), found("b", [[0, 0, 10, 10]], [0.5]))
    scores = score("detection", "val", ["x"], [(crowd, inside), plain])
    assert scores.value == 1
    assert scores.metrics["precision"] == 1
    assert dict(scores.per_image) == {"a": 1.0, "b": 1.0}


def test_score__nothing_found_scores_zero():
    scores = score("detection", "val", ["x"], [(truth("a", [[0, 0, 10, 10]]), found("a"))])
    assert scores.value == 0
    assert scores.metrics["ar100"] == 0
    assert scores.details["threshold"] is None
    assert scores.per_image == [("a", 0.0)]


def test_score__nothing_to_find_has_no_merit():
    pairs = [(truth("a"), found("a", [[0, 0, 10, 10]], [0.9]))]
    scores = score("detection", "val", ["x", "y"], pairs)
    assert scores.metrics == {"map": 0.0}
    assert scores.per_class["x"]["ap"] is None
    assert scores.intervals == {}


def test_score__unsorted_predictions_are_sorted():
    t, p = draw_scene(21, images=1, ties=0.0)[0]
    order = np.random.default_rng(0).permutation(len(p.boxes))
    shuffled = found(p.path, p.boxes[order], p.confidences[order], p.labels[order])
    expected = score("detection", "val", names(4), [(t, p)])
    assert score("detection", "val", names(4), [(t, shuffled)]) == expected


def test_score__not_finite_is_refused():
    pairs = [(truth("a"), found("a", [[0, 0, np.nan, 10]], [0.9]))]
    with pytest.raises(NumbersError, match="not finite"):
        score("detection", "val", ["x"], pairs)


@pytest.mark.parametrize("label", [-1, 1])
def test_score__a_label_that_is_no_class_is_refused(label):
    pairs = [(truth("a"), found("a", [[0, 0, 10, 10]], [0.9], labels=[label]))]
    with pytest.raises(AutomlError, match="beyond the 1 classes"):
        score("detection", "val", ["x"], pairs)


@pytest.mark.parametrize("seed", range(6))
def test_score__is_finite_json(seed, tmp_path):
    scores = score("detection", "val", names(7), draw_scene(seed, images=2))
    scores.write(tmp_path / "metrics.json", tmp_path / "evaluation.json")
    assert json.loads((tmp_path / "metrics.json").read_text())["primary"] == "map"


def test_score__steps_in_small_parts_give_the_same(monkeypatch):
    pairs = draw_scene(31, most_found=80)
    expected = score("detection", "val", names(4), pairs)
    monkeypatch.setattr("automl.scoring.matching.ROOM", 1)
    assert score("detection", "val", names(4), pairs) == expected


def test_score__a_hundred_images_of_a_hundred_boxes_take_no_time():
    pairs = draw_scene(1, images=100, classes=10, most_truth=16, most_found=200)
    started = time.process_time()
    score("detection", "val", names(10), pairs)
    assert time.process_time() - started < 2  # 0.2 s on an idle core, 0.15 of it the intervals
