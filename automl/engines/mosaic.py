"""Four images in one, around a point that is drawn; each is resized once, straight to its place."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from automl.engines import affine
from automl.engines.fused import clip_boxes
from automl.model.preprocess import PAD_VALUE

Tile = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Image, its boxes `[N, 4]` in pixels, and their labels."""

MIDDLE = (0.3, 0.7)
"""Where the four meet, as shares of the sides."""
SCALE = (0.5, 1.2)
"""Of all four: about the zoom that is common for mosaics."""


def mosaic(
    tiles: Sequence[Tile], size: tuple[int, int], draw: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    """The image of this height and width, and the boxes of which enough is left."""
    y, x = (round(side * draw.uniform(*MIDDLE)) for side in size)
    scale = draw.uniform(*SCALE)
    out = np.full((*size, 3), PAD_VALUE, np.uint8)
    quarters = ((0, 0, x, y), (x, 0, size[1], y), (0, y, x, size[0]), (x, y, size[1], size[0]))
    found, labels = [], []
    for place, ((image, boxes, names), quarter) in enumerate(zip(tiles, quarters, strict=True)):
        inside, kept = _laid(image, boxes, quarter, (place % 2 == 0, place < 2), scale, out)
        found.append(inside)
        labels.append(names[kept])
    return out, {"bboxes": np.concatenate(found), "labels": np.concatenate(labels)}


def _laid(
    image: np.ndarray,
    boxes: np.ndarray,
    quarter: tuple[int, int, int, int],
    ends: tuple[bool, bool],
    scale: float,
    out: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Paints a quarter; `ends`: the image's right and lower edges lie at the meeting point."""
    left, top, right, bottom = quarter
    start, across, seen_x, wide = _along(image.shape[1], left, right, scale, at_end=ends[0])
    above, down, seen_y, tall = _along(image.shape[0], top, bottom, scale, at_end=ends[1])
    part = image[seen_y : seen_y + tall, seen_x : seen_x + wide]
    place = out[above : above + down, start : start + across]
    # Linear: at the half no pixel of the source is skipped yet, and means over areas take longer.
    cv2.resize(part, (across, down), dst=place, interpolation=cv2.INTER_LINEAR)
    way = affine.crop_to(seen_x, seen_y, wide, tall, (down, across))
    moved = affine.warp_boxes(np.asarray(boxes, np.float64).reshape(-1, 4), way)
    inside, kept = clip_boxes(moved, (down, across))
    return inside + np.array([start, above, start, above], np.float32), kept


def _along(
    side: int, low: int, high: int, scale: float, *, at_end: bool
) -> tuple[int, int, int, int]:
    """Of one axis: start and length in the mosaic, start and length in the image."""
    length = max(1, min(high - low, round(side * scale)))
    seen = max(1, min(side, round(length / scale)))
    if at_end:
        return high - length, length, side - seen, seen
    return low, length, 0, seen
