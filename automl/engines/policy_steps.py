"""The transforms of the built-in policies, by Albumentations' names and arguments.

Geometric ones give an affine map, colour ones a matrix, so that several can be joined to one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from automl.engines import affine, colour_matrix
from automl.engines.affine import Affine

Draw = Callable[[], float]
"""The next random number in 0..1 of the sample."""
Pair = Sequence[float]


def uniform(pair: Pair, draw: Draw) -> float:
    """A random number in the range."""
    return pair[0] + (pair[1] - pair[0]) * draw()


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirrors left to right."""

    p: float

    def map(self, draw: Draw, size: tuple[int, int]) -> Affine:
        """The map for a frame of this height and width."""
        return affine.horizontal_flip(size) if draw() < self.p else affine.IDENTITY


@dataclass(frozen=True)
class RandomAffine:
    """Scales and rotates about the centre, then shifts."""

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
        """The map for a frame of this height and width; enlarges as often as it shrinks."""
        if draw() >= self.p:
            return affine.IDENTITY
        low, high = self.scale
        zoom = uniform((low, 1.0) if draw() < 0.5 else (1.0, high), draw)
        right, down = (uniform(self.translate_percent, draw) * side for side in size[::-1])
        return affine.scale_rotate_shift(size, zoom, uniform(self.rotate, draw), (right, down))


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast, saturation and hue."""

    brightness: Pair
    contrast: Pair
    saturation: Pair
    hue: Pair
    p: float

    def matrix(self, draw: Draw, mean: np.ndarray) -> np.ndarray:
        """The 3x4 matrix for an image with these channel means."""
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        return colour_matrix.jitter(mean, *(uniform(pair, draw) for pair in ranges))


@dataclass(frozen=True)
class ToGray:
    """Turns the image grey."""

    p: float

    def matrix(self, draw: Draw, mean: np.ndarray) -> np.ndarray:
        """The 3x4 matrix, the same for every image."""
        return colour_matrix.GREY


@dataclass(frozen=True)
class GaussianBlur:
    """Blurs by a Gaussian of random odd width and sigma."""

    blur_limit: Sequence[int]
    p: float

    def apply(self, image: np.ndarray, draw: Draw) -> None:
        """In place."""
        if draw() < self.p:
            low, high = self.blur_limit
            width = low + 2 * int(draw() * ((high - low) // 2 + 1))
            cv2.GaussianBlur(image, (width, width), uniform(SIGMA, draw), dst=image)


@dataclass(frozen=True)
class GaussNoise:
    """Adds Gaussian noise to each channel of each pixel."""

    std_range: Pair
    p: float

    def apply(self, image: np.ndarray, draw: Draw) -> None:
        """In place."""
        if draw() < self.p:
            spread = 255 * uniform(self.std_range, draw)
            random = np.random.default_rng(int(draw() * 2**53))
            noise = random.standard_normal(image.shape, np.float32)
            noise *= spread
            noise += image
            np.clip(np.rint(noise, out=noise), 0, 255, out=noise)
            np.copyto(image, noise, casting="unsafe")


@dataclass(frozen=True)
class CoarseDropout:
    """Covers patches with one grey."""

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
            down = max(1, round(uniform(self.hole_height_range, draw) * height))
            across = max(1, round(uniform(self.hole_width_range, draw) * width))
            top, left = (int(draw() * (height - down + 1)), int(draw() * (width - across + 1)))
            image[top : top + down, left : left + across] = self.fill


SIGMA = (0.5, 3.0)
"""Range of the sigma of a Gaussian blur."""

KNOWN: dict[str, Any] = {
    "HorizontalFlip": HorizontalFlip,
    "Affine": RandomAffine,
    "ColorJitter": ColorJitter,
    "ToGray": ToGray,
    "GaussianBlur": GaussianBlur,
    "GaussNoise": GaussNoise,
    "CoarseDropout": CoarseDropout,
}
"""Albumentations' names, with the arguments that policies give them, in the order of the passes."""

Step = (
    HorizontalFlip | RandomAffine | ColorJitter | ToGray | GaussianBlur | GaussNoise | CoarseDropout
)


def steps(transforms: Sequence[dict[str, dict[str, Any]]]) -> list[Step] | None:
    """The listed transforms, or None where one of them, or their order, is not known here."""
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
