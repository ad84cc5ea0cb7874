"""Pixels to the few numbers by which images are compared: their look, brightness, sharpness."""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from automl.data.turning import upright

GRID = 16
"""Side of the small grey picture that is kept of every image."""

_CROP = 192
_ROWS = 128
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


def look(pixels: np.ndarray, orientation: int) -> Look:
    """The facts of stored pixels, grey or RGB; grey ones and their copy in RGB look the same."""
    if orientation != 1:
        pixels = upright(pixels, orientation)
    grey = _grey(pixels[:: max(1, min(pixels.shape[:2]) // _ROWS)])
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
        sharpness=round(_sharpness(pixels), 2),
    )


def _rises(cells: np.ndarray) -> str:
    """By more than one level: in flat parts noise would decide."""
    return np.packbits(cells[:, 1:] > cells[:, :-1] + 1).tobytes().hex()


def _grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY))


def _sharpness(pixels: np.ndarray) -> float:
    top, left = (max(0, (side - _CROP) // 2) for side in pixels.shape[:2])
    middle = _grey(pixels[top : top + _CROP, left : left + _CROP])
    _, spread = cv2.meanStdDev(cv2.Laplacian(middle, cv2.CV_16S))
    return float(spread[0, 0])
