"""Matches in, precision over recall out: COCO's average precision, its draws, best threshold."""

from dataclasses import dataclass

import numpy as np

from automl.scoring.intervals import Interval, bounds, resample
from automl.scoring.matching import Matches, Scene
from automl.scoring.numbers import mean_defined

Array = np.ndarray

RECALLS = np.linspace(0, 1, 101)
"""Where precision is read off."""
WORK = 60_000_000
"""Box visits that the intervals may cost: a second or so on one core."""
FEWEST = 200
"""With fewer draws the ends of an interval are not worth their name: then there is none."""


@dataclass(frozen=True)
class Ranked:
    """One class: its detections from the surest on, and its true boxes."""

    rows: Array
    truths: Array


@dataclass(frozen=True)
class Curve:
    """Precision and confidence [rows, 101] at each recall, and the highest recall [rows]."""

    precision: Array
    confidence: Array
    recall: Array


def ranked(scene: Scene, classes: int) -> list[Ranked]:
    """The boxes of each class."""
    order = np.argsort(-scene.confidence, kind="stable")
    label = scene.detection_label[order]
    return [
        Ranked(order[label == k], np.flatnonzero(scene.truth_label == k)) for k in range(classes)
    ]


def curve(hit: Array, ignored: Array, confidence: Array, positives: int) -> Curve:
    """The curves of flags [thresholds, detections]; precision is NaN where there is no true box."""
    rows, found = hit.shape
    read, sure = np.zeros((rows, len(RECALLS))), np.zeros((rows, len(RECALLS)))
    if not positives:
        return Curve(np.full_like(read, np.nan), sure, np.full(rows, np.nan))
    right = (hit & ~ignored).cumsum(1, dtype=float)
    counted = (~ignored).cumsum(1, dtype=float)
    recall = right / positives
    precision = right / np.maximum(counted, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for row in range(rows):
        at = np.searchsorted(recall[row], RECALLS)
        at = at[at < found]
        read[row, : len(at)] = envelope[row, at]
        sure[row, : len(at)] = confidence[at]
    return Curve(read, sure, recall[:, -1] if found else np.zeros(rows))


def best_threshold(hit: Array, ignored: Array, confidence: Array, positives: int) -> float | None:
    """The confidence from which on F1 over all boxes is highest; None if no detection is right."""
    order = np.argsort(-confidence, kind="stable")
    order = order[~ignored[order]]
    sure, right = confidence[order], hit[order].cumsum()
    if not len(order) or not right[-1] or not positives:
        return None
    f1 = 2 * right / (np.arange(1, len(order) + 1) + positives)
    last_of_equals = np.r_[sure[1:] != sure[:-1], True]
    return float(sure[np.where(last_of_equals, f1, -1).argmax()])


def intervals(scene: Scene, matches: Matches, classes: int, images: int) -> dict[str, Interval]:
    """95 % intervals of mAP and mAP50, none where they would cost too much (some 50,000 boxes)."""
    hits = int((matches.hit[:, 0] & ~matches.ignored[:, 0]).sum())
    replicates = min(1000, WORK // (len(scene.confidence) + 2 * hits + 1))
    if replicates < FEWEST:
        return {}
    per_class = ranked(scene, classes)
    drawn = []
    for weights in resample(images, replicates):
        by_image = np.ascontiguousarray(weights.T)  # sums along rows of draws are four times faster
        drawn.append(np.stack([_draw(scene, matches, one, by_image) for one in per_class], -1))
    ap = np.concatenate(drawn, axis=1)
    return bounds(map=mean_defined(mean_defined(ap, axis=0)), map50=mean_defined(ap[0]))


def _draw(scene: Scene, matches: Matches, one: Ranked, weights: Array) -> Array:
    """Average precision [thresholds, draws] of one class; weights [images, draws] count images."""
    real = one.truths[~matches.truth_ignored[one.truths, 0]]
    positives = weights[scene.truth_image[real]].sum(0)
    weight = weights[scene.detection_image[one.rows]]
    counted = weight.cumsum(0)
    found = []
    for hit, ignored in zip(
        matches.hit[one.rows, 0].T, matches.ignored[one.rows, 0].T, strict=True
    ):
        hits, skipped = np.flatnonzero(hit & ~ignored), np.flatnonzero(ignored)
        so_far = counted[hits]
        if len(skipped):
            lost = np.pad(weight[skipped].cumsum(0), ((1, 0), (0, 0)))
            so_far -= lost[np.searchsorted(skipped, hits)]
        found.append(_average(weight[hits], so_far, positives))
    return np.stack(found)


def _average(weight: Array, counted: Array, positives: Array) -> Array:
    """Average precision [draws] from the hits alone: between hits precision only falls."""
    if not len(weight):
        return np.where(positives > 0, 0.0, np.nan)
    right = weight.cumsum(0)
    precision = right / np.maximum(counted, 1)
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # How many of the 101 recalls are first reached at each hit; recall 0 is at the first one.
    reads = np.floor(100 * right / np.maximum(positives, 1))
    reads[1:] -= reads[:-1].copy()
    reads[0] += 1
    return np.where(positives > 0, (envelope * reads).sum(0) / len(RECALLS), np.nan)
