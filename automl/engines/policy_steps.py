"""What the built-in policies list, each with the arguments that they give it.

A move is a map of the plane and a change of colour a matrix, so that several can be joined.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from automl.engines import affine, colour_matrix
from automl.engines.affine import Affine

Draw = Callable[[], float]
"""The next of the numbers in 0..1 that belong to the sample."""
Pair = Sequence[float]


def between(pair: Pair, draw: Draw) -> float:
    """A number of the range."""
    return pair[0] + (pair[1] - pair[0]) * draw()


@dataclass(frozen=True)
class Mirror:
    """Left and right change places."""

    p: float

    def map(self, draw: Draw, size: tuple[int, int]) -> Affine:
        """In a frame of this height and width."""
        return affine.mirrored(size) if draw() < self.p else affine.UNMOVED


@dataclass(frozen=True)
class Move:
    """Zoom and turn about the centre, and a shift."""

    scale: Pair
    translate_percent: Pair
    rotate: Pair
    keep_ratio: bool
    balanced_scale: bool
    border_mode: int
    fill: int
    fill_mask: int
    p: float

    def map(self, draw: Draw, size: tuple[int, int]) -> Affine:
        """In a frame of this height and width; as often larger as smaller."""
        if draw() >= self.p:
            return affine.UNMOVED
        low, high = self.scale
        zoom = between((low, 1.0) if draw() < 0.5 else (1.0, high), draw)
        right, down = (between(self.translate_percent, draw) * side for side in size[::-1])
        return affine.about_centre(size, zoom, between(self.rotate, draw), (right, down))


@dataclass(frozen=True)
class Jitter:
    """Brightness, contrast, saturation and hue."""

    brightness: Pair
    contrast: Pair
    saturation: Pair
    hue: Pair
    p: float

    def matrix(self, draw: Draw, mean: np.ndarray) -> np.ndarray:
        """The 3x4 matrix for an image with these channel means."""
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        return colour_matrix.jitter(mean, *(between(pair, draw) for pair in ranges))


@dataclass(frozen=True)
class Grey:
    """No colour is left."""

    p: float

    def matrix(self, draw: Draw, mean: np.ndarray) -> np.ndarray:
        """The 3x4 matrix, the same for every image."""
        return colour_matrix.GREY


@dataclass(frozen=True)
class Blur:
    """A Gaussian of an odd width and a spread that are drawn."""

    blur_limit: Sequence[int]
    p: float

    def apply(self, image: np.ndarray, draw: Draw) -> None:
        """In place."""
        if draw() < self.p:
            low, high = self.blur_limit
            width = low + 2 * int(draw() * ((high - low) // 2 + 1))
            cv2.GaussianBlur(image, (width, width), between(SIGMA, draw), dst=image)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of each channel of each pixel."""

    std_range: Pair
    p: float

    def apply(self, image: np.ndarray, draw: Draw) -> None:
        """In place."""
        if draw() < self.p:
            spread = 255 * between(self.std_range, draw)
            random = np.random.default_rng(int(draw() * 2**53))
            noise = random.standard_normal(image.shape, np.float32)
            noise *= spread
            noise += image
            np.clip(np.rint(noise, out=noise), 0, 255, out=noise)
            np.copyto(image, noise, casting="unsafe")


@dataclass(frozen=True)
class Holes:
    """Patches of one grey."""

    num_holes_range: Sequence[int]
    hole_height_range: Pair
    hole_width_range: Pair
    fill: int
    p: float

    def apply(self, image: np.ndarray, draw: Draw) -> None:
        """In place."""
        if draw() >= self.p:
            return
        height, width = image.shape[:2]
        fewest, most = self.num_holes_range
        for _ in range(fewest + int(draw() * (most - fewest + 1))):
            down = max(1, round(between(self.hole_height_range, draw) * height))
            across = max(1, round(between(self.hole_width_range, draw) * width))
            top, left = (int(draw() * (height - down + 1)), int(draw() * (width - across + 1)))
            image[top : top + down, left : left + across] = self.fill


SIGMA = (0.5, 3.0)
"""Spread of a Gaussian blur."""

KNOWN: dict[str, Any] = {
    "HorizontalFlip": Mirror,
    "Affine": Move,
    "ColorJitter": Jitter,
    "ToGray": Grey,
    "GaussianBlur": Blur,
    "GaussNoise": Noise,
    "CoarseDropout": Holes,
}
"""Albumentations' names, with the arguments that policies give them, in the order of the passes."""

Step = Mirror | Move | Jitter | Grey | Blur | Noise | Holes


def steps(transforms: Sequence[dict[str, dict[str, Any]]]) -> list[Step] | None:
    """What a policy lists, or None where that is more than can be done here."""
    found: list[Step] = []
    order = list(KNOWN)
    for step in transforms:
        ((name, arguments),) = step.items()
        if name not in order:
            return None
        del order[: order.index(name)]
        try:
            found.append(KNOWN[name](**arguments))
        except TypeError:  # an argument that no policy has
            return None
    return found
