"""Matches in, precision over recall out: COCO's average precision, its draws, best threshold."""

from collections.abc import Iterator
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
    drawn = [
        np.stack([_draw(scene, matches, one, weights) for one in per_class], axis=-1)
        for weights in resample(images, replicates)
    ]
    ap = np.concatenate(drawn, axis=1)
    return bounds(map=mean_defined(mean_defined(ap, axis=0)), map50=mean_defined(ap[0]))


def _draw(scene: Scene, matches: Matches, one: Ranked, weights: Array) -> Array:
    """Average precision [thresholds, draws] of one class with images counted by their weights."""
    kept = one.truths[~matches.truth_ignored[one.truths, 0]]
    positives = weights[:, scene.truth_image[kept]].sum(1, keepdims=True)
    weight = weights[:, scene.detection_image[one.rows]]
    found = [
        _average(weight[:, hits], counted[:, hits], positives)
        for hits, counted in _thresholds(matches, one, weight)
    ]
    return np.stack(found)


def _thresholds(matches: Matches, one: Ranked, weight: Array) -> Iterator[tuple[Array, Array]]:
    """Per threshold: where the hits are, and how many detections count up to each position."""
    ignored = matches.ignored[one.rows, 0]
    counted = weight.cumsum(1)
    for t, hit in enumerate(matches.hit[one.rows, 0].T):
        skip = ignored[:, t]
        some = (weight * ~skip).cumsum(1) if skip.any() else counted
        yield np.flatnonzero(hit & ~skip), some


def _average(weight: Array, counted: Array, positives: Array) -> Array:
    """Average precision [draws] from the hits alone: between hits precision only falls."""
    if not weight.shape[1]:
        return np.where(positives[:, 0] > 0, 0.0, np.nan)
    right = weight.cumsum(1)
    precision = np.divide(right, counted, out=np.zeros_like(right), where=counted > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # How many of the 101 recalls are first reached at each hit; recall 0 is at the first one.
    reached = np.floor(100 * right / np.maximum(positives, 1))
    reads = np.diff(reached, axis=1, prepend=-1)
    return np.where(positives[:, 0] > 0, (envelope * reads).sum(1) / len(RECALLS), np.nan)
