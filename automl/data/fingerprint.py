"""Pixels to the few numbers by which images are compared: their look, brightness, sharpness."""

import math
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from automl.data.orientation import turned

GRID = 16
"""Side of the small grey picture that is kept of every image."""

_CROP = 128
_COLUMNS, _ROWS = 192, 64
"""Pixels that are looked at, at least: all of them would cost a fifth of the decoding."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientations to what sets a picture upright."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Cheap facts about the pixels of an upright image.

    `key` is equal where all pixels are equal, and seldom elsewhere: a part of them is looked at.
    `dhash` holds 64 bits: whether the brightness rises from one cell of a 9 x 8 grid to the next;
    `mirrored` is that of the mirror image; `tiny` is a grey picture of 16 x 16, as hex;
    `sharpness` is the spread of the Laplacian in the middle of the image.
    """

    key: str
    dhash: str
    mirrored: str
    tiny: str
    brightness: float
    contrast: float
    sharpness: float


def fingerprint(pixels: np.ndarray | Image.Image, orientation: int) -> Fingerprint:
    """The facts of stored pixels, grey or RGB; grey ones and their copy in RGB look the same.

    Only what is looked at is taken out of the picture: a copy of all of it costs as much as the
    rest, in time and in memory.
    """
    if isinstance(pixels, Image.Image):
        image = pixels.transpose(_TURNS[orientation]) if orientation in _TURNS else pixels
        return _facts(_grid(image), _middle(image))
    array = turned(pixels, orientation)
    return _facts(_grid_of(array), _middle_of(array))


def _facts(grid: np.ndarray, middle: np.ndarray) -> Fingerprint:
    small = cv2.resize(grid, (9 * 8, 8 * 8), interpolation=cv2.INTER_AREA)
    cells = cv2.resize(small, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    tiny = cv2.resize(small, (GRID, GRID), interpolation=cv2.INTER_AREA)
    mean, spread = cv2.meanStdDev(small)
    return Fingerprint(
        key=f"{zlib.crc32(grid.data):08x}",
        dhash=_rises(cells),
        mirrored=_rises(cells[:, ::-1]),
        tiny=tiny.tobytes().hex(),
        brightness=round(float(mean[0, 0]), 2),
        contrast=round(float(spread[0, 0]), 2),
        sharpness=round(_sharpness(middle), 2),
    )


def _grid(image: Image.Image) -> np.ndarray:
    """Grey values of the pixels in the middle of small cells of equal size."""
    across, down = max(1, image.width // _COLUMNS), max(1, image.height // _ROWS)
    size = image.width // across, image.height // down
    box = (0, 0, size[0] * across, size[1] * down)
    return _grey(image.resize(size, Image.Resampling.NEAREST, box))


def _grid_of(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    across, down = max(1, width // _COLUMNS), max(1, height // _ROWS)
    rows = pixels[down // 2 :: down][: height // down]
    columns = rows[:, across // 2 :: across][:, : width // across]
    return _grey(Image.fromarray(np.ascontiguousarray(columns)))


def _middle_of(pixels: np.ndarray) -> np.ndarray:
    left, top = (max(0, (side - _CROP) // 2) for side in pixels.shape[1::-1])
    part = pixels[top : top + _CROP, left : left + _CROP]
    return _grey(Image.fromarray(np.ascontiguousarray(part)))


def _middle(image: Image.Image) -> np.ndarray:
    left, top = max(0, (image.width - _CROP) // 2), max(0, (image.height - _CROP) // 2)
    right, bottom = min(left + _CROP, image.width), min(top + _CROP, image.height)
    return _grey(image.crop((left, top, right, bottom)))


def _grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"))


def _rises(cells: np.ndarray) -> str:
    """By more than one level: in flat parts noise would decide."""
    return np.packbits(cells[:, 1:] > cells[:, :-1] + 1).tobytes().hex()


def _sharpness(middle: np.ndarray) -> float:
    """By sums of 16-bit values: OpenCV has them faster than their spread."""
    edges = cv2.Laplacian(middle, cv2.CV_16S)
    mean, square = cv2.mean(edges)[0], cv2.norm(edges, cv2.NORM_L2SQR) / edges.size
    return math.sqrt(max(0.0, square - mean * mean))
