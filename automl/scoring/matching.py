"""Boxes in, matches out: COCO's greedy matching for all images, thresholds and sizes at once.

The rules are those of pycocotools: per image and class at most 100 detections, the surest first;
each takes the free true box that it overlaps most (the later one of equals); true boxes that are
crowds or outside the size bucket are only taken when nothing else fits, may not count either way,
and a crowd may be taken many times. Only pairs that overlap by half are looked at, since no
threshold is lower.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

THRESHOLDS = np.linspace(0.5, 0.95, 10)
SIZES: dict[str, tuple[float, float]] = {
    "all": (0, 1e5**2),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e5**2),
}
"""Areas in square pixels, both ends included."""
MOST = 100
"""Detections per image and class that count."""
ROOM = 4_000_000
"""Cells of one step's working array: 16 MB."""


@dataclass(frozen=True)
class Scene:
    """All boxes of a split in flat arrays; an image's detections lie together, the surest first."""

    detection_image: Array
    detection_label: Array
    confidence: Array
    detection_area: Array
    truth_image: Array
    truth_label: Array
    truth_area: Array
    crowd: Array
    pair_detection: Array
    pair_truth: Array
    pair_overlap: Array


@dataclass(frozen=True)
class Matches:
    """Per detection, size and threshold: found a true box; is not to be counted."""

    hit: Array
    ignored: Array
    truth_ignored: Array


def areas(boxes: Array) -> Array:
    """Square pixels of boxes."""
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    area: Array = width * height
    return area


def overlaps(boxes: Array, truth: Array, crowd: Array) -> Array:
    """Intersection over union [boxes, truth]; over the detection's own area for a crowd."""
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared: Array = np.clip(high - low, 0, None).prod(-1)
    own = areas(boxes)[:, None]
    whole = np.where(crowd, own, own + areas(truth) - shared)
    overlap = np.zeros_like(shared)
    np.divide(shared, whole, out=overlap, where=shared > 0)
    return overlap


def rank_within(keys: Array) -> Array:
    """The position of each entry among the entries with its key."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else order
    counts = np.diff(np.r_[starts, len(keys)])
    ranks = np.empty(len(keys), np.int64)
    ranks[order] = np.arange(len(keys)) - np.repeat(starts, counts)
    return ranks


def match(scene: Scene) -> Matches:
    """Finds which detections are right, in every size bucket and at every threshold."""
    crowd = scene.crowd[:, None]
    truth_ignored = crowd | _outside(scene.truth_area)
    shape = (len(SIZES), len(THRESHOLDS))
    taken = np.zeros((len(scene.crowd), *shape), bool)
    hit = np.zeros((len(scene.confidence), *shape), bool)
    ignored = np.zeros_like(hit)
    for rows, truths, overlap in _steps(scene):
        found, choice = _choose(truths, overlap, taken, truth_ignored)
        hit[rows] = found
        row, size, threshold = (found & ~scene.crowd[choice]).nonzero()
        taken[choice[row, size, threshold], size, threshold] = True
        ignored[rows] = found & truth_ignored[choice, np.arange(len(SIZES))[:, None]]
    ignored |= ~hit & _outside(scene.detection_area)[:, :, None]
    return Matches(hit, ignored, truth_ignored)


def _outside(area: Array) -> Array:
    """Which boxes [boxes, sizes] are not in which size bucket."""
    low, high = np.array(list(SIZES.values())).T
    outside: Array = (area[:, None] < low) | (area[:, None] > high)
    return outside


def _choose(
    truths: Array, overlap: Array, taken: Array, truth_ignored: Array
) -> tuple[Array, Array]:
    """Whether [rows, sizes, thresholds] a true box is free for each row, and which one is best."""
    slots = truths.shape[1]
    free = (overlap[:, :, None, None] >= THRESHOLDS) & ~taken[truths]
    merit = np.arange(1, slots + 1)[:, None] + slots * ~truth_ignored[truths]
    merit = free * merit[:, :, :, None].astype(np.int32)
    best = merit.argmax(1)
    found = np.take_along_axis(merit, best[:, None], 1)[:, 0] > 0
    return found, truths[np.arange(len(truths))[:, None, None], best]


def _steps(scene: Scene) -> Iterator[tuple[Array, Array, Array]]:
    """Detections that may match, at most one per image and class at a time, the surest first.

    Yields detections [n], their true boxes [n, slots] from least to most overlap, and overlaps.
    """
    order = np.lexsort((scene.pair_truth, scene.pair_overlap, scene.pair_detection))
    detection = scene.pair_detection[order]
    rows, row = np.unique(detection, return_inverse=True)
    if not len(rows):
        return
    slot = rank_within(detection)
    truths = np.zeros((len(rows), int(slot.max()) + 1), np.int64)
    overlap = np.full(truths.shape, -1.0)
    truths[row, slot] = scene.pair_truth[order]
    overlap[row, slot] = scene.pair_overlap[order]
    labels = scene.detection_label[rows]
    step = rank_within(scene.detection_image[rows] * (labels.max() + 1) + labels)
    together = max(1, ROOM // (truths.shape[1] * len(SIZES) * len(THRESHOLDS)))
    by_step = np.argsort(step, kind="stable")
    for same in np.split(by_step, np.flatnonzero(np.diff(step[by_step])) + 1):
        for first in range(0, len(same), together):
            part = same[first : first + together]
            yield rows[part], truths[part], overlap[part]
