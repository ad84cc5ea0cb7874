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
    CoarseDropout,
    ColorJitter,
    Draw,
    GaussianBlur,
    GaussNoise,
    HorizontalFlip,
    RandomAffine,
    Step,
    ToGray,
    uniform,
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
class InitialCrop:
    """How a frame becomes a training image of `size`, before the policy's own transforms.

    By a random crop of at least `least_area` of the frame (a share), or by a random zoom of
    1 +- `zoom` and a crop of that size. Both 0: the frame has the size already.
    """

    size: tuple[int, int]
    least_area: float = 0.0
    zoom: float = 0.0

    @staticmethod
    def of(plan: Plan) -> "InitialCrop":
        """As the task and the policy want it."""
        train, policy = plan.train, plan.augment.policy
        if plan.task == "segmentation":
            return InitialCrop(train.crop, zoom=ZOOM[policy])
        cuts = plan.task == "classification" and train.fit == "crop" and policy != "none"
        return InitialCrop(train.image_size, least_area=CROP_AREA[policy] if cuts else 0.0)

    def map(self, frame: tuple[int, int], draw: Draw) -> Affine:
        """From a frame of this height and width to the training image."""
        if self.least_area:
            return affine.crop_to(*self._crop(frame, draw), self.size)
        scale = uniform((1 - self.zoom, 1 + self.zoom), draw) if self.zoom else 1.0
        if scale == 1 and frame == self.size:
            return affine.IDENTITY
        down, right = (
            _offset(scale * there, wanted, draw)
            for there, wanted in zip(frame, self.size, strict=True)
        )
        return scale, 0.0, right, 0.0, scale, down

    def _crop(self, frame: tuple[int, int], draw: Draw) -> tuple[int, int, int, int]:
        """Left, top, width and height of a random part of a frame: whole pixels."""
        height, width = frame
        for _ in range(ATTEMPTS):
            area = height * width * uniform((self.least_area, 1.0), draw)
            ratio = math.exp(uniform([math.log(r) for r in RATIO], draw))
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

    def __init__(self, crop: InitialCrop, steps: Sequence[Step]) -> None:
        """Draws nothing yet."""
        self.crop = crop
        self.moves = [step for step in steps if isinstance(step, HorizontalFlip | RandomAffine)]
        self.colours = [step for step in steps if isinstance(step, ColorJitter | ToGray)]
        self.others = [
            step for step in steps if isinstance(step, GaussianBlur | GaussNoise | CoarseDropout)
        ]
        move = next((step for step in steps if isinstance(step, RandomAffine)), None)
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
            out = np.empty((*self.crop.size, 3), np.uint8)
        affine_map = self.crop.map((image.shape[0], image.shape[1]), draw)
        for move in self.moves:
            affine_map = affine.compose(move.map(draw, self.crop.size), affine_map)
        self._warp_pixels(image, affine_map, draw, out)
        for step in self.others:
            step.apply(out, draw)
        return out, self._warp_annotation(annotated, affine_map)

    def _warp_pixels(
        self, image: np.ndarray, affine_map: Affine, draw: Draw, out: np.ndarray
    ) -> None:
        """Warps the image into `out` and changes its colours."""
        filled = (self.fill, self.fill, self.fill)
        wanted = [step for step in self.colours if draw() < step.p]
        plain = np.empty_like(out) if wanted else out
        affine.warp_image(image, affine_map, plain, self.border, filled)
        if wanted:
            mean = np.array(cv2.mean(plain)[:3])
            matrix = colour_matrix.IDENTITY
            for step in wanted:
                matrix = colour_matrix.compose(step.matrix(draw, matrix @ [*mean, 1.0]), matrix)
            cv2.transform(plain, matrix, dst=out)

    def _warp_annotation(self, annotated: dict[str, Any], affine_map: Affine) -> dict[str, Any]:
        """Mask or boxes warped like the image."""
        if "mask" in annotated:
            mask = np.empty(self.crop.size, np.uint8)
            affine.warp_mask(annotated["mask"], affine_map, mask, self.fill_mask)
            return {**annotated, "mask": mask}
        if "bboxes" in annotated:
            boxes, kept = clip_boxes(
                affine.warp_boxes(annotated["bboxes"], affine_map), self.crop.size
            )
            return {**annotated, "bboxes": boxes, "labels": annotated["labels"][kept]}
        return annotated


def clip_boxes(boxes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes clipped to the frame, without those of which too little is left; which remain."""
    height, width = size
    cut = np.clip(boxes, 0, [width, height, width, height])
    sides, before = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
    kept = (sides > 0).all(1) & (sides.prod(1) >= LEAST_VISIBLE * before.prod(1))
    return cut[kept].astype(np.float32), kept
