"""The built-in policies in few passes: one map of the plane, one matrix of colours, uint8 out.

Each transform of a policy is done with the probability and the strength that the plan lists; only
moves are joined to one map, so that an image is interpolated once, and changes of colour to one
matrix. A map reaches back to the frame: a turned crop shows what lies beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from automl.engines import affine, colour_matrix
from automl.engines.affine import Affine
from automl.engines.policy_steps import (
    Blur,
    Draw,
    Grey,
    Holes,
    Jitter,
    Mirror,
    Move,
    Noise,
    Step,
    between,
)
from automl.model.preprocess import PAD_VALUE
from automl.plan import Plan
from automl.prediction import IGNORE

CROP_AREA = {"none": 1.0, "light": 0.5, "medium": 0.35, "heavy": 0.2, "custom": 0.35}
"""Smallest share of the image area that a random resized crop keeps (classification)."""
RATIO = (3 / 4, 4 / 3)
"""Width over height of such a crop."""
ATTEMPTS = 10
"""Crops that may lie outside before the whole image is taken."""
ZOOM = {"none": 0.0, "light": 0.25, "medium": 0.5, "heavy": 0.6, "custom": 0.5}
"""Half-width of the random zoom around 1 that precedes a segmentation crop."""

DRAWS = 96
"""More than any policy takes for one sample."""
LEAST_VISIBLE = 0.25
"""Share of a moved box that must be left in the frame."""


@dataclass(frozen=True)
class Placing:
    """How a frame becomes a training image of `size` before the policy has its turn.

    `cut`: the smallest share of its area that a random crop takes; `zoom`: half-width of the
    random zoom before a crop of this size; both 0: it has the size already.
    """

    size: tuple[int, int]
    cut: float = 0.0
    zoom: float = 0.0

    @staticmethod
    def of(plan: Plan) -> "Placing":
        """As the task and the policy want it."""
        train, policy = plan.train, plan.augment.policy
        if plan.task == "segmentation":
            return Placing(train.crop, zoom=ZOOM[policy])
        cuts = plan.task == "classification" and train.fit == "crop" and policy != "none"
        return Placing(train.image_size, cut=CROP_AREA[policy] if cuts else 0.0)

    def map(self, frame: tuple[int, int], draw: Draw) -> Affine:
        """From a frame of this height and width to the training image."""
        if self.cut:
            return affine.window(*self._crop(frame, draw), self.size)
        scale = between((1 - self.zoom, 1 + self.zoom), draw) if self.zoom else 1.0
        if scale == 1 and frame == self.size:
            return affine.UNMOVED
        down, right = (
            _offset(scale * there, wanted, draw)
            for there, wanted in zip(frame, self.size, strict=True)
        )
        return scale, 0.0, right, 0.0, scale, down

    def _crop(self, frame: tuple[int, int], draw: Draw) -> tuple[int, int, int, int]:
        """Left, top, width and height of a random part of a frame: whole pixels."""
        height, width = frame
        for _ in range(ATTEMPTS):
            area = height * width * between((self.cut, 1.0), draw)
            ratio = math.exp(between([math.log(r) for r in RATIO], draw))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                left = int(draw() * (width - across + 1))
                return left, int(draw() * (height - down + 1)), across, down
        across = min(width, max(1, round(height * RATIO[1])))
        down = min(height, max(1, round(width / RATIO[0])))
        return (width - across) // 2, (height - down) // 2, across, down


def _offset(there: float, wanted: int, draw: Draw) -> float:
    """Where one side of a zoomed frame begins: anywhere, or in the middle if it is too small."""
    spare = round(there) - wanted
    return -float(int(draw() * (spare + 1))) if spare > 0 else (wanted - there) / 2


class Fused:
    """An `Augmenter`."""

    def __init__(self, placing: Placing, steps: Sequence[Step]) -> None:
        """Draws nothing yet."""
        self.placing = placing
        self.moves = [step for step in steps if isinstance(step, Mirror | Move)]
        self.colours = [step for step in steps if isinstance(step, Jitter | Grey)]
        self.others = [step for step in steps if isinstance(step, Blur | Noise | Holes)]
        move = next((step for step in steps if isinstance(step, Move)), None)
        self.border = move.border_mode if move else cv2.BORDER_CONSTANT
        self.fill = move.fill if move else PAD_VALUE
        self.fill_mask = move.fill_mask if move else IGNORE

    def __call__(
        self,
        image: np.ndarray,
        annotated: dict[str, Any],
        key: int,
        out: np.ndarray | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The image that is trained on, in `out` where that is given; what is known of it."""
        draw: Draw = iter(np.random.default_rng(key).random(DRAWS).tolist()).__next__
        if out is None:
            out = np.empty((*self.placing.size, 3), np.uint8)
        way = self.placing.map((image.shape[0], image.shape[1]), draw)
        for move in self.moves:
            way = affine.after(move.map(draw, self.placing.size), way)
        self._paint(image, way, draw, out)
        for step in self.others:
            step.apply(out, draw)
        return out, self._along(annotated, way)

    def _paint(self, image: np.ndarray, way: Affine, draw: Draw, out: np.ndarray) -> None:
        """Moves the image and changes its colours."""
        filled = (self.fill, self.fill, self.fill)
        wanted = [step for step in self.colours if draw() < step.p]
        plain = np.empty_like(out) if wanted else out
        affine.moved(image, way, plain, self.border, filled)
        if wanted:
            mean = np.array(cv2.mean(plain)[:3])
            matrix = colour_matrix.UNCHANGED
            for step in wanted:
                matrix = colour_matrix.after(step.matrix(draw, matrix @ [*mean, 1.0]), matrix)
            cv2.transform(plain, matrix, dst=out)

    def _along(self, annotated: dict[str, Any], way: Affine) -> dict[str, Any]:
        """Mask and boxes moved as the image is."""
        if "mask" in annotated:
            mask = np.empty(self.placing.size, np.uint8)
            affine.moved_mask(annotated["mask"], way, mask, self.fill_mask)
            return {**annotated, "mask": mask}
        if "bboxes" in annotated:
            boxes, kept = visible(affine.boxes_moved(annotated["bboxes"], way), self.placing.size)
            return {**annotated, "bboxes": boxes, "labels": annotated["labels"][kept]}
        return annotated


def visible(boxes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut at the frame's edges, less those of which too little is left; which are left."""
    height, width = size
    cut = np.clip(boxes, 0, [width, height, width, height])
    sides, before = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
    kept = (sides > 0).all(1) & (sides.prod(1) >= LEAST_VISIBLE * before.prod(1))
    return cut[kept].astype(np.float32), kept
