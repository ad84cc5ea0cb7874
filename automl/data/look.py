"""Pixels to the few numbers by which images are compared: their look, brightness, sharpness."""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from automl.data.turning import upright

GRID = 16
"""Side of the small grey picture that is kept of every image."""

_CROP = 192
_ROWS = 96
"""Rows that are looked at: the others would cost a tenth of the decoding and tell little."""


@dataclass(frozen=True)
class Look:
    """Cheap facts about the pixels of an upright image.

    `key` is equal where all pixels are equal, and seldom elsewhere: some rows are looked at.
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


def look(pixels: np.ndarray | Image.Image, orientation: int) -> Look:
    """The facts of stored pixels, grey or RGB; grey ones and their copy in RGB look the same.

    Of a picture only what is looked at is copied: a copy of all of it costs as much as the rest.
    """
    if isinstance(pixels, Image.Image):
        if orientation == 1:
            return _facts(_rows_of_picture(pixels), _middle_of_picture(pixels))
        pixels = np.asarray(pixels)
    if orientation != 1:
        pixels = upright(pixels, orientation)
    return _facts(_rows(pixels), _middle(pixels))


def _facts(rows: np.ndarray, middle: np.ndarray) -> Look:
    grey = _grey(rows)
    key = zlib.crc32(grey.data)
    small = cv2.resize(grey, (9 * 8, 8 * 8), interpolation=cv2.INTER_AREA)
    cells = cv2.resize(small, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    tiny = cv2.resize(small, (GRID, GRID), interpolation=cv2.INTER_AREA)
    mean, spread = cv2.meanStdDev(small)
    return Look(
        key=f"{key:08x}",
        dhash=_rises(cells),
        mirrored=_rises(cells[:, ::-1]),
        tiny=tiny.tobytes().hex(),
        brightness=round(float(mean[0, 0]), 2),
        contrast=round(float(spread[0, 0]), 2),
        sharpness=round(_sharpness(middle), 2),
    )


def _step(width: int, height: int) -> int:
    return max(1, min(width, height) // _ROWS)


def _rows(pixels: np.ndarray) -> np.ndarray:
    """One row of every `step`, the middle one."""
    height, width = pixels.shape[:2]
    step = _step(width, height)
    return pixels[step // 2 :: step][: height // step]


def _rows_of_picture(image: Image.Image) -> np.ndarray:
    """The same rows as of an array."""
    width, height = image.size
    step = _step(width, height)
    count = height // step
    box = (0, 0, width, count * step)
    return np.asarray(image.resize((width, count), Image.Resampling.NEAREST, box))


def _corner(width: int, height: int) -> tuple[int, int]:
    return max(0, (width - _CROP) // 2), max(0, (height - _CROP) // 2)


def _middle(pixels: np.ndarray) -> np.ndarray:
    left, top = _corner(pixels.shape[1], pixels.shape[0])
    return pixels[top : top + _CROP, left : left + _CROP]


def _middle_of_picture(image: Image.Image) -> np.ndarray:
    left, top = _corner(*image.size)
    right, bottom = min(left + _CROP, image.width), min(top + _CROP, image.height)
    return np.asarray(image.crop((left, top, right, bottom)))


def _rises(cells: np.ndarray) -> str:
    """By more than one level: in flat parts noise would decide."""
    return np.packbits(cells[:, 1:] > cells[:, :-1] + 1).tobytes().hex()


def _grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY))


def _sharpness(middle: np.ndarray) -> float:
    _, spread = cv2.meanStdDev(cv2.Laplacian(_grey(middle), cv2.CV_16S))
    return float(spread[0, 0])
