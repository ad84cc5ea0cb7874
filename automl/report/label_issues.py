"""Annotations and predictions of a split in, what the model surely contradicts out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from automl.prediction import IGNORE, Prediction, Truth

DOUBT, SURE = 0.2, 0.7
"""At most so much for what is given, and at least so much for what is seen instead: probability of
an image, or share of the pixels of a region."""

SAME, APART = 0.5, 0.3
"""Overlap (IoU) from which two boxes are one thing, and below which they are two."""

KNOWN = 0.7
"""Share of a class's boxes that the model finds, below which a box not found says nothing."""

LONGEST = 512
"""Longer side of the masks that are compared: what is smaller than a pixel of them is no mistake
of a label."""

SMALLEST, THINNEST = 0.001, 0.02
"""Share of the image that a region covers, and of its shorter side that it is thick: edges of two
masks hardly ever agree."""

MOST_REGIONS = 50
"""Largest regions of a class that are looked at in one image."""

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Doubt:
    """What is given and seen, as class indices; None: nothing there. Of `weight` 0 to 1."""

    path: str
    given: int | None
    seen: int | None
    weight: float
    given_share: float | None = None
    seen_share: float | None = None
    box: Corners | None = None
    """Where, in pixels of the image; None: all of it."""


def in_labels(pairs: Iterable[tuple[Truth, Prediction]]) -> list[Doubt]:
    """Images with hardly any probability for their own class, and much for another."""
    doubts = []
    for known, found in pairs:
        shares, label = found.probabilities, known.label
        if shares is None or label is None or label >= len(shares):
            continue
        best = int(np.argmax(shares))
        given, seen = float(shares[label]), float(shares[best])
        if best != label and given <= DOUBT and seen >= SURE:
            doubts.append(Doubt(found.path, label, best, 1 - given, given, seen))
    return _ordered(doubts)


def in_boxes(pairs: Iterable[tuple[Truth, Prediction]]) -> list[Doubt]:
    """Boxes of another class, things without a box, and boxes without a thing.

    A prediction counts where it is as sure as half of those that are right.
    """
    scenes = [_Scene.of(known, found) for known, found in pairs if found.boxes is not None]
    right = [scene.confidences[scene.agree.any(0)] for scene in scenes]
    if not any(part.size for part in right):
        return []
    sure = float(np.median(np.concatenate(right)))
    kinds = (
        [doubt for scene in scenes for doubt in scene.other_class(sure)],
        [doubt for scene in scenes for doubt in scene.not_given(sure)],
        _not_found(scenes),
    )
    ordered = [_ordered(kind) for kind in kinds]
    longest = max(map(len, ordered))
    return [kind[rank] for rank in range(longest) for kind in ordered if rank < len(kind)]


@dataclass(frozen=True)
class _Scene:
    """One image: how true boxes (rows) and predicted ones (columns) lie."""

    path: str
    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    found: np.ndarray
    seen: np.ndarray
    confidences: np.ndarray
    overlap: np.ndarray
    agree: np.ndarray

    @classmethod
    def of(cls, known: Truth, found: Prediction) -> "_Scene":
        boxes, labels = _array(known.boxes, (-1, 4)), _array(known.labels, -1)
        crowd = _array(known.crowd, -1).astype(bool) if known.crowd is not None else labels < 0
        predicted, seen = _array(found.boxes, (-1, 4)), _array(found.labels, -1)
        overlap = _overlaps(boxes, predicted, crowd)
        agree = (overlap >= SAME) & (labels[:, None] == seen[None]) & ~crowd[:, None]
        sure = _array(found.confidences, -1)
        return cls(found.path, boxes, labels, crowd, predicted, seen, sure, overlap, agree)

    def other_class(self, sure: float) -> Iterator[Doubt]:
        """Boxes on which only predictions of other classes lie, one of them sure."""
        for place in np.flatnonzero(~self.crowd & ~self.agree.any(1)):
            there = (self.overlap[place] >= SAME) & (self.confidences >= sure)
            if there.any():
                best = int(np.argmax(np.where(there, self.confidences, -1)))
                yield self._doubt(self.boxes[place], int(self.labels[place]), best)

    def not_given(self, sure: float) -> Iterator[Doubt]:
        """Sure predictions where no box is; one for each place."""
        free = (self.confidences >= sure) & (self.overlap < APART).all(0)
        kept: list[int] = []
        for place in sorted(np.flatnonzero(free), key=lambda p: -self.confidences[p]):
            around = _overlaps(self.found[kept], self.found[[place]])
            if not (around >= APART).any():
                kept.append(int(place))
                yield self._doubt(self.found[place], None, int(place))

    def _doubt(self, box: np.ndarray, given: int | None, best: int) -> Doubt:
        share, corners = float(self.confidences[best]), _corners(box)
        seen = int(self.seen[best])
        return Doubt(self.path, given, seen, share, seen_share=share, box=corners)


def _not_found(scenes: list[_Scene]) -> list[Doubt]:
    """Boxes with no prediction at all, however unsure, of classes and sizes that are found."""
    labels = np.concatenate([s.labels[~s.crowd] for s in scenes])
    hit = np.concatenate([np.asarray(s.agree.any(1))[~s.crowd] for s in scenes])
    sides = np.concatenate([_sides(s.boxes[~s.crowd]) for s in scenes])
    doubts = []
    for scene in scenes:
        near = np.asarray((scene.overlap >= APART).any(1) | scene.crowd)
        for place in np.flatnonzero(~near):
            alike = labels == scene.labels[place]
            share = float(hit[alike].mean())
            usual = np.quantile(sides[alike & hit], 0.1) if share >= KNOWN else np.inf
            if _sides(scene.boxes[[place]])[0] >= usual:
                label, box = int(scene.labels[place]), _corners(scene.boxes[place])
                doubts.append(Doubt(scene.path, label, None, share, box=box))
    return doubts


def in_masks(pairs: Iterable[tuple[Truth, Prediction]], classes: int) -> list[Doubt]:
    """Regions of one class, given or seen, that are nearly all of another one on the other side.

    Classes count for as much as the model is right where it sees them; ignored pixels not at all.
    """
    confusion = np.zeros((classes, classes), np.int64)
    doubts: list[Doubt] = []
    for known, found in pairs:
        if known.mask is None or found.mask is None or known.mask.shape != found.mask.shape:
            continue
        step = -(-max(known.mask.shape) // LONGEST)
        given = known.mask[step // 2 :: step, step // 2 :: step]
        seen = found.mask[step // 2 :: step, step // 2 :: step]
        judged = (given < classes) & (seen < classes)
        pairs_of = given[judged].astype(np.int64) * classes + seen[judged]
        confusion += np.bincount(pairs_of, minlength=classes**2).reshape(classes, classes)
        given, seen = np.where(judged, given, IGNORE), np.where(judged, seen, IGNORE)
        doubts += _in_mask(found.path, given, seen, step)
    right = confusion.diagonal() / np.maximum(1, confusion.sum(0))
    trusted = [d for d in doubts if d.seen is not None and right[d.seen] >= SAME]
    return _ordered([_weighed(d, float(right[d.seen or 0])) for d in trusted])


def _weighed(doubt: Doubt, trust: float) -> Doubt:
    return Doubt(**{**vars(doubt), "weight": doubt.weight * trust})


def _in_mask(path: str, given: np.ndarray, seen: np.ndarray, step: int) -> list[Doubt]:
    doubts: list[Doubt] = []
    for label, other, own, instead, box in _contradicted(given, seen):
        doubts.append(Doubt(path, label, other, instead, own, instead, _scaled(box, step)))
    for label, other, own, instead, box in _contradicted(seen, given):
        corners = _scaled(box, step)
        known = [d.box for d in doubts if (d.given, d.seen) == (other, label)]
        if not any(_overlaps(np.array([k]), np.array([corners]))[0, 0] >= APART for k in known):
            doubts.append(Doubt(path, other, label, instead, own, instead, corners))
    return doubts


def _contradicted(
    mask: np.ndarray, other: np.ndarray
) -> Iterator[tuple[int, int, float, float, tuple[int, int, int, int]]]:
    """Regions of a mask: their class, the other mask's, the share of each there, and the place."""
    least = max(64.0, SMALLEST * mask.size)
    thick = max(3.0, THINNEST * min(mask.shape)) / 2
    for label in np.unique(mask[mask != IGNORE]).tolist():
        _, regions, stats, _ = cv2.connectedComponentsWithStats((mask == label).astype(np.uint8))
        sizes = stats[1:, cv2.CC_STAT_AREA]
        for number in (np.argsort(-sizes)[:MOST_REGIONS] + 1).tolist():
            left, top, width, height, area = stats[number].tolist()
            if area < least:
                break
            part = np.s_[top : top + height, left : left + width]
            inside = regions[part] == number
            counts = np.bincount(other[part][inside], minlength=IGNORE + 1) / area
            best = int(counts[:IGNORE].argmax())
            if best == label or counts[label] > DOUBT or counts[best] < SURE:
                continue
            room = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
            if cv2.distanceTransform(room, cv2.DIST_L2, 3).max() >= thick:
                box = (left, top, left + width, top + height)
                yield label, best, float(counts[label]), float(counts[best]), box


def _ordered(doubts: list[Doubt]) -> list[Doubt]:
    return sorted(doubts, key=lambda d: (-d.weight, d.path, d.box or ()))


def _array(values: np.ndarray | None, shape: int | tuple[int, int]) -> np.ndarray:
    return np.zeros(0).reshape(shape) if values is None else np.asarray(values).reshape(shape)


def _corners(box: np.ndarray) -> Corners:
    x0, y0, x1, y1 = (float(v) for v in box)
    return x0, y0, x1, y1


def _scaled(box: tuple[int, int, int, int], step: int) -> Corners:
    return _corners(np.array(box) * step)


def _sides(boxes: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.prod(np.maximum(0, boxes[:, 2:] - boxes[:, :2]), 1)))


def _overlaps(boxes: np.ndarray, others: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """IoU of each with each; of a crowd, the share of the other box that lies in it."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(0, high - low), 2)
    own, theirs = _sides(boxes)[:, None] ** 2, _sides(others)[None] ** 2
    whole = own + theirs - shared
    if crowd is not None:
        whole = np.where(crowd[:, None], theirs, whole)
    return np.asarray(shared / np.maximum(whole, 1e-9))
