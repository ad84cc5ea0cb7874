"""Handwritten digits scattered over drawn textures: image, boxes and mask of one scene."""

from dataclasses import dataclass
from importlib.metadata import distribution

import numpy as np
from PIL import Image

_FILE = "sklearn/datasets/data/digits.csv.gz"

INKED = 0.4
"""Cover of a pixel from which it belongs to the digit, in its mask and its box."""

SIDES = (0.12, 0.30)
"""Smallest and largest height of a digit, as shares of the side of its scene."""

LEAST, MOST = 5, 9
"""Digits in a scene; fewer where they find no free place."""


@dataclass(frozen=True)
class Digits:
    """The handwriting: pixels in 0..1 `[N, 8, 8]`, labels, and which digits validation may use."""

    pixels: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    val: int

    @staticmethod
    def load(seed: int, share_of_val: float) -> "Digits":
        """All digits, shuffled so that each class gives its share to validation."""
        # the file itself: importing scikit-learn takes longer than drawing all the scenes
        table = np.loadtxt(str(distribution("scikit-learn").locate_file(_FILE)), delimiter=",")
        pixels, labels = table[:, :-1], table[:, -1].astype(int)
        draw = np.random.default_rng([seed, len(labels)])
        shuffled = draw.permutation(len(labels))
        place = np.zeros(len(labels))
        for digit in range(10):
            mine = shuffled[labels[shuffled] == digit]
            place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
        order = shuffled[np.argsort(place[shuffled], kind="stable")]
        val = round(len(labels) * share_of_val)
        return Digits(pixels.reshape(-1, 8, 8) / 16.0, labels, order, val)

    def pool(self, split: str) -> np.ndarray:
        """The digits of a split, classes evenly mixed."""
        return self.order[: self.val] if split == "val" else self.order[self.val :]


@dataclass(frozen=True)
class Scene:
    """A drawn image, its digits with their boxes, and its mask of ids: 0, or the digit + 1."""

    image: np.ndarray
    objects: tuple[tuple[int, tuple[int, int, int, int]], ...]
    mask: np.ndarray


def draw_scene(draw: np.random.Generator, digits: Digits, pool: np.ndarray, side: int) -> Scene:
    """A texture with several digits of random size, place and ink whose boxes do not overlap."""
    canvas = texture(draw, side)
    mask = np.zeros((side, side), np.uint8)
    taken = np.zeros((side, side), bool)
    objects: list[tuple[int, tuple[int, int, int, int]]] = []
    for _ in range(int(draw.integers(LEAST, MOST + 1))):
        chosen = int(draw.choice(pool))
        cover = _written(draw, digits.pixels[chosen], side)
        place = _free_place(draw, taken, cover.shape)
        if place is None:
            continue
        digit = int(digits.labels[chosen])
        x0, y0, x1, y1 = box = _ink(draw, canvas, mask, cover, place, digit)
        taken[y0:y1, x0:x1] = True
        objects.append((digit, box))
    return Scene(to_bytes(canvas), tuple(objects), mask)


def texture(draw: np.random.Generator, side: int) -> np.ndarray:
    """Two colours mixed by stripes and by noise of several scales, with a fine grain."""
    angle, waves = draw.uniform(0, np.pi), draw.uniform(2, 10)
    y, x = np.mgrid[0:side, 0:side] * (2 * np.pi * waves / side)
    mix = draw.uniform(0, 0.4) * np.sin(x * np.cos(angle) + y * np.sin(angle))
    for cells, weight in ((3, 1.0), (7, 0.5), (20, 0.25)):
        mix += weight * enlarge(draw.random((cells, cells)), side, side)
    mix = (mix - mix.min()) / (mix.max() - mix.min())
    base = draw.uniform(0.3, 0.7, 3)
    other = np.clip(base + draw.uniform(-0.2, 0.2, 3), 0.15, 0.85)
    canvas = base + (other - base) * mix[:, :, None]
    grain: np.ndarray = np.clip(canvas + draw.normal(0, 0.02, (side, side, 1)), 0, 1)
    return grain


def enlarge(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Smooth enlargement of values in 0..1."""
    image = Image.fromarray(pixels.astype(np.float32))
    larger = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(larger, np.float64), 0.0, 1.0)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """0..1 to 0..255."""
    pixels: np.ndarray = (values * 255 + 0.5).astype(np.uint8)
    return pixels


def _written(draw: np.random.Generator, pixels: np.ndarray, side: int) -> np.ndarray:
    """The cover of one digit at a random height, cut to its ink."""
    height = int(round(side * np.exp(draw.uniform(*np.log(SIDES)))))
    width = max(6, int(round(height * draw.uniform(0.8, 1.1))))
    cover = enlarge(pixels, height, width)
    rows, columns = np.where(cover > INKED)
    cut: np.ndarray = cover[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return cut


def _free_place(
    draw: np.random.Generator, taken: np.ndarray, shape: tuple[int, ...]
) -> tuple[int, int] | None:
    """Top and left of a spot whose surroundings no other box reaches."""
    height, width = shape
    gap = 2
    for _ in range(30):
        y = int(draw.integers(1, taken.shape[0] - height))
        x = int(draw.integers(1, taken.shape[1] - width))
        around = taken[max(0, y - gap) : y + height + gap, max(0, x - gap) : x + width + gap]
        if not around.any():
            return y, x
    return None


def _ink(
    draw: np.random.Generator,
    canvas: np.ndarray,
    mask: np.ndarray,
    cover: np.ndarray,
    place: tuple[int, int],
    digit: int,
) -> tuple[int, int, int, int]:
    """Writes the digit in an ink that stands out moderately from its ground; gives its box."""
    (y, x), (height, width) = place, cover.shape
    ground = canvas[y : y + height, x : x + width]
    mean = ground.mean((0, 1))
    away = -1 if mean.mean() > draw.uniform(0.4, 0.6) else 1
    colour = np.clip(mean + away * draw.uniform(0.25, 0.5, 3), 0, 1)
    ground += cover[:, :, None] * (colour - ground)
    mask[y : y + height, x : x + width][cover > INKED] = digit + 1
    return x, y, x + width, y + height
