"""True and found boxes in; COCO's average precision and recall, curves and a threshold out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from automl.errors import AutomlError, NumbersError
from automl.prediction import Prediction, Truth
from automl.scoring.matching import (
    MOST,
    SIZES,
    Matches,
    Scene,
    areas,
    match,
    overlaps,
    rank_within,
)
from automl.scoring.numbers import defined, mean_defined, ratio, table
from automl.scoring.precision import RECALLS, Curve, best_threshold, curve, intervals, ranked
from automl.scoring.scores import Scores

Array = np.ndarray

ALL, HALF = 0, 0
"""Index of the size bucket of all boxes, and of the threshold IoU 0.5."""


class DetectionTally:
    """Keeps boxes and their overlaps image by image, then matches and scores them together."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.paths: list[str] = []
        self.detections: list[tuple[Array, ...]] = []
        self.truths: list[tuple[Array, ...]] = []
        self.pairs: list[tuple[Array, ...]] = []
        self.seen = [0, 0]

    def add(self, truth: Truth, prediction: Prediction) -> None:
        """Takes one image."""
        classes = len(self.classes)
        boxes, labels, confidence = _found(prediction, classes)
        true_boxes, true_labels, crowd = _true(truth, classes)
        overlap = overlaps(boxes, true_boxes, crowd)
        close = (overlap >= 0.5) & (labels[:, None] == true_labels)
        row, column = close.nonzero()
        image = len(self.paths)
        self.detections.append((np.full(len(labels), image), labels, confidence, areas(boxes)))
        self.truths.append((np.full(len(crowd), image), true_labels, areas(true_boxes), crowd))
        self.pairs.append((row + self.seen[0], column + self.seen[1], overlap[row, column]))
        self.seen = [self.seen[0] + len(labels), self.seen[1] + len(crowd)]
        self.paths.append(truth.path)

    def scene(self) -> Scene:
        """Everything that was added, in flat arrays."""
        parts = (self.detections, self.truths, self.pairs)
        return Scene(*(np.concatenate(c) for part in parts for c in zip(*part, strict=True)))

    def scores(self, split: str) -> Scores:
        """The scores of everything that was added."""
        scene, classes, images = self.scene(), len(self.classes), len(self.paths)
        matches = match(scene)
        curves = _curves(scene, matches, classes)
        point = operating_point(scene, matches)
        by_class = point.counts(scene.detection_label, scene.truth_label, classes)
        by_image = point.counts(scene.detection_image, scene.truth_image, images)
        image_f1 = np.nan_to_num(_f1(*by_image), nan=1.0)
        return Scores(
            task="detection",
            split=split,
            images=images,
            primary="map",
            metrics=defined(_metrics(curves, *(c.sum() for c in by_class)), "map"),
            per_class=table(self.classes, _columns(curves, *by_class)),
            intervals=intervals(scene, matches, classes, images),
            details={"threshold": point.threshold, "curves": _shown(self.classes, curves)},
            per_image=list(zip(self.paths, image_f1.tolist(), strict=True)),
        )


@dataclass(frozen=True)
class OperatingPoint:
    """What counts at one confidence and IoU 0.5: flags of detections and of true boxes."""

    threshold: float | None
    right: Array
    kept: Array
    real: Array

    def counts(self, detection_key: Array, truth_key: Array, size: int) -> tuple[Array, ...]:
        """Right detections, detections and true boxes by class or by image."""
        return (
            np.bincount(detection_key[self.right], minlength=size),
            np.bincount(detection_key[self.kept], minlength=size),
            np.bincount(truth_key[self.real], minlength=size),
        )


def operating_point(scene: Scene, matches: Matches) -> OperatingPoint:
    """The confidence with the highest F1 over all boxes, and what counts there."""
    hit, ignored = matches.hit[:, ALL, HALF], matches.ignored[:, ALL, HALF]
    real = ~matches.truth_ignored[:, ALL]
    threshold = best_threshold(hit, ignored, scene.confidence, int(real.sum()))
    kept = ~ignored & (scene.confidence >= (np.inf if threshold is None else threshold))
    return OperatingPoint(threshold, kept & hit, kept, real)


def _found(prediction: Prediction, classes: int) -> tuple[Array, Array, Array]:
    """The boxes, labels and confidences that count, the surest first."""
    boxes, labels, confidence = prediction.boxes, prediction.labels, prediction.confidences
    if boxes is None or labels is None or confidence is None:
        raise AutomlError("the prediction holds no boxes", where=prediction.path)
    if not (np.isfinite(boxes).all() and np.isfinite(confidence).all()):
        raise NumbersError("the model's boxes are not finite", where=prediction.path)
    order = np.argsort(-confidence, kind="stable")
    order = order[rank_within(labels[order]) < MOST]
    boxes, labels = _checked(boxes[order], labels[order], classes, prediction.path)
    return boxes, labels, confidence[order].astype(float)


def _true(truth: Truth, classes: int) -> tuple[Array, Array, Array]:
    """The true boxes, their labels, and which are crowds."""
    if truth.boxes is None or truth.labels is None:
        raise AutomlError("the truth holds no boxes", where=truth.path)
    boxes, labels = _checked(truth.boxes, truth.labels, classes, truth.path)
    crowd = np.zeros(len(labels), bool) if truth.crowd is None else truth.crowd.astype(bool)
    return boxes, labels, crowd


def _checked(boxes: Array, labels: Array, classes: int, path: str) -> tuple[Array, Array]:
    """Boxes as float64 [n, 4] and labels as integers, all of them classes."""
    labels = labels.astype(np.int64)
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise AutomlError(f"a box has a label beyond the {classes} classes", where=path)
    return boxes.reshape(-1, 4).astype(float), labels


def _curves(scene: Scene, matches: Matches, classes: int) -> list[dict[str, Curve]]:
    """For each class the curves [thresholds, 101] of each size bucket."""
    return [
        {
            size: curve(
                matches.hit[one.rows, a].T,
                matches.ignored[one.rows, a].T,
                scene.confidence[one.rows],
                int((~matches.truth_ignored[one.truths, a]).sum()),
            )
            for a, size in enumerate(SIZES)
        }
        for one in ranked(scene, classes)
    ]


def _metrics(curves: list[dict[str, Curve]], right: int, kept: int, real: int) -> dict[str, float]:
    """Means over the classes that have true boxes, and the operating point over all boxes."""
    ap = {size: np.stack([c[size].precision.mean(1) for c in curves]) for size in SIZES}
    recall = {size: np.stack([c[size].recall for c in curves]) for size in SIZES}
    half, three_quarters = ap["all"][:, 0], ap["all"][:, 5]
    found = {"map": ap["all"], "map50": half, "map75": three_quarters}
    found |= {f"map_{size}": ap[size] for size in SIZES if size != "all"}
    found |= {"ar100": recall["all"]}
    found |= {f"ar_{size}": recall[size] for size in SIZES if size != "all"}
    means = {name: float(mean_defined(values, axis=None)) for name, values in found.items()}
    operating = {
        "precision": ratio(right, kept),
        "recall": ratio(right, real),
        "f1": _f1(right, kept, real),
    }
    return means | {name: float(value) for name, value in operating.items()}


def _columns(
    curves: list[dict[str, Curve]], right: Array, kept: Array, real: Array
) -> dict[str, Array]:
    """What the table by class shows; precision, recall and F1 are those at the threshold."""
    ap = np.stack([c["all"].precision.mean(1) for c in curves])
    return {
        "ap": ap.mean(1),
        "ap50": ap[:, 0],
        "precision": ratio(right, kept),
        "recall": ratio(right, real),
        "f1": _f1(right, kept, real),
        "boxes": real,
        "found": kept,
    }


def _f1(right: Array | int, kept: Array | int, real: Array | int) -> Array:
    """The harmonic mean of precision and recall; NaN where there is nothing to find or found."""
    return ratio(2 * np.asarray(right), np.asarray(kept) + np.asarray(real))


def _shown(classes: list[str], curves: list[dict[str, Curve]]) -> dict[str, Any]:
    """The curves at IoU 0.5 by class name, for classes with true boxes; to four digits."""
    shown = {}
    for name, one in zip(classes, curves, strict=True):
        precision, confidence = one["all"].precision[HALF], one["all"].confidence[HALF]
        if not np.isnan(precision[0]):
            shown[name] = {
                "recall": RECALLS.round(2).tolist(),
                "precision": precision.round(4).tolist(),
                "confidence": confidence.round(4).tolist(),
            }
    return shown
